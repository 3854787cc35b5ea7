"""What this process is, and since when it runs: told with its log lines and figures, and to servers.

Imported by settings, some of which depend on it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

#: When this process, or the one that it was forked from, began (Unix seconds).
STARTED = time.time()

_kind = ""
_CELERY = ("worker", "beat")


def kind() -> str:
    """``web``, ``worker``, ``beat``, ``relay``, or ``command`` for everything else."""
    return _kind or "command"


def name() -> str:
    """What its servers know it by: the kind, the name of a command of ``manage.py``, or else of the program.

    Right from the first moment on, since it is read off the command line.
    """
    if _kind:
        return _kind
    program = Path(sys.argv[0])
    found = program.parent.name if program.stem == "__main__" else program.stem
    arguments = [one for one in sys.argv[1:] if one in _CELERY] if found == "celery" else sys.argv[1:2]
    if found == "manage" and arguments == ["runserver"]:
        return "web"
    return arguments[0] if arguments and found in ("celery", "manage") else found


def serve() -> None:
    """This process, or those that it forks, will answer requests: said before settings are read."""
    global _kind
    _kind = "web"


def begin(name: str, *, pool: bool = False, traced: bool = True) -> None:
    """This is a process of that kind from now on, and sends traces where the environment says so.

    With a *pool* it will fork others that do its work, and it answers for their figures, too. Where those
    send the traces, it is not *traced* itself.
    """
    global _kind, STARTED
    if _kind != name:
        _kind, STARTED = name, time.time()
    if pool:
        from apps.core import shards

        shards.begin(name)
    if traced:
        from apps.core import tracing

        tracing.setup()
