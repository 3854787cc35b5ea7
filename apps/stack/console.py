"""What the person at the terminal sees: progress with its times, and the lines of the processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from apps.stack.child import LOG_LIMIT

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_WIDTH = 9


class Console:
    """Prints whole lines, from any thread; *show_logs* decides whether the processes' lines appear."""

    def __init__(self, stream: TextIO | None = None, *, show_logs: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._known: list[str] = []
        self.show_logs = show_logs

    def line(self, text: str) -> None:
        """One line as it is; nothing happens when nobody reads any more."""
        with self._lock:
            try:
                print(text, file=self._stream, flush=True)
            except OSError:
                # The reader of a pipe has gone, or the terminal was closed: what runs is stopped in order
                # all the same, and Python must not fail again when it flushes at its end.
                with contextlib.suppress(OSError), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())

    def say(self, text: str) -> None:
        """A progress line: the seconds since the start, then *text*."""
        self.line(f"[{time.monotonic() - self._began:6.1f} s] {text}")

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Announce *text*, and say how long the body took when it is done."""
        self.say(f"{text} …")
        began = time.monotonic()
        yield
        self.say(f"{text}: {time.monotonic() - began:.1f} s")

    def log(self, name: str, text: str) -> None:
        """A line of process *name*, when such lines are shown."""
        if not self.show_logs:
            return
        if name not in self._known:
            self._known.append(name)
        prefix = f"{name:<{_WIDTH}}|"
        if self._colour:
            number = _COLOURS[self._known.index(name) % len(_COLOURS)]
            prefix = f"\x1b[{number}m{prefix}\x1b[0m"
        self.line(f"{prefix} {text}")


class LogFile:
    """Follows the log of one process and keeps it and its predecessor small enough.

    The process appends to the file by itself, so it neither waits for us nor dies with us.
    """

    def __init__(self, path: Path, *, limit: int = LOG_LIMIT) -> None:
        self.path = path
        self._limit = limit
        self._offset = 0
        self._rest = b""

    def rotate(self) -> None:
        """Put an old log aside as ``.1``; before the process starts."""
        if self.path.exists() and self.path.stat().st_size:
            self.path.replace(self.path.with_suffix(".log.1"))
        self._offset, self._rest = 0, b""

    def lines(self) -> Iterator[str]:
        """The whole lines that came since the last call."""
        try:
            with self.path.open("rb") as log:
                log.seek(self._offset)
                new = log.read()
        except FileNotFoundError:
            return
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", errors="replace").rstrip("\r")
        if self._offset > self._limit:
            # The process has the file open for appending: it goes on at the beginning of the emptied one.
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            os.truncate(self.path, 0)
            self._offset = 0
