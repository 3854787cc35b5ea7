"""The follower that counts what happens to runs, by minute, by hour and for all time.

The statements that move runs count nothing, for a counter that all of them write would be the one row
that all of them wait for. Events are counted after the fact instead, each exactly once, and whoever
wants the figures has the newest events counted first.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from apps.core.resources import sql
from apps.events.followers import follow
from apps.events.models import Cursor
from apps.events.records import StoredEvent
from apps.tasks.durations import BOUNDS
from apps.tasks.models import Resolution, Statistic

FOLLOWER = "task_statistics"
BATCH = 2000
#: How long the spans are kept.
_KEPT = {Resolution.MINUTE: timedelta(days=2), Resolution.HOUR: timedelta(days=90)}


def catch_up(*, seconds: float = 1.0) -> int:
    """Count events that are not counted yet, for about *seconds* at most. Returns how many.

    Whoever finds another at it leaves it to that one.
    """
    until, total = time.monotonic() + seconds, 0
    while True:
        count = _step()
        total += count
        if count < BATCH or time.monotonic() >= until:
            return total


@transaction.atomic
def _step() -> int:
    # Before all else: who waits here for another that begins must not have looked at anything yet.
    Cursor.objects.get_or_create(follower=FOLLOWER)
    mine = Cursor.objects.filter(follower=FOLLOWER)
    place = mine.select_for_update(skip_locked=True).values_list("xid", "position").first()
    if place is None:
        return 0
    if not any(place):
        # It begins, perhaps anew: what was counted before would be counted twice.
        Statistic.objects.all().delete()
    return follow(FOLLOWER, _count, limit=BATCH)


def _count(events: list[StoredEvent]) -> None:
    positions = [event.position for event in events if event.stream.startswith("task:")]
    if positions:
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "tally.sql"), {"positions": positions, "bounds": list(BOUNDS)})


def forget_old() -> int:
    """Delete the spans that are kept no longer, and return how many rows those were."""
    now = timezone.now()
    return sum(
        Statistic.objects.filter(resolution=resolution, starts_at__lt=now - kept).delete()[0]
        for resolution, kept in _KEPT.items()
    )
