"""Noticing that a worker has stopped receiving, although it looks alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from apps.tasks import conf
from apps.tasks.polling import polls
from apps.tasks.usage import usage
from apps.tasks.worker.shutdown import EXIT, Shutdown

logger = logging.getLogger(__name__)

_TICK = 1.0


@dataclass(kw_only=True)
class _Watched:
    """What was seen of one queue."""

    signs: int
    failures: int
    #: Seconds without an answer to a poll.
    unanswered: float = 0.0
    #: Seconds without any sign that it is polled at all.
    silent: float = 0.0


class Watchdog:
    """A thread that needs neither the event loop nor the database.

    A queue that nothing was heard of for the set time, neither an answer nor an error nor that the worker
    has no room for messages, is not polled any more: the worker hangs, and is ended. Where polls fail, the
    loop is alive: the worker goes on trying, and is ended only once it has nothing in hand.
    """

    def __init__(self, shutdown: Shutdown, end: Callable[[str], None], idle: Callable[[], bool]) -> None:
        self._shutdown = shutdown
        self._end = end
        self._idle = idle
        self._watched: dict[str, _Watched] = {}
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        limit = conf.poll_watchdog()
        tick = min(_TICK, limit / 4)
        last = time.monotonic()
        while True:
            time.sleep(tick)
            now = time.monotonic()
            # A process that was stopped for an hour has not been silent for an hour.
            self.look(min(now - last, 2 * tick), limit)
            last = now
            if self._shutdown.overdue:
                self._shutdown.abort("the time for ending in order is over", code=EXIT)

    def look(self, elapsed: float, limit: float) -> None:
        """Compare with the last look, *elapsed* seconds ago; queues may be silent for *limit* seconds."""
        signs, failures = dict(polls.signs), dict(polls.failures)
        for queue in self._watched.keys() - signs.keys() - failures.keys():
            del self._watched[queue]
        for queue in signs.keys() | failures.keys():
            seen = _Watched(signs=signs.get(queue, 0), failures=failures.get(queue, 0))
            before = self._watched.get(queue, seen)
            if seen.signs == before.signs:
                seen.unanswered = before.unanswered + elapsed
                if seen.failures <= before.failures:
                    seen.silent = before.silent + elapsed
            self._watched[queue] = seen
        self._judge(limit)

    def _judge(self, limit: float) -> None:
        silent = sorted(queue for queue, seen in self._watched.items() if seen.silent > limit)
        failing = sorted(queue for queue, seen in self._watched.items() if seen.unanswered > limit)
        trouble = None
        if silent:
            trouble = f"nothing was heard of polls of {', '.join(silent)} for {limit:g} s"
        elif failing:
            reasons = "; ".join(f"{queue}: {polls.reasons.get(queue, '')}" for queue in failing)
            trouble = f"no poll was answered for {limit:g} s: {reasons}"
        usage.note(trouble=trouble)
        if trouble is None:
            self._said.clear()
        elif not self._shutdown.under_way:
            kind = "silent" if silent else "failing"
            if kind not in self._said:
                self._said.add(kind)
                logger.error("watchdog: %s", trouble)
            if silent or self._idle():
                self._end(trouble)
