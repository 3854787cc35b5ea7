"""What kind of process this is, and since when it runs: told with its log lines and figures."""

from __future__ import annotations

import time

#: When this process, or the one that it was forked from, began (Unix seconds).
STARTED = time.time()

_kind = "command"


def kind() -> str:
    """``web``, ``worker``, ``beat``, ``relay``, or ``command`` for everything else."""
    return _kind


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
