"""From an exchange to minutes that may be stored. Talks to the network, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from apps.candles.clients import client_for
from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes, Rejected, sift_minutes
from apps.candles.timeframes import to_ms
from apps.candles.venues.fetch import Page, fetch_minutes


class RejectedCandles(Exception):
    """A batch with rows that must not be stored. *ts* is the open time (ms) of the first, if it has one."""

    def __init__(self, rejected: Sequence[Rejected]) -> None:
        first = rejected[0]
        super().__init__(first.message if first.ts is None else f"{first.message} (minute {first.ts})")
        self.rejected = rejected
        self.ts = first.ts
        self.retry_after: float | None = None


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
    sifted = sift_minutes(
        raw.rows,
        start_ms=raw.start_ms,
        end_ms=raw.end_ms,
        now_ms=raw.now_ms,
        price_scale=instrument.price_scale,
        volume_scale=instrument.volume_scale,
    )
    if sifted.rejected:
        raise RejectedCandles(sifted.rejected)
    return sifted.minutes
