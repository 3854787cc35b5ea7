"""Timeframes: which exist, what each is made of, and how a moment falls into a bucket.

Every bucket is half-open, ``[open time, open time + width)``, in UTC. Buckets are counted from
Monday, 1970-01-05, so weeks start on Monday and every narrower bucket starts where a UTC day does.
Times are integers: milliseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000
DAY = 86_400_000

#: 1970-01-05T00:00Z, a Monday: where the counting of buckets starts.
ORIGIN = 4 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Timeframe:
    """One bar width, whose bars lie in `table` and are made from those of `lower`."""

    name: str
    #: Width of a bucket in milliseconds.
    width: int
    #: The next lower timeframe; None for 1m, whose bars are what is written.
    lower: Timeframe | None = None

    @property
    def table(self) -> str:
        """The relation that holds the bars: a table, or a view of TimescaleDB's."""
        return f"candle_{self.name}"

    def floor(self, ts: int) -> int:
        """The open time of the bucket that *ts* falls into."""
        return ts - (ts - ORIGIN) % self.width

    def ceil(self, ts: int) -> int:
        """The first open time that is not before *ts*."""
        return ts + -(ts - ORIGIN) % self.width

    def floors(self, ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """`floor` of a whole array."""
        return ts - (ts - ORIGIN) % self.width

    def count(self, start: int, end: int) -> int:
        """How many buckets open in [start, end)."""
        return max(0, (self.ceil(end) - self.ceil(start)) // self.width)


M1 = Timeframe(name="1m", width=MINUTE)
M5 = Timeframe(name="5m", width=5 * MINUTE, lower=M1)
M15 = Timeframe(name="15m", width=15 * MINUTE, lower=M5)
M30 = Timeframe(name="30m", width=30 * MINUTE, lower=M15)
H1 = Timeframe(name="1h", width=60 * MINUTE, lower=M30)
H4 = Timeframe(name="4h", width=240 * MINUTE, lower=H1)
D1 = Timeframe(name="1d", width=DAY, lower=H4)
W1 = Timeframe(name="1w", width=7 * DAY, lower=D1)

#: Every timeframe by its name, narrowest first.
TIMEFRAMES = {t.name: t for t in (M1, M5, M15, M30, H1, H4, D1, W1)}

#: What is made of minutes, lowest first: the order in which it is refreshed.
ROLLUPS = (M5, M15, M30, H1, H4, D1, W1)


def to_ms(moment: datetime) -> int:
    """The first whole millisecond that is not before the aware *moment*.

    Rounding up keeps half-open ranges exact: a millisecond ``t`` lies at or after a moment exactly
    when ``t >= to_ms(moment)``.
    """
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def to_datetime(ts: int) -> datetime:
    """Milliseconds as an aware datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=ts)


def minute_of(moment: datetime) -> datetime:
    """The start of the minute that the aware *moment* falls into."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
