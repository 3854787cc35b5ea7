"""Ranges: what is missing, less what is known."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from apps.candles.ranges import Range, clipped, without

_borders = st.lists(st.integers(0, 60), unique=True, max_size=16).map(sorted)


def _pairs(borders: list[int]) -> list[Range]:
    """Ranges in order that do not overlap, and may touch."""
    return [(lo, hi) for lo, hi in zip(borders[::2], borders[1::2], strict=False)]


def _members(ranges: list[Range]) -> set[int]:
    return {number for lo, hi in ranges for number in range(lo, hi)}


@given(_borders, _borders)
def test_what_is_known_is_taken_out_and_nothing_else(one: list[int], other: list[int]) -> None:
    ranges, known = _pairs(one), _pairs(other)
    rest = without(ranges, reversed(known))
    assert _members(rest) == _members(ranges) - _members(known)
    assert rest == sorted(rest)
    assert all(lo < hi for lo, hi in rest)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))), st.integers(0, 60), st.integers(0, 60))
def test_ranges_are_clipped_and_made_one_where_they_touch(ranges: list[Range], lo: int, hi: int) -> None:
    found = clipped(ranges, lo, hi)
    assert _members(found) == _members(ranges) & set(range(lo, hi))
    assert all(start < end for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
