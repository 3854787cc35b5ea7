"""What an exchange has into the store: the sound minutes among the candles, the others into quarantine."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass

from django.db import transaction

from apps.candles.ingestion import Fetched
from apps.candles.models import Instrument
from apps.candles.quarantine import quarantine
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.storage.writer import WriteResult, write_candles

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of what was fetched."""

    written: WriteResult
    #: What was fetched, in the parts that were stored and put into quarantine.
    fetched: Fetched

    @property
    def quarantined(self) -> int:
        """How many rows are in quarantine."""
        return len(self.fetched.rejected)


@transaction.atomic
def store_fetched(
    *,
    instrument: Instrument,
    fetched: Fetched,
    origin: str,
    run: uuid.UUID | None = None,
    refresh: bool = True,
) -> Stored:
    """Store what was fetched of an instrument, all of it or nothing.

    Rows so fine that what is stored already would not fit with as many decimals go into quarantine, lest one
    of them keeps all others out; the scales then stay as they are. Raises what `write_candles` raises.
    """
    try:
        written = write_candles(instrument=instrument, minutes=fetched.minutes, refresh=refresh)
    except ScaleOverflow as exc:
        # The scales that it had in memory may be ones that were taken back.
        instrument.refresh_from_db(fields=["price_scale", "volume_scale"])
        price_scale, volume_scale = instrument.price_scale, instrument.volume_scale
        if fetched.minutes.price_scale <= price_scale and fetched.minutes.volume_scale <= volume_scale:
            raise
        logger.warning("%s: finer rows go into quarantine: %s", instrument, exc)
        fetched = fetched.no_finer(price_scale=price_scale, volume_scale=volume_scale)
        written = write_candles(instrument=instrument, minutes=fetched.minutes, refresh=refresh)
    quarantine(instrument=instrument, rejected=fetched.rejected, origin=origin, run=run)
    return Stored(written=written, fetched=fetched)
