"""What operators ask for: backfills of any length, repairs and catalogues, as durable tasks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.candles import conf, services, tasks
from apps.candles.exchanges import limits
from apps.candles.instruments import parse_instrument
from apps.candles.models import Backfill, Instrument
from apps.candles.timeframes import D1, MINUTE, minute_of, to_datetime, to_ms
from apps.candles.venues import VENUES, find_venue


@transaction.atomic
def backfills_request(
    *, instrument_id_text: str, start: datetime, end: datetime, actor: str
) -> list[Backfill]:
    """Ask for the minutes that open in [start, end), however many; see `services.backfill_request`.

    A range that is too long for one backfill is several, cut at midnight UTC. Raises `InvalidBackfill`, and
    then nothing is asked for.
    """
    return [
        services.backfill_request(instrument_id_text=instrument_id_text, start=first, end=last, actor=actor)
        for first, last in _pieces(instrument_id_text, start, end)
    ]


def _pieces(text: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """A range in parts that are short enough. What makes no sense is left whole, to be refused as such."""
    try:
        exchange, _ = parse_instrument(text)
    except ValueError:
        return [(start, end)]
    venue = VENUES.get(exchange)
    if venue is None or venue.history is not None or start >= end:
        return [(start, end)]
    parts = []
    start, end = minute_of(start), minute_of(end)
    border = to_datetime(D1.floor(to_ms(start)))
    while start < end:
        border += conf.max_backfill()
        parts.append((start, min(border, end)))
        start = border
    return parts or [(start, end)]


def repair_request(
    *, instrument: Instrument, start: datetime | None = None, end: datetime | None = None, again: bool = False
) -> UUID:
    """Have what an instrument lacks in [start, end) asked for. Returns the run, perhaps one under way.

    Raises `UnknownVenue` for an instrument of an exchange that there is none of here.
    """
    parts = [part.isoformat() if part else None for part in (start, end)]
    key = f"candles.repair:{instrument.pk}"
    if again or start or end:
        key += f":{parts[0] or ''}:{parts[1] or ''}{':again' if again else ''}"
    pages = 2
    if start and end:
        page = find_venue(instrument.exchange).page
        pages += (to_ms(end) - to_ms(start)) // (page * MINUTE)
    result = tasks.repair.apply_async(
        kwargs={"instrument_id": instrument.pk, "start": parts[0], "end": parts[1], "again": again},
        unique_key=key,
        **limits(instrument.exchange, requests=pages),
    )
    return UUID(result.id)


def markets_request(*, exchange: str) -> UUID:
    """Have an exchange's list of markets read. Returns the run, which may be under way already."""
    find_venue(exchange)
    result = tasks.sync_markets.apply_async(
        kwargs={"exchange": exchange}, unique_key=f"candles.markets:{exchange}"
    )
    return UUID(result.id)
