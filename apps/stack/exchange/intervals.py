"""The candle intervals and the arithmetic of their boundaries, in whole minutes since 1970 (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINUTE_MS = 60_000
_MONDAY = 4 * 1440  # 1970-01-05: weeks start on Mondays


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A named interval: *minutes* long counted from *anchor*, or calendar months when minutes is 0."""

    name: str
    minutes: int
    anchor: int = 0

    def floor_all(self, minutes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The opening minute of the bar that holds each of *minutes*."""
        if not self.minutes:
            months = minutes.astype("datetime64[m]").astype("datetime64[M]")
            return months.astype("datetime64[m]").astype(np.int64)
        return minutes - (minutes - self.anchor) % self.minutes

    def floor(self, minute: int) -> int:
        return int(self.floor_all(np.array([minute], dtype=np.int64))[0])

    def ceil(self, minute: int) -> int:
        """The first opening minute at or after *minute*."""
        opening = self.floor(minute)
        return opening if opening == minute else self.shift(opening, 1)

    def shift_all(self, openings: NDArray[np.int64], bars: int) -> NDArray[np.int64]:
        """The opening minutes *bars* bars after each of *openings*."""
        if not self.minutes:
            months = openings.astype("datetime64[m]").astype("datetime64[M]") + np.timedelta64(bars, "M")
            return months.astype("datetime64[m]").astype(np.int64)
        return openings + bars * self.minutes

    def shift(self, opening: int, bars: int) -> int:
        return int(self.shift_all(np.array([opening], dtype=np.int64), bars)[0])


# The exchange's own list but for "1s": its smallest unit of history here is a minute.
INTERVALS: Mapping[str, Interval] = {
    interval.name: interval
    for interval in (
        Interval(name="1m", minutes=1),
        Interval(name="3m", minutes=3),
        Interval(name="5m", minutes=5),
        Interval(name="15m", minutes=15),
        Interval(name="30m", minutes=30),
        Interval(name="1h", minutes=60),
        Interval(name="2h", minutes=120),
        Interval(name="4h", minutes=240),
        Interval(name="6h", minutes=360),
        Interval(name="8h", minutes=480),
        Interval(name="12h", minutes=720),
        Interval(name="1d", minutes=1440),
        Interval(name="3d", minutes=4320),
        Interval(name="1w", minutes=10080, anchor=_MONDAY),
        Interval(name="1M", minutes=0),
    )
}
