"""What this process is, as its database sees it and as settings depend on it."""

from __future__ import annotations

import sys
from pathlib import Path

_serving = False


def serves() -> None:
    """This process answers requests: said by the entry points of web servers."""
    global _serving
    _serving = True


def kind() -> str:
    """``web``, ``worker``, ``beat``, the name of a command, or else of the program."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem
    arguments = [one for one in sys.argv[1:] if one in _CELERY] if name == "celery" else sys.argv[1:2]
    if _serving or (name == "manage" and arguments == ["runserver"]):
        return "web"
    return arguments[0] if arguments and name in ("celery", "manage") else name


_CELERY = ("worker", "beat")
