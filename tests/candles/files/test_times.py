"""Columns of times are read as each of their times is read alone, and as what was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.candles.files.times import TIME_UNITS, of_unit, read_times
from apps.candles.timeframes import to_datetime

PER_SECOND = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}

moments = st.datetimes(datetime(1973, 4, 1), datetime(2261, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)
minutes = moments.map(lambda moment: moment.replace(second=0, microsecond=0))
spelled = st.one_of(
    minutes.map(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}"),
    minutes.map(lambda moment: f"{moment:%Y-%m-%dT%H:%M}"),
    minutes.map(lambda moment: f"{moment:%Y-%m-%d %H:%M}Z"),
    minutes.map(datetime.isoformat),
    moments.map(datetime.isoformat),
)
near = st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z| UTC)?", fullmatch=True)
numbers = st.integers(-(10**20), 10**20)
cells = st.one_of(spelled, near, numbers, numbers.map(str), st.floats(), st.none(), st.text(max_size=20))
columns = st.one_of(*(st.lists(kind, min_size=1, max_size=6) for kind in (spelled, near, numbers, cells)))


@given(columns, st.sampled_from([None, *TIME_UNITS]))
@example(["2023-03-01 00:00:00", "2023-02-30 00:00:00"], None)
@example(["2023-03-01 00:00", "2023-03-01T00:00"], None)
@example(["1677628800", "1677628800000"], "ms")
def test_a_column_is_read_as_each_time_alone(column: list[Any], unit: str | None) -> None:
    # One that is unlike any other keeps the rest from being read together.
    alone = [read_times([value, object()], unit)[0] for value in column]
    assert read_times(column, unit) == alone


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_iso_8601_means_its_moment_in_any_offset(moment: datetime, offset: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    there = moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()
    [found] = read_times([there], None)
    assert isinstance(found, int)
    assert to_datetime(found) == moment


@given(minutes, st.sampled_from(sorted(PER_SECOND)))
def test_a_number_is_of_the_unit_that_makes_it_a_time_of_our_days(moment: datetime, unit: str) -> None:
    seconds = int(moment.timestamp())
    number = seconds * PER_SECOND[unit]
    for spelling in (number, str(number)):
        for asked in (None, unit):
            assert read_times([spelling], asked) == [seconds * 1000]
    assert of_unit(np.array([number]), unit) == [seconds * 1000]


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(sorted(PER_SECOND)))
def test_a_number_is_never_rounded(number: int, unit: str) -> None:
    [found] = of_unit(np.array([number]), unit)
    if isinstance(found, int):
        assert found * PER_SECOND[unit] == number * 1000
    else:
        assert number * 1000 % PER_SECOND[unit]


@pytest.mark.parametrize("unit", [None, "s"])
def test_seconds_may_have_fractions_of_whole_milliseconds(unit: str | None) -> None:
    assert read_times(["1677628800.25", 1677628800.25], unit) == [1_677_628_800_250] * 2
