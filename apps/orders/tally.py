"""The follower that counts what happens to orders: each event once, and never less than before."""

from __future__ import annotations

import time
from collections import Counter

from django.db import transaction
from django.db.models import F

from apps.events.followers import follow
from apps.events.models import Cursor
from apps.events.records import StoredEvent
from apps.orders.models import EventCount

FOLLOWER = "order_statistics"
_BATCH = 2000


def catch_up(*, seconds: float = 1.0) -> int:
    """Count events that are not counted yet, for about *seconds* at most. Returns how many were read.

    Whoever finds another at it leaves it to that one.
    """
    until, total = time.monotonic() + seconds, 0
    while True:
        count = _step()
        total += count
        if count < _BATCH or time.monotonic() >= until:
            return total


@transaction.atomic
def _step() -> int:
    mine = Cursor.objects.filter(follower=FOLLOWER)
    place = mine.select_for_update(skip_locked=True).values_list("xid", "position").first()
    if place is None and mine.exists():
        return 0
    if place is None or not any(place):
        # It begins, perhaps anew: what was counted before would be counted twice.
        EventCount.objects.all().delete()
    return follow(FOLLOWER, _count, limit=_BATCH)


def _count(events: list[StoredEvent]) -> None:
    counts = Counter(
        (event.type, str(event.data.get("outcome", "")) if event.type == "order.looked" else "")
        for event in events
        if event.stream.startswith("order:")
    )
    EventCount.objects.bulk_create(
        [EventCount(type=type_, outcome=outcome) for type_, outcome in counts], ignore_conflicts=True
    )
    for (type_, outcome), count in counts.items():
        EventCount.objects.filter(type=type_, outcome=outcome).update(count=F("count") + count)
