"""The first and the last bars of a range in every store, also while its roll-ups wait for a refresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import connection

from apps.candles.models import Instrument
from apps.candles.services import refresh_rollups, write_candles
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.stores import Store
from apps.candles.timeframes import DAY, TIMEFRAMES, to_ms
from tests.candles.helpers import MONDAY, instrument, utc, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

EVER = utc(1970, 1, 1), utc(2199, 12, 1)


@pytest.fixture
def market(store: Store, shared_candles: None) -> Iterator[Instrument]:
    """An instrument whose candles are committed."""
    return instrument()


def remove(market: Instrument, start: datetime, end: datetime) -> None:
    """Delete minutes as somebody with SQL does: the roll-ups hold them until the next refresh."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= %s AND ts < %s", [market.pk, start, end]
        )


def assert_is_part(loaded: Candles, whole: Candles, part: slice) -> None:
    for name in ("ts", *VALUES):
        assert np.array_equal(getattr(loaded, name), getattr(whole, name)[part]), (loaded.timeframe, part)


def assert_windows_are_parts_of_the_whole(market: Instrument, *moments: datetime) -> None:
    """From and up to each of the *moments*, any number of bars of any timeframe is what there is."""
    source = TimescaleSource()
    for name in TIMEFRAMES:
        whole = source.load(market.text, name, *EVER)
        assert len(whole), name
        for moment in (*moments, EVER[1]):
            at = int(np.searchsorted(whole.ts, to_ms(moment)))
            for count in (1, 3, 40, 500, 100_000):
                last = source.load_last(market.text, name, moment, count)
                assert_is_part(last, whole, slice(max(0, at - count), at))
                first = source.load_first(market.text, name, moment, EVER[1], count)
                assert_is_part(first, whole, slice(at, at + count))


def test_bars_beyond_a_deletion_that_waits_for_its_refresh_are_found(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(12 * 1440))
    refresh_rollups()
    remove(market, utc(2024, 1, 9), utc(2024, 1, 10))
    moments = utc(2024, 1, 8, 7), utc(2024, 1, 9, 9), utc(2024, 1, 10, 18)
    assert_windows_are_parts_of_the_whole(market, *moments)
    refresh_rollups()
    assert_windows_are_parts_of_the_whole(market, *moments)


def test_bars_beyond_many_deleted_days_are_found(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(60 * 1440, gaps=0.5))
    refresh_rollups()
    for day in range(2, 56):
        remove(market, utc(2024, 1, 1) + timedelta(days=day), utc(2024, 1, 1, 23) + timedelta(days=day))
    remove(market, utc(2024, 1, 5), utc(2024, 2, 20))
    assert_windows_are_parts_of_the_whole(market, utc(2024, 2, 25), utc(2024, 1, 2))


def test_nothing_is_left_where_all_of_it_was_deleted(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(3 * 1440))
    refresh_rollups()
    remove(market, *EVER)
    source = TimescaleSource()
    for name in TIMEFRAMES:
        assert len(source.load_last(market.text, name, EVER[1], 5)) == 0
        assert len(source.load_first(market.text, name, *EVER, 5)) == 0


def test_bars_of_what_was_never_rolled_up_are_found_over_gaps(market: Instrument) -> None:
    for seed, days in enumerate((0, 1, 40, 41, 42, 300, 700)):
        minutes = walk(1440, start=MONDAY + days * DAY, seed=seed, gaps=0.3)
        write_candles(instrument=market, minutes=minutes, refresh=False)
    assert_windows_are_parts_of_the_whole(market, utc(2024, 2, 12), utc(2024, 12, 1), utc(2023, 12, 1))


def test_what_is_new_on_both_sides_of_what_was_rolled_up_is_found(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(1440, start=MONDAY + 100 * DAY))
    refresh_rollups()
    for days in (0, 200):
        write_candles(instrument=market, minutes=walk(1440, start=MONDAY + days * DAY), refresh=False)
    remove(market, utc(2024, 4, 10, 2), utc(2024, 4, 10, 23))
    assert_windows_are_parts_of_the_whole(market, utc(2024, 4, 10, 12), utc(2024, 8, 1), utc(2024, 1, 1, 5))


@pytest.mark.parametrize("name", TIMEFRAMES)
def test_more_bars_than_there_was_time_for_are_all_that_there_are(market: Instrument, name: str) -> None:
    write_candles(instrument=market, minutes=walk(3000))
    source = TimescaleSource()
    ever = utc(1970, 1, 1), utc(2199, 12, 31)
    whole = source.load(market.text, name, datetime.min.replace(tzinfo=UTC), ever[1])
    assert int(whole.ts[0]) == MONDAY
    for count in (5000, 600_000, 50_000_000):
        assert_is_part(source.load_last(market.text, name, utc(2024, 2, 1), count), whole, slice(None))
        assert_is_part(source.load_first(market.text, name, *ever, count), whole, slice(None))
    for end in (datetime.min.replace(tzinfo=UTC), utc(1969, 1, 1), utc(1970, 1, 1)):
        assert len(source.load_last(market.text, name, end, 600_000)) == 0
