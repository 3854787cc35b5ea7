"""The gate itself: what of a batch is sound, at which scales, and what is not and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.candles.quality.bulk import TENS, read_numbers, read_times
from apps.candles.quality.numbers import LIMIT, Bounds, check_row
from apps.candles.quality.reasons import Reason, Rejected, Unsound
from apps.candles.quality.rows import MINUTE_MS, NAMES, PRICES, WIDTH, Row, open_time


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedMinutes:
    """Sound minutes: int64 arrays of one length, ``ts`` (open time, ms) strictly ascending.

    Prices are in units of ``10**-price_scale``, volumes in units of ``10**-volume_scale``, both exact.
    """

    ts: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    price_scale: int
    volume_scale: int

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sifted:
    """A batch in two parts: every row is either one of the minutes or one of the rejected."""

    minutes: CheckedMinutes
    #: In the order of the input.
    rejected: list[Rejected]


class _Read(NamedTuple):
    """A batch by columns: times, and for each of `NAMES` a line of digits and one of decimals."""

    ts: NDArray[np.int64]
    digits: NDArray[np.int64]
    decimals: NDArray[np.int64]
    #: Which rows have not been found unsound.
    alive: NDArray[np.bool_]

    def values(self, place: int) -> tuple[tuple[int, int], ...]:
        """The numbers of one row, to be compared with those of another."""
        return tuple(zip(self.digits[:, place].tolist(), self.decimals[:, place].tolist(), strict=True))


def sift_minutes(
    rows: Iterable[Row],
    *,
    start_ms: int | None,
    end_ms: int | None,
    now_ms: int,
    price_scale: int,
    volume_scale: int,
    finer: bool = True,
) -> Sifted:
    """Judge rows one by one: the sound ones as exact integers in order of time, the others with a reason.

    A row holds open time (ms), open, high, low, close and volume: ints, floats (the shortest decimal that
    means it), Decimals, or text. Columns after the sixth are ignored, and so is the order of the rows.
    Open times lie in [*start_ms*, *end_ms*), where None is open, and their minute has ended at *now_ms*.

    The scales of the minutes are the ones given (0 to 18), or the finer ones that the sound rows need;
    nothing is rounded. Where not all sound rows fit under 2**53 at one scale, some are rejected, first
    for prices and then for volumes, until the rest fits: either the rows with the most decimals or those
    too large to have as many, whichever are fewer, and those with the most decimals when it is a draw.
    So one row of rubbish never takes the others along. Unless *finer* is set, the scales are the ones given,
    and all rows that are finer are rejected.
    """
    batch = rows if isinstance(rows, Sequence) else list(rows)
    if not set(map(type, batch)) <= {list, tuple}:
        # What is no row at all is one of a single column.
        batch = [row if isinstance(row, Sequence) and not isinstance(row, str) else (row,) for row in batch]
    bounds = Bounds(
        start_ms=start_ms,
        end_ms=end_ms,
        now_ms=now_ms,
        price_scale=price_scale,
        volume_scale=volume_scale,
    )
    faults: dict[int, Unsound] = {}
    read = _read(batch, bounds)
    for place in np.flatnonzero(~read.alive).tolist():
        try:
            read.ts[place], numbers = check_row(batch[place], bounds)
        except Unsound as fault:
            faults[place] = fault
        else:
            read.digits[:, place] = [number.digits for number in numbers]
            read.decimals[:, place] = [number.decimals for number in numbers]
            read.alive[place] = True
    order = _order(read, faults)
    for columns, scale in ((range(PRICES), price_scale), (range(PRICES, len(NAMES)), volume_scale)):
        if not finer:
            _refuse_finer(read, columns, scale, faults)
    price_scale = _settle(read, range(PRICES), price_scale, faults)
    volume_scale = _settle(read, range(PRICES, len(NAMES)), volume_scale, faults)
    order = order[read.alive[order]]
    scales = [price_scale] * PRICES + [volume_scale]
    open_, high, low, close, volume = (
        (read.digits[place] * TENS[scale - read.decimals[place]])[order] for place, scale in enumerate(scales)
    )
    minutes = CheckedMinutes(
        ts=read.ts[order],
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        price_scale=price_scale,
        volume_scale=volume_scale,
    )
    rejected = [
        Rejected(
            place=place,
            ts=open_time(batch[place]),
            row=tuple(batch[place]),
            reason=fault.reason,
            message=str(fault),
        )
        for place, fault in sorted(faults.items())
    ]
    return Sifted(minutes=minutes, rejected=rejected)


def _read(rows: Sequence[Row], bounds: Bounds) -> _Read:
    """All rows at once. Those that are alive are sound; the others have to be looked at one by one."""
    count = len(rows)
    digits = np.zeros((len(NAMES), count), dtype=np.int64)
    decimals = np.zeros_like(digits)
    if not count:
        return _Read(np.zeros(0, dtype=np.int64), digits, decimals, np.zeros(0, dtype=np.bool_))
    short = min(map(len, rows)) < WIDTH
    columns = [
        [row[place] if len(row) > place else None for row in rows] if short else [row[place] for row in rows]
        for place in range(WIDTH)
    ]
    ts, alive = read_times(columns[0])
    alive &= (ts % MINUTE_MS == 0) & (ts <= bounds.now_ms - MINUTE_MS) & (ts >= bounds.first)
    if bounds.end_ms is not None:
        alive &= ts < bounds.end_ms
    for place, column in enumerate(columns[1:]):
        digits[place], decimals[place], sure = read_numbers(column)
        alive &= sure & (digits[place] >= (1 if place < PRICES else 0))
    # Rows that a scale for all is too fine for are left to be judged by their own.
    scales = [bounds.scale(place) for place in range(len(NAMES))]
    common = max(scales[0], int(decimals[:PRICES].max()))
    for place, scale in enumerate(scales):
        alive &= _fits(
            digits[place], decimals[place], common if place < PRICES else np.maximum(scale, decimals[place])
        )
    opening, high, low, close = (
        np.where(alive, digits[place], 0) * TENS[common - decimals[place]] for place in range(PRICES)
    )
    alive &= (high >= low) & (high >= np.maximum(opening, close)) & (low <= np.minimum(opening, close))
    return _Read(ts, digits, decimals, alive)


def _fits(
    digits: NDArray[np.int64], decimals: NDArray[np.int64], scale: int | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which numbers are below 2**53 at a scale that is no coarser than they are.

    The product of two exact floats is exact below 2**53, and above it is never rounded below it.
    """
    fits: NDArray[np.bool_] = digits.astype(np.float64) * TENS[scale - decimals].astype(np.float64) < LIMIT
    return fits


def _order(read: _Read, faults: dict[int, Unsound]) -> NDArray[np.intp]:
    """The places of the rows that are alive by time, each minute once; the others are found unsound."""
    places = np.flatnonzero(read.alive)
    order = places[np.argsort(read.ts[places], kind="stable")]
    times = read.ts[order]
    again = np.flatnonzero(times[1:] == times[:-1]) + 1
    if not len(again):
        return order
    # Where a minute is first met, for each that is met again.
    groups: dict[int, list[int]] = {}
    for position, first in zip(again.tolist(), np.searchsorted(times, times[again]).tolist(), strict=True):
        groups.setdefault(int(order[first]), []).append(int(order[position]))
    for kept, others in groups.items():
        values = read.values(kept)
        if all(read.values(place) == values for place in others):
            fault = Unsound(Reason.DUPLICATE, "comes twice, with the same values")
        else:
            fault = Unsound(Reason.CONFLICT, "comes twice, with different values")
            others.append(kept)
        for place in others:
            faults[place] = fault
            read.alive[place] = False
    return order


def _refuse_finer(read: _Read, columns: range, scale: int, faults: dict[int, Unsound]) -> None:
    """Find rows unsound that have more decimals than *scale*."""
    decimals = read.decimals[columns.start : columns.stop]
    for place in np.flatnonzero(read.alive & (decimals > scale).any(axis=0)).tolist():
        column = next(column for column in columns if read.decimals[column, place] > scale)
        faults[place] = Unsound(
            Reason.TOO_MANY_DECIMALS,
            f"{NAMES[column]} has {read.decimals[column, place]} decimals,"
            f" and what is stored has no room for more than {scale}",
        )
        read.alive[place] = False


def _settle(read: _Read, columns: range, scale: int, faults: dict[int, Unsound]) -> int:
    """The scale at which all rows alive can be stored, after rows that stand in the way of it are not."""
    digits, decimals = read.digits[columns.start : columns.stop], read.decimals[columns.start : columns.stop]
    while read.alive.any():
        finest = int(decimals[:, read.alive].max())
        if finest <= scale:
            break
        large = read.alive & ~np.logical_and.reduce(
            [
                _fits(row, places, np.maximum(finest, places))
                for row, places in zip(digits, decimals, strict=True)
            ]
        )
        if not large.any():
            return finest
        fine = read.alive & (decimals == finest).any(axis=0)
        if fine.sum() <= large.sum():
            reason, losers = Reason.TOO_MANY_DECIMALS, fine
            text = f"has {finest} decimals, with which other rows need 2**53 or more"
        else:
            reason, losers = Reason.OUT_OF_RANGE, large
            text = f"needs 2**53 or more at the {finest} decimals of other rows"
        for place in np.flatnonzero(losers).tolist():
            name = next(
                NAMES[column]
                for column in columns
                if (
                    read.decimals[column, place] == finest
                    if losers is fine
                    else not _fits(read.digits[column, [place]], read.decimals[column, [place]], finest)[0]
                )
            )
            faults[place] = Unsound(reason, f"{name} {text}")
        read.alive[losers] = False
    return scale
