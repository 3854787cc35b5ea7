"""Bringing followed instruments up to the present."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from apps.candles import conf, selectors
from apps.candles.ingestion import Fetched, exchange_time, fetch_sifted
from apps.candles.models import Instrument
from apps.candles.quarantine import quarantine
from apps.candles.services import sync_range
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.storage.writer import BeyondRetention, write_batch
from apps.candles.storing import store_fetched
from apps.candles.venues.errors import VenueError, VenueUnavailable

logger = logging.getLogger(__name__)

#: Instruments whose minutes are stored, and their roll-ups made, together.
_TOGETHER = 50
#: After so many failures of an exchange in a row it is away; fewer may be the trouble of single instruments.
_AWAY = 3


class SyncFailed(Exception):
    """No instrument could be brought up to date. ``retry_after`` is the wait that was asked for, if any."""

    def __init__(self, failed: dict[str, str], retry_after: float | None) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
        self.retry_after = retry_after


@dataclass(kw_only=True)
class SyncResult:
    """What a sync came to."""

    synced: int = 0
    #: Minutes that were not stored before.
    rows: int = 0
    #: What was not brought up to date, and why.
    failed: dict[str, str] = field(default_factory=dict)
    #: The wait (seconds) that the exchange asked for.
    retry_after: float | None = None


def sync_instruments(
    instruments: Sequence[Instrument],
    *,
    run: uuid.UUID | None,
    on_progress: Callable[[int, Instrument], None],
) -> SyncResult:
    """Fetch and store what instruments of one exchange lack up to the last minute that has ended.

    Once the exchange asked to be left alone, or was unavailable for three instruments in a row, it is asked
    for nothing more.
    """
    result = SyncResult()
    now = timezone.now()
    last = selectors.latest([one.pk for one in instruments], since=now - conf.sync_lookback())
    clock: int | None = None
    resting: VenueUnavailable | None = None
    unavailable = 0
    batch: list[tuple[Instrument, Fetched]] = []
    for done, instrument in enumerate(instruments):
        wanted = sync_range(last=last.get(instrument.pk), now=now)
        if wanted is None:
            result.synced += 1
            continue
        on_progress(done, instrument)
        try:
            if resting is not None:
                raise resting
            if clock is None:
                clock = exchange_time(instrument.exchange)
            batch.append(
                (
                    instrument,
                    fetch_sifted(instrument=instrument, start=wanted[0], end=wanted[1], now_ms=clock),
                )
            )
            unavailable = 0
        except VenueError as exc:
            unavailable = unavailable + 1 if isinstance(exc, VenueUnavailable) else 0
            if isinstance(exc, VenueUnavailable) and (exc.retry_after or unavailable >= _AWAY):
                resting = exc
                result.retry_after = exc.retry_after
            _failed(result, instrument, exc)
        if len(batch) == _TOGETHER:
            _store(batch, run, result)
            batch = []
    _store(batch, run, result)
    return result


def _store(batch: list[tuple[Instrument, Fetched]], run: uuid.UUID | None, result: SyncResult) -> None:
    """Store a batch at once or, where one of its instruments cannot be stored so, one by one."""
    try:
        result.rows += _write(batch, run)
        result.synced += len(batch)
    except (ScaleOverflow, BeyondRetention):
        for instrument, fetched in batch:
            try:
                stored = store_fetched(instrument=instrument, fetched=fetched, origin="sync", run=run)
            except (ScaleOverflow, BeyondRetention) as exc:
                _failed(result, instrument, exc)
            else:
                result.rows += stored.written.inserted
                result.synced += 1


@transaction.atomic
def _write(batch: list[tuple[Instrument, Fetched]], run: uuid.UUID | None) -> int:
    written = write_batch(batch=[(instrument, fetched.minutes) for instrument, fetched in batch])
    for instrument, fetched in batch:
        quarantine(instrument=instrument, rejected=fetched.rejected, origin="sync", run=run)
    return sum(one.inserted for one in written)


def _failed(result: SyncResult, instrument: Instrument, exc: Exception) -> None:
    result.failed[instrument.text] = f"{type(exc).__name__}: {exc}"
    logger.warning("%s was not brought up to date: %s", instrument, exc)
