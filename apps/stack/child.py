"""One child process of the stack: what it is, and how it is started, watched and ended."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from apps.stack.errors import StartFailed
from apps.stack.identity import Identity
from apps.stack.privileges import Account
from apps.stack.probes import Probe, Sight, at_once

POLL = 0.05
LOG_LIMIT = 20_000_000
_PR_SET_PDEATHSIG = 1
# Loaded here and not between fork and exec, where almost nothing is safe.
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def nothing() -> None:
    """What a service without preparation does before a start."""


class Process(Protocol):
    """What is asked of a process, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """The exit status (negative: the signal that ended it); None while it runs."""

    def wait(self) -> int:
        """The exit status, when it has ended."""

    def send_signal(self, sig: int) -> None:
        """Send a signal; nothing happens when it has ended."""

    def kill(self) -> None:
        """SIGKILL to it."""


def end_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """Called by a new child: have the kernel end it when its parent is gone (Linux only)."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)


def popen(service: Service, log: BinaryIO) -> Process:
    """A new process of *service*'s program, which writes into *log*. Raises OSError, SubprocessError."""
    account = service.account
    with warnings.catch_warnings():
        # Python 3.12 warns of code between fork and exec in a process with threads. Ours is two system
        # calls through a library that is loaded already: it takes no lock that a thread could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            service.argv,
            env=dict(service.environ),
            cwd=service.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=service.inherit,
            preexec_fn=partial(end_with_parent, os.getpid(), service.death_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
        )


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a process is: how to start it, how to see that it is ready, how to stop it.

    *prepare* runs before every start and must bear being repeated; *settle* runs after every time the
    process became ready. Times are in seconds. *account* drops privileges, *inherit* are the file
    descriptors handed on under the same numbers. *spawn* makes the process.
    """

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    ready: Probe = field(default_factory=at_once)
    ready_timeout: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    restart: bool = True
    account: Account | None = None
    inherit: tuple[int, ...] = ()
    prepare: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing
    spawn: Callable[[Service, BinaryIO], Process] = popen


class Child:
    """A service's process in a session of its own, writing into one log file.

    It dies with the thread that started it (Linux), so start it from one that stays.
    """

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self.identity: Identity | None = None
        self._process: Process | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The number of the process; RuntimeError before its first start."""
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: the signal that ended it); None while it runs."""
        return self._running().poll()

    @property
    def started(self) -> bool:
        """Whether a process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.service.name} was not started")
        return self._process

    def spawn(self) -> None:
        """Start the process; returns as soon as it exists.

        Raises StartFailed when the program cannot be run.
        """
        service = self.service
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._process = service.spawn(service, log)
            except (OSError, subprocess.SubprocessError) as error:
                raise StartFailed(
                    f"{service.name} cannot be started: {error} ({service.argv[0]})", name=service.name
                ) from error
        self.identity = Identity.of(self._process.pid)

    def said(self) -> str:
        """What this process has logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", errors="replace")

    def tail(self, lines: int = 15) -> tuple[str, ...]:
        """The last *lines* of what it has logged since it was started."""
        return tuple(self.said().splitlines()[-lines:])

    async def wait_ready(self) -> None:
        """Return when the process is ready.

        Raises StartFailed, with the end of its log, when it ended or stayed silent too long.
        """
        service = self.service
        deadline = time.monotonic() + service.ready_timeout
        while True:
            status = self.returncode
            if status is not None:
                raise StartFailed(
                    f"{service.name} ended with {describe(status)} before it was ready",
                    name=service.name,
                    tail=self.tail(),
                )
            if await service.ready(Sight(pid=self.pid, log=self.said())):
                return
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{service.name} was not ready after {service.ready_timeout:.0f} s",
                    name=service.name,
                    tail=self.tail(),
                )
            await asyncio.sleep(POLL)

    async def wait_ended(self, timeout: float) -> bool:
        """Whether the process ended within *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while self.returncode is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        if self.started:
            self._running().send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process and everything in its session; returns when it has ended."""
        if self._process is None:
            return
        # The number of a group stays taken while one member lives, so it cannot mean anybody else.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        self._process.wait()

    async def stop(self) -> bool:
        """Ask the process to end, and kill it when it does not; False when it had to be killed."""
        if self._process is None:
            return True
        self.signal(self.service.stop_signal)
        ended = await self.wait_ended(self.service.stop_timeout)
        self.kill()
        return ended


def describe(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"status {status}"
