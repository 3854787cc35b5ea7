"""Telling how far a run is, and noticing soon that somebody wants its end."""

from __future__ import annotations

import time

from apps.tasks import Cancelled
from apps.tasks.models import TaskRun
from apps.tasks.run import Run

#: Seconds between two looks at whether the run was cancelled.
_LOOK = 0.1


class Reporter:
    """Reports phases of a run. Each call may raise `Cancelled` and `Fenced`; most of them cost nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._phase = ""
        # Whoever has just claimed a run knows that it is to go on.
        self._next = time.monotonic() + _LOOK

    def phase(self, name: str, done: int = 0, total: int = 1) -> None:
        """The run is in this phase, and so far in it."""
        self._phase = name
        self(done, total)

    def __call__(self, done: int, total: int) -> None:
        """The run is so far in its phase."""
        now = time.monotonic()
        if self._run.id is None or now < self._next:
            return
        self._next = now + _LOOK
        # The last step of a phase is not the last of the run, whose report would always be stored.
        self._run.progress(min(done, total - 1), total, self._phase)
        if TaskRun.objects.filter(pk=self._run.id, cancel_requested=True).exists():
            raise Cancelled(f"run {self._run.id} was cancelled while {self._phase}")
