"""How exchanges want to be treated: how much at once, how much a minute, and when not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models.functions import Greatest
from django.utils import timezone

from apps.candles import conf
from apps.candles.models import Exchange
from apps.candles.venues.catalogue import find_venue
from apps.candles.venues.errors import VenueUnavailable

#: What an exchange may ask for at most (seconds), as durable tasks have it too.
_LONGEST_REST = 86_400.0


def limits(exchange: str, *, requests: int) -> dict[str, Any]:
    """Options of a durable task that makes about so many requests to an exchange.

    Chunks and repairs have them. Of these, across all workers, no more run at a time, and they make no more
    requests a minute, than ``CANDLES_EXCHANGE_LIMITS`` allows or, where it says nothing, suits the exchange.
    Syncs, look-ups of an instrument and lists of markets do not count: a sync must not wait for backfills.
    What holds for them is the pace of the exchange's client, which is kept in each process by itself.
    """
    venue = find_venue(exchange)
    asked = conf.exchange_limits().get(exchange, {})
    rate = asked.get("rate", venue.rate)
    return {
        "concurrency_key": f"exchange:{exchange}",
        "concurrency_limit": asked.get("concurrency", venue.concurrency),
        "rate_key": f"exchange:{exchange}",
        "rate": f"{rate}/m",
        "rate_cost": min(max(1, requests), rate),
    }


@contextmanager
def respected(exchange: str) -> Iterator[None]:
    """Ask an exchange within this block, unless it asked to be left alone for a time that is not over.

    Then, and when it asks so now, `VenueUnavailable` says for how long; others are told by the database.
    """
    check_rest(exchange)
    try:
        yield
    except VenueUnavailable as exc:
        if exc.retry_after:
            rest(exchange, seconds=exc.retry_after, reason=str(exc))
        raise


def check_rest(exchange: str) -> None:
    """Raise `VenueUnavailable` while an exchange wants to be left alone, with how long that is."""
    now = timezone.now()
    resting = Exchange.objects.filter(name=exchange, resting_until__gt=now).first()
    if resting is not None and resting.resting_until is not None:
        raise VenueUnavailable(
            f"{exchange} asked to be left alone: {resting.resting_reason}",
            retry_after=(resting.resting_until - now).total_seconds(),
        )


def rest(exchange: str, *, seconds: float, reason: str) -> None:
    """Leave an exchange alone for so long, as it asked for in these words: here and in every process."""
    until = timezone.now() + timedelta(seconds=min(seconds, _LONGEST_REST))
    Exchange.objects.bulk_create([Exchange(name=exchange)], ignore_conflicts=True)
    Exchange.objects.filter(name=exchange).update(
        resting_until=Greatest("resting_until", until), resting_reason=reason
    )
