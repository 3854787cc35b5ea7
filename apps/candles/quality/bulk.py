"""Whole columns of values as exact decimal numbers, many at a time.

What is read here is what `numbers.number` reads in the usual spellings: plain digits with at most one
point, ints, and floats of up to 15 digits. Every other cell is left to it: a cell that is not *sure* says
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.candles.quality.numbers import LIMIT, MAX_SCALE

#: Powers of ten, 10**0 to 10**18.
TENS: NDArray[np.int64] = 10 ** np.arange(MAX_SCALE + 1, dtype=np.int64)

# So many digits always fit into an int64.
_MOST_DIGITS = 18
# Two different decimals of up to so many digits are never the same float64.
_UNIQUE = 1e15
_NEWLINE, _POINT, _ZERO, _NINE = b"\n.09"


class Numbers(NamedTuple):
    """A column: ``digits * 10**-decimals``, with no more decimals than each needs, where *sure*."""

    digits: NDArray[np.int64]
    decimals: NDArray[np.int64]
    sure: NDArray[np.bool_]


def read_numbers(column: Sequence[Any]) -> Numbers:
    """The numbers of a column. Those that are sure are below 2**53 and may be negative."""
    kinds = set(map(type, column))
    if kinds == {float}:
        return _floats(np.array(column, dtype=np.float64))
    if kinds == {int}:
        digits, sure = _ints(column)
        return Numbers(digits, np.zeros_like(digits), sure)
    texts: Sequence[str] = column if kinds == {str} else [_text(value) for value in column]
    digits, decimals, sure, _ = _parse(texts)
    _strip_zeros(digits, decimals)
    return Numbers(digits, decimals, sure & (digits < LIMIT))


def read_times(column: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Open times in ms, and which of them are sure."""
    if set(map(type, column)) == {int}:
        return _ints(column)
    times, _, sure, pointed = _parse([value if type(value) is str else _of_int(value) for value in column])
    return times, sure & ~pointed


def _of_int(value: Any) -> str:
    return str(value) if type(value) is int and abs(value) < LIMIT else "?"


def _text(value: Any) -> str:
    """How a value is spelled; something that is no number where that is not sure."""
    kind = type(value)
    if kind is str or kind is float or kind is Decimal:
        return str(value)
    return _of_int(value)


def _ints(column: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    try:
        digits = np.array(column, dtype=np.int64)
    except OverflowError:
        digits = np.array([value if abs(value) < LIMIT else LIMIT for value in column], dtype=np.int64)
    return digits, (digits < LIMIT) & (digits > -LIMIT)


def _floats(values: NDArray[np.float64]) -> Numbers:
    """The shortest decimals that mean these floats.

    An integer below 2**53 divided by a power of ten up to 10**22 is rounded correctly, so when the
    quotient is the float, the decimal means it; and with up to 15 digits no other one does.
    """
    digits = np.zeros(len(values), dtype=np.int64)
    decimals = np.zeros(len(values), dtype=np.int64)
    sure = np.zeros(len(values), dtype=np.bool_)
    left = np.flatnonzero(np.abs(values) < _UNIQUE)
    for scale in range(MAX_SCALE + 1):
        wanted = values[left]
        whole = np.rint(wanted * float(10**scale))
        found = (np.abs(whole) < _UNIQUE) & (whole / float(10**scale) == wanted)
        hits = left[found]
        digits[hits] = whole[found].astype(np.int64)
        decimals[hits] = scale
        sure[hits] = True
        left = left[~found]
        if not len(left):
            break
    return Numbers(digits, decimals, sure)


def _parse(
    texts: Sequence[str],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Digits with at most one point after the first of them: digits, decimals, sure, and has a point."""
    count = len(texts)
    joined = "\n".join(texts)
    if joined.count("\n") != count - 1:
        texts = [text.replace("\n", "?") for text in texts]
        joined = "\n".join(texts)
    data = np.frombuffer(joined.encode("ascii", "replace"), dtype=np.uint8)
    breaks = np.flatnonzero(data == _NEWLINE)
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [len(data)]))
    strange = np.flatnonzero(
        ((data < _ZERO) | (data > _NINE)) & (data != _POINT) & (data != _NEWLINE),
    )
    points = np.flatnonzero(data == _POINT)
    if len(points) == count and bool(np.all((points >= starts) & (points < ends))):
        cells = np.arange(count)
    else:
        cells = np.searchsorted(breaks, points)
    pointed = np.zeros(count, dtype=np.bool_)
    pointed[cells] = True
    decimals = np.zeros(count, dtype=np.int64)
    decimals[cells] = ends[cells] - points - 1
    length = ends - starts - pointed
    sure = (length > 0) & (length <= _MOST_DIGITS) & (decimals <= MAX_SCALE)
    sure[np.searchsorted(breaks, strange)] = False
    sure[cells[points == starts[cells]]] = False
    sure[cells[1:][cells[1:] == cells[:-1]]] = False
    if not sure.all():
        decimals[~sure] = 0
        joined = "\n".join([text if good else "0" for text, good in zip(texts, sure.tolist(), strict=True)])
    digits = np.fromstring(joined.replace(".", ""), dtype=np.int64, sep="\n")
    return digits, decimals, sure, pointed


def _strip_zeros(digits: NDArray[np.int64], decimals: NDArray[np.int64]) -> None:
    """Take away, in place, the zeros at the end of fractions."""
    for step in (16, 8, 4, 2, 1):
        if not np.any(decimals >= step):
            continue
        whole = digits // TENS[step]
        longer = (decimals >= step) & (whole * TENS[step] == digits)
        np.copyto(digits, whole, where=longer)
        decimals[longer] -= step
