"""Files in which the processes of a pool keep their figures, so that any of them can answer for all.

Each main process has a folder of its own; each process of its pool has a slot there, which its successor
takes over: so counters go on, and there are no more files than processes at a time.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

logger = logging.getLogger(__name__)

#: Where prometheus_client looks for the folder.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

#: Of the main process. Those of its pool have 1, 2, ...
_MAIN = 0

_slot = _MAIN
_folder: Path | None = None

# In memory until a pool begins, whatever the environment said when the library was imported.
values.ValueClass = values.MutexValue


def folder() -> Path | None:
    """Where the figures of this process and its kin are; None: in its memory."""
    return _folder


def begin(kind: str) -> None:
    """Keep figures in a new folder from now on: called once, before a metric is made and a process forked.

    The folder is removed when this process ends. Folders that processes of this machine left behind when they
    were killed are removed now. Where none can be made, figures stay in memory, and the log says so.
    """
    global _folder
    host = socket.gethostname()
    try:
        parent = _parent()
        _clear(parent, host)
        path = parent / f"{kind}-{host}-{os.getpid()}"
        path.mkdir(mode=0o700)
    except OSError as exc:
        logger.warning("each process of this pool answers for its own figures alone: %s", exc)
        return
    os.environ[_VARIABLE] = str(path)
    values.ValueClass = values.MultiProcessValue(lambda: _slot)  # type: ignore[no-untyped-call]
    _folder = path
    atexit.register(_remove, path, os.getpid())


def take(slot: int) -> None:
    """This is a new process of the pool, in a slot from 1 on that no living process has."""
    global _slot
    _slot = slot
    free(slot)


def free(slot: int) -> None:
    """The process of *slot* has ended: nothing of it is going on any more."""
    if _folder is not None:
        mark_process_dead(slot, str(_folder))  # type: ignore[no-untyped-call]


def lowest_free(taken: Collection[int]) -> int:
    """The slot for a new process beside those that have these."""
    return next(slot for slot in range(_MAIN + 1, len(taken) + 2) if slot not in taken)


def _parent() -> Path:
    if settings.PROMETHEUS_MULTIPROC_DIR:
        path = Path(settings.PROMETHEUS_MULTIPROC_DIR)
        path.mkdir(parents=True, exist_ok=True)
        return path
    path = Path(tempfile.gettempdir()) / f"chandlery-metrics-{os.geteuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    # Anybody may make it beforehand where temporary files are.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} is somebody else's")
    return path


def _clear(parent: Path, host: str) -> None:
    for path in parent.iterdir():
        _, _, rest = path.name.partition("-")
        owner, _, pid = rest.rpartition("-")
        if owner == host and pid.isdecimal() and not _others(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _others(pid: int) -> bool:
    """Whether *pid* is a living process that is not this one."""
    if pid == os.getpid():
        return False
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(path, ignore_errors=True)
