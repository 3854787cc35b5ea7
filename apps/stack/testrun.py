"""One test run: pytest as a child process on a private stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from apps.stack import environment
from apps.stack.child import describe
from apps.stack.folders import CHECKOUT
from apps.stack.private import PrivateStack

_INTERRUPTED = 130


def _terminal_is_ours() -> bool:
    """Whether a Ctrl-C typed at a terminal reaches this process, and thereby its group."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Forwarder:
    """Passes SIGINT and SIGTERM on to pytest, which then reports what it has and ends.

    At a terminal the group gets Ctrl-C by itself, and pytest must not get it twice.
    """

    def __init__(self, *, at_terminal: bool) -> None:
        self._at_terminal = at_terminal
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._process is not None and not (number == signal.SIGINT and self._at_terminal):
            self._process.send_signal(signal.SIGINT)

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """Send to *process* from now on."""
        self._process = process


def _pytest(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run pytest with *arguments*; its exit status."""
    at_terminal = _terminal_is_ours()
    forwarder = _Forwarder(at_terminal=at_terminal)
    signal.signal(signal.SIGINT, forwarder)
    signal.signal(signal.SIGTERM, forwarder)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=CHECKOUT,
        env=dict(environ),
        # In a group of its own it would be stopped when it reads from the terminal, as a debugger does.
        process_group=None if at_terminal else 0,
    )
    forwarder.watch(process)
    return process.wait()


def run(
    arguments: Sequence[str],
    *,
    queues: Sequence[str],
    given: Mapping[str, str],
    settings: str,
    say: Callable[[str], None],
) -> int:
    """Run pytest with *arguments* verbatim on a private stack; pytest's exit status.

    *queues* are full names; *given* is the caller's environment, whose servers are used instead of ours;
    *say* gets our own messages. Raises StackError when the stack does not start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        with PrivateStack(queues=queues, given=given) as stack:
            say(f"the private stack is up after {time.monotonic() - began:.1f} s")
            environ = environment.inherited(**stack.environ, DJANGO_SETTINGS_MODULE=settings)
            status = _pytest(arguments, environ)
            if status not in {0, 5}:
                stack.keep_logs = True
                say(f"the servers' logs: {stack.folder}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    if status < 0:
        say(f"pytest ended with {describe(status)}")
        return 128 - status
    return status
