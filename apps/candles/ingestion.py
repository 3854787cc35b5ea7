"""From an exchange to minutes that may be stored. Talks to the network, writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apps.candles.clients import client_for
from apps.candles.models import Instrument
from apps.candles.timeframes import to_ms
from apps.candles.venues.fetch import Page, fetch_minutes
from apps.candles.venues.quality import CheckedMinutes, ScaleTooCoarse, check_minutes


def fetch_checked(
    *,
    instrument: Instrument,
    start: datetime,
    end: datetime,
    now_ms: int | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> CheckedMinutes:
    """The instrument's minutes that open in [start, end) and have ended, past the quality gate.

    They may be finer than the instrument's scales; writing them raises those. *now_ms* is the
    exchange's time, which is asked for where it is not given.

    Raises `VenueError` and `RejectedCandles`.
    """
    client = client_for(instrument.exchange, instrument.symbol)
    raw = fetch_minutes(client, instrument.symbol, to_ms(start), to_ms(end), now_ms=now_ms, on_page=on_page)
    price_scale, volume_scale = instrument.price_scale, instrument.volume_scale
    while True:
        try:
            return check_minutes(
                raw.rows,
                start_ms=raw.start_ms,
                end_ms=raw.end_ms,
                now_ms=raw.now_ms,
                price_scale=price_scale,
                volume_scale=volume_scale,
            )
        except ScaleTooCoarse as exc:
            finer = max(price_scale, exc.price_scale), max(volume_scale, exc.volume_scale)
            if finer == (price_scale, volume_scale):
                raise
            price_scale, volume_scale = finer
