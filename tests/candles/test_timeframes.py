"""Buckets and moments as integers, and the text form of instruments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.candles.instruments import instrument_text, parse_instrument
from apps.candles.timeframes import TIMEFRAMES, minute_of, to_datetime, to_ms
from tests.candles.helpers import MONDAY, utc

moments = st.integers(-(10**13), 10**13)


@given(ts=moments, name=st.sampled_from(list(TIMEFRAMES)))
def test_a_moment_lies_in_its_bucket(ts: int, name: str) -> None:
    frame = TIMEFRAMES[name]
    assert frame.floor(ts) <= ts < frame.floor(ts) + frame.width
    assert frame.ceil(ts) - frame.width < ts <= frame.ceil(ts)
    assert frame.floors(np.array([ts]))[0] == frame.floor(ts)


@given(ts=moments)
def test_days_start_at_midnight_and_weeks_on_monday(ts: int) -> None:
    day, week = (to_datetime(TIMEFRAMES[name].floor(ts)) for name in ("1d", "1w"))
    assert day == to_datetime(ts).replace(hour=0, minute=0, second=0, microsecond=0)
    assert week.weekday() == 0
    assert week <= day < week + timedelta(days=7)


@given(ts=moments)
def test_every_bucket_is_made_of_whole_buckets_of_the_next_lower_timeframe(ts: int) -> None:
    for frame in TIMEFRAMES.values():
        if frame.lower is not None:
            assert frame.lower.floor(frame.floor(ts)) == frame.floor(ts)
            assert frame.width % frame.lower.width == 0


@given(start=st.integers(0, 10**9), length=st.integers(-(10**6), 10**9))
def test_the_number_of_buckets_is_that_of_the_open_times_in_the_range(start: int, length: int) -> None:
    frame = TIMEFRAMES["1h"]
    first = frame.ceil(start)
    assert frame.count(start, start + length) == len(range(first, start + length, frame.width))


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_milliseconds_round_up_to_the_first_that_is_not_before(moment: datetime) -> None:
    ts = to_ms(moment)
    if moment < datetime(9999, 12, 31, tzinfo=UTC):
        assert to_datetime(ts) - timedelta(milliseconds=1) < moment <= to_datetime(ts)


def test_moments_of_other_time_zones_are_the_same_moments() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert to_ms(datetime(2024, 1, 1, 5, 30, tzinfo=east)) == MONDAY
    assert minute_of(datetime(2024, 1, 1, 5, 30, 59, 999_999, tzinfo=east)) == utc(2024, 1, 1)


@pytest.mark.parametrize(
    "text",
    ["binance:BTC/USDT", "binance:BTC/USDT:USDT", "kraken:XBT/EUR", "binance:1000SATS/USDT", "okx:币/USDT"],
)
def test_an_instruments_text_is_taken_apart_and_put_together(text: str) -> None:
    assert instrument_text(*parse_instrument(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "BTC/USDT", "binance:BTCUSDT", "Binance:BTC/USDT", "binance:BTC/USDT\n", "binance:BTC/ USDT",
     "binance:/USDT", "binance:BTC/USDT/X", "binance::BTC/USDT", "binance:BTC\0/USDT", "../binance:A/B",
     f"binance:{'A' * 21}/USDT"],
)  # fmt: skip
def test_other_texts_are_no_instruments(text: str) -> None:
    with pytest.raises(ValueError, match="binance:BTC/USDT"):
        parse_instrument(text)
