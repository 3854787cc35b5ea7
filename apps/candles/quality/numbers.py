"""One value as an exact decimal number, and one row as five of them: the rules, one row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from apps.candles.quality.reasons import Reason, Unsound
from apps.candles.quality.rows import LONGEST_TEXT, MINUTE_MS, NAMES, PRICES, WIDTH, Row, open_time

#: Scaled integers stay below this, so that a float64 holds each of them exactly.
LIMIT = 2**53
#: More decimals than this are taken for rubbish.
MAX_SCALE = 18

# Enough digits that normalising rounds nothing away.
_EXACT = Context(prec=2 * LONGEST_TEXT)
_TENS: tuple[int, ...] = tuple(10**exponent for exponent in range(MAX_SCALE + 1))
# An int with more bits has more digits than the longest text.
_LONGEST_BITS = 128


class Number(NamedTuple):
    """A decimal number: ``digits * 10**-decimals``, with no more decimals than it needs."""

    digits: int
    decimals: int

    def at(self, scale: int) -> int:
        """The number in units of ``10**-scale``, which must not be coarser than the number is."""
        return self.digits * _TENS[scale - self.decimals]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a row is judged by beside itself: [start_ms, end_ms), the present, and the scales there are."""

    start_ms: int | None
    end_ms: int | None
    now_ms: int
    price_scale: int
    volume_scale: int

    @property
    def first(self) -> int:
        """No open time is before this."""
        return 0 if self.start_ms is None else max(0, self.start_ms)

    def scale(self, place: int) -> int:
        """The scale of the value at this place of `NAMES`."""
        return self.price_scale if place < PRICES else self.volume_scale


def check_row(row: Row, bounds: Bounds) -> tuple[int, tuple[Number, ...]]:
    """A sound row's open time and its five numbers. Raises `Unsound` with the first thing that is wrong.

    Each number is below 2**53 at the coarsest scale that holds it, and at the scale given.
    """
    if len(row) < WIDTH:
        raise Unsound(Reason.SHORT_ROW, f"has {len(row)} of {WIDTH} columns")
    ts = open_time(row)
    if ts is None:
        raise Unsound(Reason.NO_TIME, f"has no open time: {_shown(row[0])}")
    _check_time(ts, bounds)
    numbers = tuple(number(name, value) for name, value in zip(NAMES, row[1:], strict=False))
    for place, (name, value) in enumerate(zip(NAMES, numbers, strict=True)):
        if value.digits < 0:
            raise Unsound(Reason.NEGATIVE, f"{name} is negative")
        if value.digits == 0 and place < PRICES:
            raise Unsound(Reason.ZERO_PRICE, f"{name} is zero")
        scale = max(bounds.scale(place), value.decimals)
        if value.at(scale) >= LIMIT:
            raise Unsound(Reason.OUT_OF_RANGE, f"{name} needs 2**53 or more at {scale} decimals")
    _check_shape(numbers[:PRICES])
    return ts, numbers


def _check_time(ts: int, bounds: Bounds) -> None:
    if ts % MINUTE_MS:
        raise Unsound(Reason.NOT_ON_MINUTE, "does not open on a minute")
    if ts > bounds.now_ms:
        raise Unsound(Reason.FUTURE, "lies in the future")
    if ts + MINUTE_MS > bounds.now_ms:
        raise Unsound(Reason.FORMING, "is still forming")
    if ts < bounds.first or (bounds.end_ms is not None and ts >= bounds.end_ms):
        raise Unsound(Reason.OUTSIDE_RANGE, "lies outside of the range asked for")


def _check_shape(prices: tuple[Number, ...]) -> None:
    common = max(value.decimals for value in prices)
    opening, high, low, close = (value.at(common) for value in prices)
    if high < low:
        raise Unsound(Reason.HIGH_BELOW_LOW, "has its high below its low")
    if high < max(opening, close):
        raise Unsound(Reason.HIGH_BELOW_BODY, "has its high below its open or close")
    if low > min(opening, close):
        raise Unsound(Reason.LOW_ABOVE_BODY, "has its low above its open or close")


def number(name: str, value: Any) -> Number:
    """*value* exactly as it is written; a float is the shortest decimal that means it.

    Raises `Unsound`, in words that call it *name*.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unsound(Reason.NOT_A_NUMBER, f"{name} is no number: {_shown(value)}")
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:
        raise Unsound(Reason.OUT_OF_RANGE, f"{name} has more than {LONGEST_TEXT} digits")
    text = str(value)
    if len(text) > LONGEST_TEXT:
        plausible = not text[:LONGEST_TEXT].strip("0123456789.")
        raise Unsound(
            Reason.OUT_OF_RANGE if plausible else Reason.NOT_A_NUMBER,
            f"{name} has more than {LONGEST_TEXT} characters: {_shown(text)}",
        )
    whole, _, fraction = text.partition(".")
    if text.isascii() and whole.isdigit() and (not fraction or fraction.isdigit()):
        fraction = fraction.rstrip("0")
        found = Number(int(whole + fraction), len(fraction))
    else:
        found = _unusual(name, text)
    if found.decimals > MAX_SCALE:
        raise Unsound(Reason.TOO_MANY_DECIMALS, f"{name} has more than {MAX_SCALE} decimals: {text!r}")
    return found


def _unusual(name: str, text: str) -> Number:
    """A number with a sign or an exponent."""
    try:
        parsed = Decimal(text)
    except InvalidOperation:
        parsed = None
    # Decimal also reads digits of other scripts and underscores, which no exchange means.
    if parsed is None or not text.isascii() or "_" in text:
        raise Unsound(Reason.NOT_A_NUMBER, f"{name} is no number: {text!r}")
    if not parsed.is_finite():
        raise Unsound(Reason.NOT_FINITE, f"{name} is not finite")
    if not parsed:
        return Number(0, 0)
    if abs(parsed.adjusted()) > LONGEST_TEXT:
        raise Unsound(Reason.OUT_OF_RANGE, f"{name} is out of range: {text!r}")
    sign, digits, exponent = parsed.normalize(_EXACT).as_tuple()
    assert isinstance(exponent, int)
    unsigned = int("".join(map(str, digits))) * 10 ** max(0, exponent)
    return Number(-unsigned if sign else unsigned, max(0, -exponent))


def _shown(value: Any) -> str:
    """The start of a value, for a message."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:LONGEST_TEXT]) + (" and more" if len(text) > LONGEST_TEXT else "")
