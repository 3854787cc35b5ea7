"""Files in which the processes of a pool keep their figures, so that any of them can answer for all.

Each main process has a folder of its own; each process of its pool has a slot there, which its successor
takes over: so counters go on, and there are no more files than processes at a time. Where a file cannot be
written, figures are missing, and whoever counts goes on.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

logger = logging.getLogger(__name__)

#: Where prometheus_client looks for the folder.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

#: Of the main process. Those of its pool have 1, 2, ...
_MAIN = 0

#: Bytes of a file at first, and the most that a value takes in it beside its name.
_FIRST_SIZE = 1 << 16
_BESIDE_KEY = 32

_slot = _MAIN
_folder: Path | None = None
#: Whether the log says that figures are missing.
_said = False

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
    values.MmapedDict = _Reserved  # type: ignore[attr-defined]
    values.ValueClass = _guarded(values.MultiProcessValue(lambda: _slot))  # type: ignore[no-untyped-call]
    _folder = path
    atexit.register(_remove, path, os.getpid())


def take(slot: int) -> None:
    """This is a new process of the pool, in a slot from 1 on that no living process has."""
    global _slot
    _slot = slot
    if _folder is not None:
        with suppress(OSError):
            # What tidies up folders of temporary files takes those that are old.
            _folder.mkdir(mode=0o700, exist_ok=True)
    free(slot)


def free(slot: int) -> None:
    """The process of *slot* has ended: nothing of it is going on any more."""
    if _folder is not None:
        with suppress(OSError):
            mark_process_dead(slot, str(_folder))  # type: ignore[no-untyped-call]


def lowest_free(taken: Collection[int]) -> int:
    """The slot for a new process beside those that have these."""
    return next(slot for slot in range(_MAIN + 1, len(taken) + 2) if slot not in taken)


class _Reserved(MmapedDict):
    """A file whose room is taken before it is mapped: a write that the disk has no room for kills there."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        path = Path(filename)
        if not read_mode and not path.exists():
            try:
                path.write_bytes(bytes(_FIRST_SIZE))
            except OSError:
                path.unlink(missing_ok=True)
                raise
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + _BESIDE_KEY > self._capacity:
            self._f.write(bytes(self._capacity))
            self._f.flush()
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _guarded(kept: type[Any]) -> type[Any]:
    """A value as *kept* has it, which is not counted where that fails."""

    class Guarded(kept):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with _lost():
                super().__init__(*args, **kwargs)

        def inc(self, amount: float) -> None:
            with _lost():
                super().inc(amount)

        def set(self, value: float, timestamp: float | None = None) -> None:
            with _lost():
                super().set(value, timestamp)

    return Guarded


@contextmanager
def _lost() -> Iterator[None]:
    """Has whatever fails in the block be a line in the log, once."""
    global _said
    try:
        yield
    except Exception as exc:  # whose files are gone raises what comes of that
        if not _said:
            _said = True
            logger.warning("figures of this process are missing: %s: %s", type(exc).__name__, exc)


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
