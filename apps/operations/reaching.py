"""Whether the servers answer, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError

from apps.core.readiness import Probe, Watched, ask_database
from apps.liveness.leases import Unavailable
from apps.liveness.marks import worker_leases
from apps.tasks import depths, queues, sqs
from apps.tasks.queues import Depth

#: Seconds for which the database and SQS are waited for; their clients would be patient for longer.
_PATIENCE = 1.5
#: An answer that took less came from what was known a moment before.
_ASKED = 0.001
#: Bounds of what latencies are told as (seconds), the last one included in "over".
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Whether one server answers."""

    name: str
    answers: bool
    #: Seconds; None: not measured.
    latency: float | None = None
    reason: str = ""

    @property
    def bucket(self) -> str:
        """The latency, coarsely: ``under 5 ms``. Empty where it was not measured."""
        if self.latency is None:
            return ""
        bound = next((one for one in _BUCKETS if self.latency <= one), None)
        return f"over {_BUCKETS[-1]:g} s" if bound is None else f"under {1000 * bound:g} ms"


#: In a thread of its own: a statement without an answer would keep whoever looks for as long.
_database = Watched(Probe(name="database", ask=ask_database, essential=True, timeout=_PATIENCE))


def database() -> Server:
    """PostgreSQL, asked for nothing."""
    began = time.monotonic()
    _database.begin()
    if _database.end(began):
        return Server(name="Database", answers=False, reason="Database does not answer")
    return _asked("Database", ask_database, (DatabaseError, InterfaceError))


def redis() -> Server:
    """Redis, asked for what liveness asks it most."""
    return _asked("Redis", lambda: worker_leases().counts(), (Unavailable,))


def _asked(name: str, ask: Callable[[], object], failures: tuple[type[Exception], ...]) -> Server:
    began = time.perf_counter()
    try:
        ask()
    except failures:
        return Server(name=name, answers=False, reason=f"{name} does not answer")
    return Server(name=name, answers=True, latency=time.perf_counter() - began)


class Fullness:
    """How full the queues are. For one thread at a time."""

    def __init__(self) -> None:
        self._latency: float | None = None

    def look(self) -> tuple[Server, Mapping[str, Depth | None]]:
        """Whether SQS answers, and how full each queue is as far as it says."""
        with suppress(*sqs.ERRORS):
            # Made once, which takes longer than any answer.
            queues.client()
        began = time.perf_counter()
        found = depths.depths(patience=_PATIENCE)
        took = time.perf_counter() - began
        if all(depth is None for depth in found.values()):
            return Server(name="SQS", answers=False, reason="SQS does not answer"), {}
        if took > _ASKED:
            self._latency = took
        return Server(name="SQS", answers=True, latency=self._latency), found


fullness = Fullness()
