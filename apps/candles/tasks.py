"""Ingestion as durable tasks. The network is asked outside of any transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from celery.signals import worker_init
from django.utils import timezone

from apps.candles import conf, selectors, services
from apps.candles.clients import client_for
from apps.candles.ingestion import RejectedCandles, fetch_checked
from apps.candles.models import Backfill, BackfillChunk, Instrument
from apps.candles.timeframes import MINUTE, to_ms
from apps.candles.venues.errors import VenueError, VenueRefused, VenueUnavailable
from apps.candles.venues.fetch import Page, server_time
from apps.candles.venues.instruments import load_instrument
from apps.tasks import Backoff, DurableTask, PermanentError, current_run
from apps.tasks.models import TaskRun

logger = logging.getLogger(__name__)

_INGESTION: dict[str, Any] = {
    "queue": "ingest",
    "atomic": False,
    "max_attempts": 8,
    "backoff": Backoff(base=5, factor=2, maximum=900),
}


class SyncFailed(Exception):
    """No instrument could be brought up to date. ``retry_after`` is the wait that was asked for, if any."""

    def __init__(self, failed: dict[str, str], retry_after: float | None) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
        self.retry_after = retry_after


@contextmanager
def _final_refusals() -> Iterator[None]:
    """End the run at once where trying again cannot help. Everything else is tried again."""
    try:
        yield
    except (VenueRefused, services.ScaleOverflow) as exc:
        raise PermanentError(f"{type(exc).__name__}: {exc}") from exc


@shared_task(base=DurableTask, name="candles.prepare_backfill", **_INGESTION)
def prepare_backfill(*, backfill_id: str) -> None:
    """Look the instrument up at its exchange, then plan the chunks."""
    backfill = Backfill.objects.get(pk=backfill_id)
    planned: dict[str, Any] = {}
    with _final_refusals():
        found = load_instrument(client_for(backfill.exchange, backfill.symbol), backfill.symbol)
        if found.kind not in Instrument.Kind.values:
            raise PermanentError(f"{backfill.text} is of the kind {found.kind}, which is not kept")
        with current_run().completing(result=planned):
            instrument = services.instrument_upsert(
                exchange=backfill.exchange,
                symbol=backfill.symbol,
                base=found.base,
                quote=found.quote,
                kind=found.kind,
                price_scale=found.price_scale,
                volume_scale=found.volume_scale,
                active=found.active,
            )
            chunks = services.backfill_plan(backfill=backfill, instrument=instrument)
            planned.update(instrument=instrument.text, chunks=len(chunks))


@shared_task(base=DurableTask, name="candles.ingest_chunk", **_INGESTION)
def ingest_chunk(*, chunk_id: str) -> None:
    """Fetch all of a chunk, then store all of it together with the run's success."""
    chunk = BackfillChunk.objects.select_related("backfill__instrument").get(pk=chunk_id)
    instrument = chunk.backfill.instrument
    assert instrument is not None
    run = current_run()
    start, end = to_ms(chunk.start), to_ms(chunk.end)

    def on_page(page: Page) -> None:
        run.progress((page.reached_ms - start) // MINUTE, (end - start) // MINUTE, "minutes fetched")

    written: dict[str, Any] = {}
    with _final_refusals():
        minutes = fetch_checked(instrument=instrument, start=chunk.start, end=chunk.end, on_page=on_page)
        with run.completing(result=written):
            result = services.chunk_complete(chunk=chunk, instrument=instrument, minutes=minutes)
            written.update(inserted=result.inserted, updated=result.updated, unchanged=result.unchanged)


@shared_task(
    base=DurableTask,
    name="candles.sync_all",
    queue="ingest",
    atomic=False,
    max_attempts=3,
    backoff=Backoff(base=2, factor=2, maximum=30),
)
def sync_all() -> dict[str, Any]:
    """Bring every active instrument up to the last minute that has ended. Run by beat every minute.

    Instruments are written one by one, so that the trouble of one is not the trouble of all; after
    an exchange was unavailable once, it is left alone until the next tick. Fails when nothing could be
    brought up to date; otherwise the result lists what was not, and the next tick tries that again.
    """
    run = current_run()
    earlier = TaskRun.objects.filter(task="candles.sync_all", state=TaskRun.State.RUNNING)
    if run.id is not None and earlier.filter(pk__lt=run.id).exists():
        return {"skipped": "an earlier sync is still under way"}
    now = timezone.now()
    instruments = list(selectors.instruments(active=True))
    last = selectors.latest([one.pk for one in instruments], since=now - conf.sync_lookback())
    clocks: dict[str, int] = {}
    resting: dict[str, VenueUnavailable] = {}
    failed: dict[str, str] = {}
    synced = rows = 0
    for done, instrument in enumerate(instruments):
        wanted = services.sync_range(last=last.get(instrument.pk), now=now)
        if wanted is None:
            synced += 1
            continue
        run.progress(done, len(instruments), instrument.text)
        try:
            if instrument.exchange in resting:
                raise resting[instrument.exchange]
            if instrument.exchange not in clocks:
                clocks[instrument.exchange] = server_time(client_for(instrument.exchange))
            minutes = fetch_checked(
                instrument=instrument, start=wanted[0], end=wanted[1], now_ms=clocks[instrument.exchange]
            )
            rows += services.write_candles(instrument=instrument, minutes=minutes).inserted
            synced += 1
        except (VenueError, RejectedCandles, services.ScaleOverflow) as exc:
            if isinstance(exc, VenueUnavailable):
                resting[instrument.exchange] = exc
            failed[instrument.text] = f"{type(exc).__name__}: {exc}"
            logger.warning("%s was not brought up to date: %s", instrument, failed[instrument.text])
    if failed and not synced:
        waits = [exc.retry_after for exc in resting.values() if exc.retry_after is not None]
        raise SyncFailed(failed, max(waits, default=None))
    return {"instruments": synced, "rows": rows, "failed": failed}


@worker_init.connect
def _import_ccxt(sender: Any, **_: Any) -> None:
    """In the main process of a worker that asks exchanges: its pool is forked with it imported."""
    if "ingest" in sender.app.amqp.queues.consume_from:
        import ccxt  # noqa: F401
