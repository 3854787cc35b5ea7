"""The quality gate: an exchange's rows become exact integers, or the whole batch is rejected.

Pure functions. A batch is taken or rejected as one, so that no half of a range is ever stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.candles.venues.rows import MINUTE_MS, Row, open_time

#: Scaled integers stay below this, so that a float64 holds each of them exactly.
LIMIT = 2**53
#: More decimals than this are taken for rubbish.
MAX_SCALE = 18

_NAMES = ("open", "high", "low", "close", "volume")
_PRICES = 4
# A value of more digits than this is out of range at every scale, and costly to look at.
_LONGEST_TEXT = 40
# Enough digits that normalising rounds nothing away.
_EXACT = Context(prec=2 * _LONGEST_TEXT)
_TENS: tuple[int, ...] = tuple(10**exponent for exponent in range(MAX_SCALE + 1))


class RejectedCandles(Exception):
    """A batch that must not be stored. *ts* is the first offending minute (ms), None when it has no time."""

    def __init__(self, reason: str, ts: int | None) -> None:
        super().__init__(reason if ts is None else f"{reason} (minute {ts})")
        self.reason = reason
        self.ts = ts
        self.retry_after: float | None = None


class ScaleTooCoarse(RejectedCandles):
    """Sound candles with more decimals than the scales keep.

    *price_scale* and *volume_scale* are what the whole batch needs: with them, and the scales it already
    has where those are higher, the same batch is accepted.
    """

    def __init__(self, reason: str, ts: int | None, *, price_scale: int, volume_scale: int) -> None:
        super().__init__(reason, ts)
        self.price_scale = price_scale
        self.volume_scale = volume_scale


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


class _Number(NamedTuple):
    """A decimal number: ``digits * 10**-decimals``, with no more decimals than it needs."""

    digits: int
    decimals: int

    def at(self, scale: int) -> int:
        """The number in units of ``10**-scale``, which must not be coarser than the number is."""
        return self.digits * _TENS[scale - self.decimals]


class _Unsound(Exception):
    """Why one row cannot be stored."""


def check_minutes(
    raw: Iterable[Row], *, start_ms: int, end_ms: int, now_ms: int, price_scale: int, volume_scale: int
) -> CheckedMinutes:
    """The minutes in *raw* at the scales given.

    A row holds open time (ms), open, high, low, close and volume: numbers, or their text. An empty batch
    is sound. Raises `RejectedCandles` for the first row that is short, not numeric or not finite, has a
    price that is zero or negative or a negative volume, a high below or a low above its other prices,
    an open time that is not on a minute, out of order, repeated, outside [*start_ms*, *end_ms*) or of a
    minute that has not ended at *now_ms*, or a value that needs 2**53 or more at its scale. Raises
    `ScaleTooCoarse` when all that is wrong is a value finer than its scale.
    """
    scales = (price_scale,) * _PRICES + (volume_scale,)
    previous: int | None = None
    times: list[int] = []
    numbers: list[tuple[_Number, ...]] = []
    for row in raw:
        ts = open_time(row)
        if ts is None:
            raise RejectedCandles("a row without an open time", None)
        try:
            _check_time(ts, previous, start_ms, end_ms, now_ms)
            numbers.append(_check_values(row, scales))
        except _Unsound as fault:
            raise RejectedCandles(str(fault), ts) from None
        times.append(ts)
        previous = ts
    _check_fineness(times, numbers, scales)
    columns = [
        np.array([values[place].at(scale) for values in numbers], dtype=np.int64)
        for place, scale in enumerate(scales)
    ]
    return CheckedMinutes(
        ts=np.array(times, dtype=np.int64),
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=columns[4],
        price_scale=price_scale,
        volume_scale=volume_scale,
    )


def _check_time(ts: int, previous: int | None, start_ms: int, end_ms: int, now_ms: int) -> None:
    """The rules of an open time, after the one of the row before."""
    if ts % MINUTE_MS:
        raise _Unsound("does not open on a minute")
    if previous is not None and ts == previous:
        raise _Unsound("comes twice")
    if previous is not None and ts < previous:
        raise _Unsound("is out of order")
    if ts > now_ms:
        raise _Unsound("lies in the future")
    if ts + MINUTE_MS > now_ms:
        raise _Unsound("is still forming")
    if not start_ms <= ts < end_ms:
        raise _Unsound("lies outside of the range asked for")


def _check_values(row: Row, scales: Sequence[int]) -> tuple[_Number, ...]:
    """The row's five numbers, each of which could be stored at a scale that is fine enough for it."""
    if len(row) <= len(_NAMES):
        raise _Unsound(f"has {len(row)} of {len(_NAMES) + 1} columns")
    numbers = tuple(_number(name, value) for name, value in zip(_NAMES, row[1:], strict=False))
    for name, number, scale in zip(_NAMES, numbers, scales, strict=True):
        if number.digits < 0 or (number.digits == 0 and name != "volume"):
            raise _Unsound(f"{name} is {'zero' if number.digits == 0 else 'negative'}")
        if number.at(max(scale, number.decimals)) >= LIMIT:
            raise _Unsound(f"{name} needs 2**53 or more at {max(scale, number.decimals)} decimals")
    common = max(number.decimals for number in numbers[:_PRICES])
    opening, high, low, close = (number.at(common) for number in numbers[:_PRICES])
    if high < low:
        raise _Unsound("has its high below its low")
    if high < max(opening, close):
        raise _Unsound("has its high below its open or close")
    if low > min(opening, close):
        raise _Unsound("has its low above its open or close")
    return numbers


def _number(name: str, value: Any) -> _Number:
    """*value* exactly as it is written; a float is the shortest decimal that means it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise _Unsound(f"{name} is no number: {str(value)[:_LONGEST_TEXT]!r}")
    text = str(value)
    if len(text) > _LONGEST_TEXT:
        raise _Unsound(f"{name} is no number: {text[:_LONGEST_TEXT]!r} and more")
    whole, _, fraction = text.partition(".")
    if text.isascii() and whole.isdigit() and (not fraction or fraction.isdigit()):
        fraction = fraction.rstrip("0")
        number = _Number(int(whole + fraction), len(fraction))
    else:
        number = _unusual(name, text)
    if number.decimals > MAX_SCALE:
        raise _Unsound(f"{name} has more than {MAX_SCALE} decimals")
    return number


def _unusual(name: str, text: str) -> _Number:
    """A number with a sign or an exponent."""
    try:
        parsed = Decimal(text)
    except InvalidOperation:
        parsed = None
    # Decimal also reads digits of other scripts and underscores, which no exchange means.
    if parsed is None or not text.isascii() or "_" in text:
        raise _Unsound(f"{name} is no number: {text!r}")
    if not parsed.is_finite():
        raise _Unsound(f"{name} is not finite")
    if abs(parsed.adjusted()) > _LONGEST_TEXT:
        raise _Unsound(f"{name} is out of range: {text!r}")
    sign, digits, exponent = parsed.normalize(_EXACT).as_tuple()
    assert isinstance(exponent, int)
    unsigned = int("".join(map(str, digits))) * 10 ** max(0, exponent)
    return _Number(-unsigned if sign else unsigned, max(0, -exponent))


def _check_fineness(
    times: Sequence[int], numbers: Sequence[tuple[_Number, ...]], scales: Sequence[int]
) -> None:
    """Refuse values finer than their scale, and say which scales the batch needs."""
    finer = (
        (ts, place, number)
        for ts, values in zip(times, numbers, strict=True)
        for place, number in enumerate(values)
        if number.decimals > scales[place]
    )
    first = next(finer, None)
    if first is None:
        return
    ts, place, number = first
    needed = [max(values[place].decimals for values in numbers) for place in range(len(_NAMES))]
    price_scale, volume_scale = max(needed[:_PRICES]), needed[_PRICES]
    wanted = (max(price_scale, scales[0]),) * _PRICES + (max(volume_scale, scales[_PRICES]),)
    name = _NAMES[place]
    if any(
        number.at(scale) >= LIMIT for values in numbers for number, scale in zip(values, wanted, strict=True)
    ):
        raise RejectedCandles(
            f"{name} has {number.decimals} decimals: at the batch's {wanted[place]} some need 2**53 or more",
            ts,
        )
    raise ScaleTooCoarse(
        f"{name} has {number.decimals} decimals: scale {wanted[place]} is needed, not {scales[place]}",
        ts,
        price_scale=price_scale,
        volume_scale=volume_scale,
    )
