"""Ingestion and upkeep as durable tasks. The network is asked outside of any transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from celery import shared_task
from celery.signals import worker_init
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from apps.candles import conf, selectors, services
from apps.candles.clients import client_for
from apps.candles.exchanges import limits, respected
from apps.candles.ingestion import fetch_sifted
from apps.candles.models import Backfill, BackfillChunk, Instrument
from apps.candles.repairing import ROUTINE, forget_filled, instruments_noted, open_gaps, requests_for
from apps.candles.storage import policies
from apps.candles.storage.revisions import merge_revisions
from apps.candles.syncing import SyncFailed, sync_instruments
from apps.candles.timeframes import MINUTE, to_ms
from apps.candles.venues.catalogue import VENUES
from apps.candles.venues.errors import VenueRefused
from apps.candles.venues.fetch import Page
from apps.candles.venues.instruments import list_markets, load_instrument
from apps.tasks import Backoff, DurableTask, PermanentError, current_run

logger = logging.getLogger(__name__)

_INGESTION: dict[str, Any] = {
    "queue": "ingest",
    "atomic": False,
    "max_attempts": 8,
    "backoff": Backoff(base=5, factor=2, maximum=900),
}
#: What beat asks for again soon anyway.
_REPEATED: dict[str, Any] = {
    "queue": "ingest",
    "atomic": False,
    "max_attempts": 3,
    "backoff": Backoff(base=2, factor=2, maximum=30),
}


@contextmanager
def _final_refusals() -> Iterator[None]:
    """End the run at once where trying again cannot help. Everything else is tried again."""
    try:
        yield
    except (VenueRefused, services.ScaleOverflow, services.BeyondRetention, ObjectDoesNotExist) as exc:
        raise PermanentError(f"{type(exc).__name__}: {exc}") from exc


@shared_task(base=DurableTask, name="candles.prepare_backfill", **_INGESTION)
def prepare_backfill(*, backfill_id: str) -> None:
    """Look the instrument up at its exchange, then plan the chunks."""
    planned: dict[str, Any] = {}
    with _final_refusals():
        backfill = Backfill.objects.get(pk=backfill_id)
        with respected(backfill.exchange):
            found = load_instrument(client_for(backfill.exchange, backfill.symbol), backfill.symbol)
        with current_run().completing(result=planned):
            instrument = services.instrument_upsert(exchange=backfill.exchange, found=found)
            chunks = services.backfill_plan(backfill=backfill, instrument=instrument)
            planned.update(instrument=instrument.text, chunks=len(chunks))


@shared_task(base=DurableTask, name="candles.ingest_chunk", **_INGESTION)
def ingest_chunk(*, chunk_id: str) -> None:
    """Fetch all of a chunk, then store all of it together with the run's success.

    Of a chunk that has grown too old for its exchange the rest is stored; the result says how much that was
    not served.
    """
    with _final_refusals():
        chunk = BackfillChunk.objects.select_related("backfill__instrument").get(pk=chunk_id)
    instrument = chunk.backfill.instrument
    assert instrument is not None
    run = current_run()
    start, end = to_ms(chunk.start), to_ms(chunk.end)

    def on_page(page: Page) -> None:
        run.progress((page.reached_ms - start) // MINUTE, (end - start) // MINUTE, "minutes fetched")

    written: dict[str, Any] = {}
    with _final_refusals():
        fetched = fetch_sifted(instrument=instrument, start=chunk.start, end=chunk.end, on_page=on_page)
        with run.completing(result=written):
            stored = services.chunk_complete(chunk=chunk, instrument=instrument, fetched=fetched, run=run.id)
            refresh_rollups.apply_async(unique_key="candles.refresh_rollups")
            written.update(
                inserted=stored.written.inserted,
                updated=stored.written.updated,
                unchanged=stored.written.unchanged,
                quarantined=stored.quarantined,
                not_served=fetched.not_served,
            )


@shared_task(base=DurableTask, name="candles.sync_all", **_REPEATED)
def sync_all() -> dict[str, Any]:
    """Have every exchange's followed instruments brought up to date. Run by beat every minute.

    One task for each exchange, so that the trouble of one is not the trouble of all. An exchange whose
    last sync is still under way is left to it.
    """
    names = selectors.exchanges_followed()
    for name in names:
        # A fetch for each instrument would be too much for the rate to wait for: the client paces itself.
        sync_exchange.apply_async(kwargs={"exchange": name}, unique_key=f"candles.sync:{name}")
    return {"exchanges": names}


@shared_task(base=DurableTask, name="candles.sync_exchange", **_REPEATED)
def sync_exchange(*, exchange: str) -> dict[str, Any]:
    """Bring every followed instrument of an exchange up to the last minute that has ended.

    What goes wrong with one instrument is told in the result and tried again by the next sync. Fails when
    nothing could be brought up to date.
    """
    run = current_run()
    instruments = list(selectors.instruments(exchange=exchange, active=True, followed=True))
    result = sync_instruments(
        instruments,
        run=run.id,
        on_progress=lambda done, instrument: run.progress(done, len(instruments), instrument.text),
    )
    if result.failed and not result.synced:
        raise SyncFailed(result.failed, result.retry_after)
    return {"instruments": result.synced, "rows": result.rows, "failed": result.failed}


@shared_task(base=DurableTask, name="candles.sync_markets", **_INGESTION)
def sync_markets(*, exchange: str) -> None:
    """Read an exchange's list of markets and bring its instruments in line with it."""
    changes: dict[str, Any] = {}
    with _final_refusals():
        with respected(exchange):
            listing = list_markets(client_for(exchange))
        with current_run().completing(result=changes):
            changes.update(asdict(services.catalogue_update(exchange=exchange, listing=listing)))


@shared_task(base=DurableTask, name="candles.sync_catalogues", **_REPEATED)
def sync_catalogues() -> dict[str, Any]:
    """Have the list of markets of every exchange in use read. Run by beat every day."""
    names = selectors.exchanges_followed()
    for name in names:
        sync_markets.apply_async(kwargs={"exchange": name}, unique_key=f"candles.markets:{name}")
    return {"exchanges": names}


@shared_task(base=DurableTask, name="candles.repair", **_INGESTION)
def repair(
    *,
    instrument_id: int,
    start: str | None = None,
    end: str | None = None,
    again: bool = False,
    routine: bool = False,
) -> dict[str, Any]:
    """Ask the exchange for an instrument's missing minutes in [start, end) and store what it has.

    In *routine*, long gaps are left out: they are for a backfill, or for somebody who asks for a repair.
    """
    run = current_run()
    with _final_refusals():
        result = services.repair(
            instrument=Instrument.objects.get(pk=instrument_id),
            start=datetime.fromisoformat(start) if start else None,
            end=datetime.fromisoformat(end) if end else None,
            again=again,
            longest=ROUTINE if routine else None,
            run=run.id,
            on_progress=lambda done, total: run.progress(done, total, "missing minutes"),
        )
    return asdict(result)


@shared_task(base=DurableTask, name="candles.repair_gaps", **_REPEATED)
def repair_gaps() -> dict[str, Any]:
    """Have the gaps of every followed instrument repaired. Run by beat every hour.

    What was noted as absent and is stored by now is forgotten, whoever's it is.
    """
    for one in instruments_noted():
        forget_filled(instrument=one)
    found: list[str] = []
    for one in selectors.instruments(active=True, followed=True):
        gaps = open_gaps(instrument=one, longest=ROUTINE) if one.exchange in VENUES else []
        if not gaps:
            continue
        found.append(one.text)
        repair.apply_async(
            kwargs={"instrument_id": one.pk, "routine": True},
            # Not that of a repair that somebody asked for, which leaves nothing out.
            unique_key=f"candles.repair_routine:{one.pk}",
            **limits(one.exchange, requests=requests_for(exchange=one.exchange, gaps=gaps)),
        )
    return {"instruments": found}


@shared_task(base=DurableTask, name="candles.refresh_rollups", **_REPEATED)
def refresh_rollups() -> dict[str, Any]:
    """Refresh the roll-ups of what has changed since they were made. Run by beat every minute, and after
    a backfill; readers are given what they will be until then.

    While chunks of a backfill are still to come, what they have changed waits for the last of them, but not
    for longer than ``CANDLES_REFRESH_AFTER``: to refresh the same days for each would cost far more.
    """
    oldest = selectors.oldest_change()
    if oldest is None:
        return {"days": 0}
    if selectors.chunks_under_way() and timezone.now() - oldest < conf.refresh_after():
        return {"waiting": "for the last chunk of a backfill"}
    return {"days": services.refresh_rollups()}


@shared_task(base=DurableTask, name="candles.maintain", **_REPEATED)
def maintain() -> dict[str, Any]:
    """Make partitions ahead of time, or have TimescaleDB's policies as the settings want them. Hourly.

    Versions are kept short, too.
    """
    merge_revisions()
    return {"changes": policies.apply()}


@worker_init.connect
def _import_ccxt(sender: Any, **_: Any) -> None:
    """In the main process of a worker that asks exchanges: its pool is forked with it imported."""
    if "ingest" in sender.app.amqp.queues.consume_from:
        import ccxt  # noqa: F401
