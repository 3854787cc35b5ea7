"""Times as files write them, as milliseconds since 1970-01-01T00:00Z."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What ``time_unit=`` may be: numbers in these units, or ISO 8601.
TIME_UNITS = ("s", "ms", "us", "ns", "iso")

# Of each unit: how many of it are a second, as a power of ten.
_POWERS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
# A number is of the unit in which it lies between these: 1973 to 2286, so that no number is of two.
_FIRST, _LAST = 10**8, 10**10
_MILLI = _POWERS["ms"]
# A number of seconds below this fits into an int64 as milliseconds; no time is later.
_FITTING = 9 * 10**15
# Times that are common enough to be read many at a time: so many characters of this shape, then one of these.
_SHAPE = b"0000-00-00T00:00:00"
_HEADS = {
    19: ("", "Z", " UTC", "+00:00", ".000", ".000Z", ".000+00:00"),
    16: ("", "Z", " UTC", "+00:00"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# More digits than any time has.
_LONGEST = 40
# Enough digits that moving the point rounds nothing away.
_EXACT = Context(prec=2 * _LONGEST)
# ``2023-03-01T00:00:00.123456``
_MICROSECONDS = 26


def read_times(column: Sequence[Any], unit: str | None) -> list[int | str]:
    """Each value in milliseconds, or text that says why it has none.

    Without *unit* each number is of the unit in which it lies in the years 1973 to 2286, and other text
    is ISO 8601; without an offset it is in UTC. Nothing is rounded: a time between two milliseconds is
    none.
    """
    if unit != "iso":
        numbers = _whole(column)
        if numbers is not None:
            return _scaled(numbers, unit)
    if unit in (None, "iso"):
        times = _alike(column)
        if times is not None:
            return times
    return [_read(value, unit) for value in column]


def of_unit(numbers: NDArray[np.int64], unit: str) -> list[int | str]:
    """Numbers that are known to be of a unit, in milliseconds; see `read_times`."""
    return _scaled(numbers, unit)


def _whole(column: Sequence[Any]) -> NDArray[np.int64] | None:
    """The values when all are whole numbers that fit, else None."""
    kinds = set(map(type, column))
    try:
        if kinds == {int}:
            return np.array(column, dtype=np.int64)
        if kinds == {str} and min(map(len, column)) and max(map(len, column)) < _LONGEST:
            joined = "".join(column)
            if joined.isascii() and joined.isdigit():
                return np.array(list(map(int, column)), dtype=np.int64)
    except OverflowError:
        pass
    return None


def _alike(column: Sequence[Any]) -> list[int | str] | None:
    """ISO 8601 to the minute or second in UTC, when all of it is spelled alike; None when it is not."""
    if set(map(type, column)) != {str} or len(set(map(len, column))) != 1:
        return None
    joined = "".join(column)
    first = column[0]
    heads = (length for length, ends in _HEADS.items() if len(first) >= length and first[length:] in ends)
    head = next(heads, None)
    if head is None or not joined.isascii():
        return None
    data = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(column), len(first))
    shape = np.frombuffer(_SHAPE, dtype=np.uint8)[:head]
    digits = shape == ord("0")
    fixed = np.flatnonzero(~np.pad(digits, (0, len(first) - head)))
    if first[10] not in "T " or not np.all(data[:, fixed] == data[0, fixed]):
        return None
    marks = np.flatnonzero(~digits & (shape != ord("T")))
    figures = data[:, np.flatnonzero(digits)]
    if np.any(data[0, marks] != shape[marks]) or np.any((figures < ord("0")) | (figures > ord("9"))):
        return None
    try:
        moments = np.ascontiguousarray(data[:, :head]).view(f"S{head}").ravel().astype("M8[s]")
    except ValueError:
        return None
    return list((moments.astype(np.int64) * 1000).tolist())


def _scaled(numbers: NDArray[np.int64], unit: str | None) -> list[int | str]:
    size = np.abs(numbers)
    times = np.zeros_like(numbers)
    exact = np.zeros(len(numbers), dtype=np.bool_)
    for name, power in _POWERS.items():
        if unit is None:
            mine = (size >= _FIRST * 10**power) & (size // 10**power < _LAST)
        elif unit == name:
            mine = (size >= 0) & ((size < _FITTING) | (power >= _MILLI))
        else:
            continue
        if power < _MILLI:
            scaled = np.where(mine, numbers, 0) * 10 ** (_MILLI - power)
        else:
            scaled = numbers // 10 ** (power - _MILLI)
            mine &= scaled * 10 ** (power - _MILLI) == numbers
        times[mine] = scaled[mine]
        exact |= mine
    result: list[int | str] = times.tolist()
    for place in np.flatnonzero(~exact).tolist():
        result[place] = _read(int(numbers[place]), unit)
    return result


def _read(value: Any, unit: str | None) -> int | str:
    """One value in milliseconds, or why not."""
    text = str(value).strip()
    if isinstance(value, bool) or value is None or not text:
        return f"no time: {text[:_LONGEST]}"
    if unit != "iso":
        number = _number(text)
        if number is not None:
            return _of_number(number, unit, text)
        if unit is not None:
            return f"no number: {text[:_LONGEST]}"
    return _of_iso(text)


def _number(text: str) -> Decimal | None:
    if len(text) > _LONGEST or not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _LONGEST else None


def _of_number(number: Decimal, unit: str | None, text: str) -> int | str:
    if unit is None:
        unit = next(
            (
                name
                for name, power in _POWERS.items()
                if _FIRST * 10**power <= number.copy_abs() < _LAST * 10**power
            ),
            None,
        )
    if unit is None:
        return f"not of a known unit: {text}"
    times = number.scaleb(_MILLI - _POWERS[unit], _EXACT)
    return int(times) if times == times.to_integral_value() else f"not a whole millisecond: {text}"


def _of_iso(text: str) -> int | str:
    spelled = text.removesuffix("UTC").rstrip() if text.endswith("UTC") else text
    if len(spelled) > _MICROSECONDS and "." in spelled:
        # Digits after the sixth are not looked at by fromisoformat: those that matter are refused.
        head, _, tail = spelled.partition(".")
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        if digits[6:].strip("0"):
            return f"not a whole millisecond: {text[:_LONGEST]}"
        spelled = f"{head}.{digits[:6]}{tail[len(digits) :]}"
    try:
        moment = datetime.fromisoformat(spelled)
    except ValueError:
        return f"not ISO 8601: {text[:_LONGEST]}"
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds, rest = divmod(moment - _EPOCH, _MILLISECOND)
    return f"not a whole millisecond: {text[:_LONGEST]}" if rest else milliseconds
