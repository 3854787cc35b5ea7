"""Who uses a profile: one supervisor at a time, and a note of its processes for the next one.

A supervisor that is killed with SIGKILL cannot stop its children. The note names each by number *and* moment
of its start, and the next supervisor ends exactly those of them that still run.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

from apps.stack.child import Child
from apps.stack.errors import AlreadyRunning
from apps.stack.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One process of a supervisor, and the signal that ends it in an orderly way."""

    name: str
    identity: Identity
    stop_signal: signal.Signals

    def signal(self, number: signal.Signals) -> None:
        """Send *number* to this very process, if it still runs."""
        if self.identity.alive():
            try:
                os.kill(self.identity.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """SIGKILL to it and its session, if it still runs."""
        if self.identity.alive():
            try:
                os.killpg(self.identity.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self.signal(signal.SIGKILL)


class _Note(TypedDict):
    about: dict[str, str]
    processes: dict[str, dict[str, str]]


class Ledger:
    """The lock and the note of the profile in *folder*; a context manager that holds the lock.

    *wait* is how many seconds it waits for a lock that another process has.
    """

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        self._wait = wait
        self.patience = 10.0
        """Seconds that a leftover gets to end by itself."""
        self._lock = folder / "lock"
        self._note = folder / "run.json"
        self._descriptor = -1
        self._about: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Take the lock.

        Raises AlreadyRunning, naming the holder, when another supervisor has it.
        """
        self._descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + self._wait
        while not self._locked():
            if time.monotonic() >= deadline:
                os.close(self._descriptor)
                about = self._read()["about"]
                where = f" at {about['url']}" if about.get("url") else ""
                raise AlreadyRunning(f"it is already running{where} (process {about.get('pid', 'unknown')})")
            time.sleep(0.05)
        return self

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._note.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _read(self) -> _Note:
        try:
            note: _Note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"about": {}, "processes": {}}
        return note

    def write(self, children: Iterable[Child], **about: str) -> None:
        """Replace the note: the processes that run now, and what a second supervisor should be told."""
        self._about |= {"pid": str(os.getpid())} | about
        processes = {
            child.service.name: {
                "pid": str(child.identity.pid),
                "started": child.identity.started,
                "stop_signal": child.service.stop_signal.name,
            }
            for child in children
            if child.started and child.identity is not None
        }
        making = self._note.with_suffix(".new")
        making.write_text(json.dumps({"about": self._about, "processes": processes}), encoding="utf-8")
        making.rename(self._note)

    def leftovers(self) -> list[Entry]:
        """The processes of the note that still run, each proved by its number and its start."""
        found = []
        for name, process in self._read()["processes"].items():
            entry = Entry(
                name=name,
                identity=Identity(pid=int(process["pid"]), started=process["started"]),
                stop_signal=signal.Signals[process["stop_signal"]],
            )
            if entry.identity.alive():
                found.append(entry)
        return found

    def reap(self) -> list[str]:
        """End the leftovers, in an orderly way first; the names of those that were found."""
        found = self.leftovers()
        for entry in found:
            entry.signal(signal.SIGCONT)
            entry.signal(entry.stop_signal)
        deadline = time.monotonic() + self.patience
        while any(entry.identity.alive() for entry in found) and time.monotonic() < deadline:
            time.sleep(0.05)
        for entry in found:
            entry.kill()
        return [entry.name for entry in found]
