"""How the whole installation stands, as of one moment.

A snapshot costs about a dozen queries, each bounded and by an index, beside a million ended runs as beside
none. What happened is told by the counts of `apps.tasks.tally`. It is taken once for all who look within two
seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.utils import timezone

from apps.audit import selectors as audit
from apps.audit.selectors import AuditHealth
from apps.candles import following
from apps.candles.following import Following
from apps.operations import reaching, selectors
from apps.operations.parts import Kept, NotKnown, Part, part
from apps.operations.reaching import Server
from apps.operations.selectors import (
    Backlogs,
    Deliveries,
    Denials,
    Failures,
    Kind,
    Pace,
    Trading,
    Unsent,
)
from apps.orders import selectors as orders
from apps.orders.selectors import Unfinished
from apps.tasks import tally
from apps.tasks.queues import Depth

T = TypeVar("T")

#: Seconds for which a snapshot serves.
FRESH = 2.0
#: Seconds between two times that a process has the newest events counted, and for which it does so at most.
_COUNT_EVERY = 5.0
_COUNT_FOR = 0.5


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything. What could not be found out says why."""

    at: datetime
    #: Database, Redis, SQS.
    servers: Sequence[Server]
    backlogs: Part[Backlogs]
    #: Queue -> how full it is on SQS; None: SQS does not say.
    on_sqs: Part[Mapping[str, Depth | None]]
    pace: Part[Pace]
    failures: Part[Failures]
    to_review: Part[int]
    processes: Part[list[Kind]]
    trading: Part[Trading]
    left_alone: Part[list[str]]
    following: Part[list[Following]]
    denials: Part[Denials]
    orders: Part[dict[str, Unfinished]]
    deliveries: Part[Deliveries]
    unsent: Part[Unsent]
    audit: Part[AuditHealth]

    def alive(self, kind: str) -> int | None:
        """How many processes of a kind run; None: that is not known."""
        if self.processes.value is None:
            return None
        return sum(one.alive for one in self.processes.value if one.name == kind)


class _Counting:
    """Has the newest events counted now and then, so that charts end with the present."""

    def __init__(self) -> None:
        self._next = 0.0

    def catch_up(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _COUNT_EVERY
        tally.catch_up(seconds=_COUNT_FOR)

    def forget(self) -> None:
        self._next = 0.0


_counting = _Counting()


def take() -> Snapshot:
    """Look at everything now. Raises nothing."""
    database, redis = reaching.database(), reaching.redis()
    sqs, depths = reaching.fullness.look()

    def stored(look: Callable[[], T]) -> Part[T]:
        """A part of the database, which is asked no more once it has not answered."""
        return part(look) if database.answers else Part(reason="the database does not answer")

    def marked(look: Callable[[], T]) -> Part[T]:
        return part(look) if redis.answers else Part(reason="Redis does not answer")

    def filled() -> Mapping[str, Depth | None]:
        if not sqs.answers:
            raise NotKnown(sqs.reason)
        return depths

    def pace() -> Pace:
        _counting.catch_up()
        return selectors.pace()

    return Snapshot(
        at=timezone.now(),
        servers=(database, redis, sqs),
        backlogs=stored(selectors.backlogs),
        on_sqs=part(filled),
        pace=stored(pace),
        failures=stored(selectors.failures),
        to_review=stored(selectors.runs_to_review),
        processes=stored(selectors.processes),
        trading=marked(selectors.trading),
        left_alone=stored(selectors.left_alone),
        following=stored(following.following),
        denials=marked(selectors.denials),
        orders=stored(orders.unfinished),
        deliveries=stored(selectors.deliveries),
        unsent=stored(selectors.unsent),
        audit=stored(audit.health),
    )


_kept = Kept(take, seconds=FRESH)


def snapshot() -> Snapshot:
    """How things stand, as of two seconds ago at most."""
    return _kept.get()


def forget() -> None:
    """Look anew when asked next, and have events counted then."""
    _kept.forget()
    _counting.forget()
