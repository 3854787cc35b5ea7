"""Comparing what is stored with what the exchange says today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from apps.candles.ingestion import exchange_time, fetch_sifted, kept_from
from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes
from apps.candles.sources.base import VALUES
from apps.candles.storage.dirty import Ticks
from apps.candles.storage.reader import read_bars, read_state
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import M1, MINUTE, to_datetime, to_ms
from apps.candles.venues.catalogue import find_venue

#: Minutes that are asked for and compared at a time.
_PIECE = 5000 * MINUTE
#: Differences that are told one by one.
_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One minute (ms) that differs. Values are integers at the finer scales; None for no minute."""

    ts: int
    price_scale: int
    volume_scale: int
    stored: tuple[int, ...] | None
    given: tuple[int, ...] | None


@dataclass(kw_only=True)
class VerifyResult:
    """How stored minutes compare with the exchange's."""

    same: int = 0
    different: int = 0
    #: The exchange has them, and they are not stored.
    missing: int = 0
    #: They are stored, and the exchange does not have them.
    extra: int = 0
    #: The exchange's own rows that the quality gate rejects.
    rejected: int = 0
    repaired: int = 0
    #: The first ones.
    differences: list[Difference] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether there is no difference at all."""
        return not (self.different or self.missing or self.extra)


def verify(
    *,
    instrument: Instrument,
    start: datetime,
    end: datetime,
    mend: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> VerifyResult:
    """Fetch the minutes that open in [start, end) again and compare them with the stored ones, exactly.

    With *mend* what the exchange has and differs or is missing is stored. Minutes that the exchange does not
    have are left. Only minutes that are kept here, that the exchange still serves and that have ended are
    compared. Raises `VenueError`, also where it serves none of them.
    """
    result = VerifyResult()
    kept, hi = kept_from(), to_ms(end)
    lo = to_ms(start if kept is None else max(start, kept))
    clock = exchange_time(instrument.exchange)
    oldest = find_venue(instrument.exchange).first_minute(clock)
    if oldest is not None and oldest < hi:
        lo = max(lo, oldest)
    for at in range(lo, hi, _PIECE):
        until = min(hi, at + _PIECE)
        fetched = fetch_sifted(
            instrument=instrument, start=to_datetime(at), end=to_datetime(until), now_ms=clock
        )
        bad = np.array([one.ts for one in fetched.rejected if one.ts is not None], np.int64)
        _compare(instrument, fetched.minutes, fetched.start, fetched.end, bad, result)
        result.rejected += len(fetched.rejected)
        if mend and len(fetched.minutes):
            written = write_candles(instrument=instrument, minutes=fetched.minutes)
            result.repaired += written.inserted + written.updated
        if on_progress is not None:
            on_progress((until - lo) // MINUTE, (hi - lo) // MINUTE)
    return result


def _compare(
    instrument: Instrument,
    minutes: CheckedMinutes,
    start: int,
    end: int,
    bad: NDArray[np.int64],
    result: VerifyResult,
) -> None:
    """Add how the stored minutes in [start, end) compare with *minutes*; those at *bad* are left out."""
    state = read_state(instrument.exchange, instrument.symbol)
    assert state is not None
    stored = read_bars(timeframe=M1, state=state, start=start, end=end)
    # Both at the finer of the two scales.
    price = max(state.price_scale, minutes.price_scale)
    volume = max(state.volume_scale, minutes.volume_scale)
    ours = _table(stored, price - state.price_scale, volume - state.volume_scale)
    theirs = _table(
        {name: getattr(minutes, name) for name in ("ts", *VALUES)},
        price - minutes.price_scale,
        volume - minutes.volume_scale,
    )
    _, here, there = np.intersect1d(ours[:, 0], theirs[:, 0], assume_unique=True, return_indices=True)
    unlike = np.any(ours[here] != theirs[there], axis=1)
    extra = np.setdiff1d(np.setdiff1d(ours[:, 0], theirs[:, 0]), bad)
    missing = np.setdiff1d(theirs[:, 0], ours[:, 0])
    result.same += int(len(here) - unlike.sum())
    result.different += int(unlike.sum())
    result.extra += len(extra)
    result.missing += len(missing)
    known = {int(row[0]): tuple(row[1:].tolist()) for row in ours}
    given = {int(row[0]): tuple(row[1:].tolist()) for row in theirs}
    for ts in sorted([*ours[here][unlike][:, 0].tolist(), *extra.tolist(), *missing.tolist()]):
        if len(result.differences) == _TOLD:
            break
        result.differences.append(
            Difference(
                ts=ts, price_scale=price, volume_scale=volume, stored=known.get(ts), given=given.get(ts)
            )
        )


def _table(columns: Ticks, price: int, volume: int) -> NDArray[np.int64]:
    """One row for each minute: its time and its five values, with so many decimals more."""
    factors = {"ts": 1, "volume": 10**volume}
    return np.stack([columns[name] * factors.get(name, 10**price) for name in ("ts", *VALUES)], axis=1)
