"""Changes to the candle store: the public face for writing.

Candles themselves are changed by `write_batch`, `write_candles`, `delete_candles`, `raise_scale` and
`refresh_rollups`, which live in `storage`; the rest of this module is about instruments and backfills.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.candles import conf
from apps.candles.catalogue import CatalogueResult, catalogue_update, instrument_upsert
from apps.candles.exchanges import limits
from apps.candles.ingestion import Fetched
from apps.candles.instruments import parse_instrument
from apps.candles.models import Backfill, BackfillChunk, Instrument
from apps.candles.quarantine import (
    NotHeld,
    NotSound,
    quarantine,
    quarantined_discard,
    quarantined_readmit,
)
from apps.candles.repairing import RepairResult, repair
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.storage.given import Minutes
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.scales import raise_scale
from apps.candles.storage.writer import (
    BeyondRetention,
    WriteResult,
    delete_candles,
    write_batch,
    write_candles,
)
from apps.candles.storing import Stored, store_fetched
from apps.candles.timeframes import D1, minute_of, to_datetime, to_ms
from apps.candles.venues.catalogue import VENUES, find_venue

__all__ = [
    "BeyondRetention",
    "CatalogueResult",
    "InvalidBackfill",
    "Minutes",
    "NotHeld",
    "NotSound",
    "RepairResult",
    "ScaleOverflow",
    "WriteResult",
    "backfill_plan",
    "backfill_request",
    "catalogue_update",
    "chunk_complete",
    "delete_candles",
    "instrument_upsert",
    "quarantine",
    "quarantined_discard",
    "quarantined_readmit",
    "raise_scale",
    "refresh_rollups",
    "repair",
    "write_batch",
    "write_candles",
]


class InvalidBackfill(ValueError):
    """A backfill that makes no sense. ``field`` names the argument at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@transaction.atomic
def backfill_request(*, instrument_id_text: str, start: datetime, end: datetime, actor: str) -> Backfill:
    """Ask for the minutes of an instrument that open in [start, end), and set the work going.

    The instrument need not be known: the first task looks it up at the exchange, and a symbol that
    the exchange does not have leaves that task dead with the reason. *start* and *end* are cut down
    to whole minutes. Asking twice for the same range is harmless: what is stored is not written again.

    Raises `InvalidBackfill` when the instrument's text has another shape or names an exchange that
    there is not here, and when the range is naive, reversed, empty, in the future, too long, or older
    than what is kept here or served there.
    """
    from apps.candles.tasks import prepare_backfill

    try:
        exchange, symbol = parse_instrument(instrument_id_text)
    except ValueError as exc:
        raise InvalidBackfill("instrument", str(exc)) from None
    known = [name for name in conf.exchange_urls() if name in VENUES]
    if exchange not in known:
        raise InvalidBackfill("instrument", f"no exchange {exchange!r} here; there is {', '.join(known)}")
    for name, moment in (("start", start), ("end", end)):
        if timezone.is_naive(moment):
            raise InvalidBackfill(name, f"{name} has no time zone")
    if end > timezone.now():
        raise InvalidBackfill("end", "end is in the future")
    start, end = minute_of(start), minute_of(end)
    if start >= end:
        raise InvalidBackfill("start", "start must be at least a whole minute before end")
    if end - start > conf.max_backfill():
        raise InvalidBackfill("start", f"the range is longer than {conf.max_backfill().days} days")
    kept, oldest = conf.retention(), find_venue(exchange).first_minute(to_ms(timezone.now()))
    if kept is not None and start < timezone.now() - kept:
        raise InvalidBackfill("start", f"minutes are kept for {kept.days} days only")
    if oldest is not None and to_ms(start) < oldest:
        raise InvalidBackfill(
            "start" if to_ms(end) > oldest else "end",
            f"{exchange} serves minutes from {to_datetime(oldest):%Y-%m-%d %H:%M} UTC on only",
        )
    backfill = Backfill(exchange=exchange, symbol=symbol, start=start, end=end, requested_by=actor)
    result = prepare_backfill.apply_async(
        kwargs={"backfill_id": str(backfill.pk)}, unique_key=f"candles.backfill:{backfill.pk}"
    )
    backfill.prepare_run = UUID(result.id)
    backfill.save(force_insert=True)
    return backfill


@transaction.atomic
def backfill_plan(*, backfill: Backfill, instrument: Instrument) -> list[BackfillChunk]:
    """Cut a backfill into chunks and request a run for each. Doing it again changes nothing.

    Chunks begin and end at midnight UTC where the range allows it: no two then touch the same day. The
    first backfill of an instrument makes it a followed one.
    """
    from apps.candles.tasks import ingest_chunk

    # Of two who plan at once the second finds what the first has made.
    Backfill.objects.select_for_update().get(pk=backfill.pk)
    if planned := list(backfill.chunks.all()):
        return planned
    first = not Backfill.objects.filter(instrument=instrument).exclude(pk=backfill.pk).exists()
    Backfill.objects.filter(pk=backfill.pk).update(instrument=instrument)
    if first:
        Instrument.objects.filter(pk=instrument.pk).update(followed=True)
    chunks = []
    page = find_venue(backfill.exchange).page
    start = backfill.start
    border = to_datetime(D1.floor(to_ms(start)))
    while start < backfill.end:
        border += conf.chunk()
        end = min(border, backfill.end)
        chunk = BackfillChunk(backfill=backfill, start=start, end=end)
        result = ingest_chunk.apply_async(
            kwargs={"chunk_id": str(chunk.pk)},
            unique_key=f"candles.chunk:{chunk.pk}",
            **limits(backfill.exchange, requests=-(-(end - start) // timedelta(minutes=page))),
        )
        chunk.task_run = UUID(result.id)
        chunks.append(chunk)
        start = end
    return BackfillChunk.objects.bulk_create(chunks)


@transaction.atomic
def chunk_complete(
    *, chunk: BackfillChunk, instrument: Instrument, fetched: Fetched, run: UUID | None = None
) -> Stored:
    """Store what was fetched for a chunk, and note how much that was: all of it or nothing.

    Roll-ups are left to their next refresh; readers do not notice. See `store_fetched`.
    """
    stored = store_fetched(instrument=instrument, fetched=fetched, origin="backfill", run=run, refresh=False)
    BackfillChunk.objects.filter(pk=chunk.pk).update(rows=stored.written.rows, quarantined=stored.quarantined)
    return stored


def sync_range(*, last: datetime | None, now: datetime) -> tuple[datetime, datetime] | None:
    """The minutes [start, end) that a sync at *now* fetches; None when nothing is missing.

    From the last stored minute on, which is fetched again because an exchange may still correct it,
    but no further back than the look-back; up to the minute that is forming, which is left out.
    """
    end = minute_of(now)
    if last is not None and last >= end - timedelta(minutes=1):
        return None
    earliest = end - conf.sync_lookback()
    return max(earliest, last) if last is not None else earliest, end
