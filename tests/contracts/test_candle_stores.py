"""What every store keeps, whoever makes its roll-ups: one suite for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from django.db import connection
from django.db.utils import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.candles.files import read_minutes
from apps.candles.gaps import find_gaps
from apps.candles.models import Instrument, Revision
from apps.candles.quality import sift_minutes
from apps.candles.selectors import coverage
from apps.candles.services import (
    ScaleOverflow,
    delete_candles,
    raise_scale,
    refresh_rollups,
    write_batch,
    write_candles,
)
from apps.candles.sources.base import VALUES
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.revisions import merge_revisions, versions
from apps.candles.storage.stores import Rollups, Store
from apps.candles.timeframes import DAY, ROLLUPS, TIMEFRAMES, to_datetime, to_ms
from tests.candles.helpers import (
    MINUTE,
    MONDAY,
    TABLES,
    Arrays,
    assert_levels_match,
    assert_read_as_rolled,
    instrument,
    rolled,
    stored,
    utc,
    walk,
)
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

#: 21 days of an exchange's minutes, which lie beside the checkout where there are any.
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "binanceus_btcusdt_1m_2023-03-01_2023-03-21.csv.gz"

EVER = utc(2023, 1, 1), utc(2025, 1, 1)


@pytest.fixture
def market(store: Store, shared_candles: None) -> Iterator[Instrument]:
    """An instrument whose candles are committed."""
    return instrument()


def settle() -> None:
    """What beat does every minute: from then on the relations themselves are right, too."""
    refresh_rollups()


def test_new_minutes_are_in_every_roll_up(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(20 * 1440 + 17, gaps=0.1))
    assert_read_as_rolled(market)
    settle()
    assert_read_as_rolled(market)
    assert_levels_match(market)


def test_late_minutes_corrections_and_deletions_reach_every_level(market: Instrument) -> None:
    minutes = walk(30 * 1440)
    late = np.zeros(len(minutes.ts), bool)
    late[[5, 1440 * 3 + 7, 1440 * 20]] = True
    write_candles(instrument=market, minutes=minutes[~late])
    settle()
    write_candles(instrument=market, minutes=minutes[late])
    assert_read_as_rolled(market)
    at = slice(1440 * 9 + 100, 1440 * 9 + 300)
    spikes = replace(minutes[at], high=minutes[at].high + 5_000_000)
    assert write_candles(instrument=market, minutes=spikes).updated == 200
    assert_read_as_rolled(market)
    deleted = delete_candles(
        instrument=market, start=to_datetime(MONDAY + 2 * DAY), end=to_datetime(MONDAY + 5 * DAY)
    )
    assert deleted == 3 * 1440
    assert_read_as_rolled(market)
    settle()
    assert_levels_match(market)


def test_changes_by_others_reach_every_level(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(10 * 1440))
    settle()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE candle_1m SET close = low WHERE instrument_id = %s AND ts BETWEEN %s AND %s",
            [market.pk, utc(2024, 1, 2, 5), utc(2024, 1, 3, 5)],
        )
        cursor.execute(
            "DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= %s", [market.pk, utc(2024, 1, 9, 11, 3)]
        )
    assert_read_as_rolled(market)
    settle()
    assert_levels_match(market)


def test_of_other_instruments_nothing_changes(market: Instrument) -> None:
    other = instrument()
    write_batch(batch=[(market, walk(5000, seed=1)), (other, walk(5000, seed=2))])
    settle()
    before = {table: stored(table, other) for table in TABLES}
    write_candles(instrument=market, minutes=walk(5000, seed=3))
    settle()
    assert {table: stored(table, other) for table in TABLES} == before
    assert_levels_match(market)


def test_a_batch_writes_new_changed_and_known_minutes_of_several_instruments(market: Instrument) -> None:
    markets = [market, *(instrument() for _ in range(3))]
    first, second = walk(3000, seed=4), walk(3000, seed=5)
    write_candles(instrument=markets[0], minutes=first[:2000])
    write_candles(instrument=markets[2], minutes=second[:1000])
    results = write_batch(
        batch=[(markets[3], first), (markets[0], first), (markets[2], first), (markets[1], first[:0])]
    )
    assert [(one.inserted, one.updated, one.unchanged) for one in results] == [
        (3000, 0, 0), (1000, 0, 2000), (2000, 1000, 0), (0, 0, 0),
    ]  # fmt: skip
    for one in markets:
        assert_read_as_rolled(one)
        settle()
        assert_levels_match(one)
    with pytest.raises(ValueError, match="twice"):
        write_batch(batch=[(market, first), (market, second)])


def test_a_deferred_refresh_is_made_up_for_on_reading(market: Instrument) -> None:
    minutes = walk(15 * 1440)
    write_candles(instrument=market, minutes=minutes[: 9 * 1440 + 7])
    settle()
    write_candles(instrument=market, minutes=minutes[9 * 1440 :], refresh=False)
    write_candles(instrument=market, minutes=walk(400, seed=9), refresh=False)
    assert_read_as_rolled(market)
    settle()
    assert_read_as_rolled(market)
    assert_levels_match(market)


def test_a_raised_scale_changes_no_value_that_is_read(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(12 * 1440))
    settle()
    before = {name: TimescaleSource().load(market.text, name, *EVER).fingerprint for name in TIMEFRAMES}
    assert raise_scale(instrument=market, price_scale=5, volume_scale=7)
    for _ in range(2):
        after = {name: TimescaleSource().load(market.text, name, *EVER).fingerprint for name in TIMEFRAMES}
        assert after == before
        settle()
    assert_levels_match(market)


def test_a_volume_that_adds_up_to_more_than_is_exact_is_refused(market: Instrument) -> None:
    minutes = walk(3 * 1440)
    vast = replace(minutes, volume=np.full(len(minutes.ts), 2**53 // 2000))
    with pytest.raises(ScaleOverflow):
        write_candles(instrument=market, minutes=vast)
    assert stored("candle_1m", market) == {}
    write_candles(instrument=market, minutes=vast[:1000])
    with pytest.raises(ScaleOverflow):
        write_candles(instrument=market, minutes=vast[1000:])
    assert len(stored("candle_1m", market)) == 1000


def test_a_deferred_refresh_refuses_such_a_volume_too(market: Instrument) -> None:
    minutes = walk(3 * 1440)
    vast = replace(minutes, volume=np.full(len(minutes.ts), 2**53 // 2000))
    write_candles(instrument=market, minutes=vast[:1000], refresh=False)
    with pytest.raises(ScaleOverflow):
        write_candles(instrument=market, minutes=vast[1000:], refresh=False)
    settle()
    assert_levels_match(market)


def test_a_value_that_breaks_the_rules_is_refused_by_the_table(market: Instrument) -> None:
    for ts, row in ((MONDAY + 1, (1, 1, 1, 1, 1)), (MONDAY, (5, 4, 1, 2, 1)), (MONDAY, (5, 6, 4, 5, -1))):
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO candle_1m VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [market.pk, to_datetime(ts), *row],
            )


def test_every_change_gives_the_months_concerned_another_version(market: Instrument) -> None:
    def now() -> dict[str, int]:
        found = versions([market.pk], MONDAY, MONDAY + 100 * DAY)
        return {f"{month:%m}": token for (_, month), token in found.items()}

    minutes = walk(50 * 1440)
    write_candles(instrument=market, minutes=minutes)
    first = now()
    assert list(first) == ["01", "02"]
    write_candles(instrument=market, minutes=minutes)
    raise_scale(instrument=market, price_scale=4, volume_scale=5)
    settle()
    assert now() == first
    write_candles(instrument=market, minutes=replace(minutes[40:41], close=minutes[40:41].low))
    second = now()
    assert second["01"] != first["01"]
    assert second["02"] == first["02"]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= %s", [market.pk, utc(2024, 2, 10)]
        )
    assert now()["01"] == second["01"]
    assert now()["02"] != second["02"]
    write_candles(instrument=market, minutes=minutes[35:45])
    last = now()
    assert last["02"] != second["02"]
    assert Revision.objects.filter(instrument=market).count() > 2
    merge_revisions()
    assert Revision.objects.filter(instrument=market).count() == 2
    assert now() == last


def test_coverage_is_from_the_first_to_the_last_minute(market: Instrument) -> None:
    minutes = walk(3 * 1440 + 5, start=MONDAY + 77 * MINUTE)
    write_candles(instrument=market, minutes=minutes, refresh=False)
    for _ in range(2):
        span = coverage([market.pk])[market.pk]
        assert span.first == to_datetime(int(minutes.ts[0]))
        assert span.last == to_datetime(int(minutes.ts[-1]))
        settle()


def test_truncating_the_minutes_empties_every_level(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(3000))
    settle()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE candle_1m")
    for table in TABLES:
        assert stored(table, market) == {}
    assert versions([market.pk], MONDAY, MONDAY + DAY) == {}
    write_candles(instrument=market, minutes=walk(3000, seed=8))
    assert_read_as_rolled(market)


def test_an_instrument_with_candles_cannot_be_removed(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(10))
    with pytest.raises(IntegrityError, match="still has candles"):
        market.delete()
    delete_candles(instrument=market, start=EVER[0], end=EVER[1])
    settle()
    market.delete()


def test_minutes_of_the_present_are_in_every_roll_up_at_once(market: Instrument) -> None:
    from django.utils import timezone

    now = timezone.now().replace(second=0, microsecond=0)
    start = int((now - timedelta(days=2)).timestamp() * 1000)
    minutes = walk(2 * 1440, start=start)
    write_candles(instrument=market, minutes=minutes[:-5])
    settle()
    for last in range(5, 0, -1):
        write_candles(instrument=market, minutes=minutes[len(minutes.ts) - last :][:1])
        made = stored("candle_1m", market)
        for level in ROLLUPS:
            assert stored(level.table, market) == rolled(made, level.width), level.name


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), parts=st.lists(st.integers(0, 4000), min_size=1, max_size=5))
def test_whatever_is_written_in_whatever_order_the_levels_are_right(
    market: Instrument, seed: int, parts: list[int]
) -> None:
    other = instrument()
    whole = walk(4000, seed=seed, gaps=0.3, start=MONDAY + (seed % 10_000) * MINUTE)
    for part in parts:
        some: Arrays = whole[part % len(whole.ts) :][:700]
        write_batch(batch=[(other, some), (market, whole[part % 97 :][:50])], refresh=part % 3 > 0)
        assert_read_as_rolled(other)
        if part % 2:
            settle()
    settle()
    assert_levels_match(other)
    assert_levels_match(market)


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recorded minutes at {RECORDED}")
def test_roll_ups_of_recorded_minutes_are_what_pandas_makes_of_them(market: Instrument) -> None:
    rows = [row for batch in read_minutes(RECORDED) for row in batch.rows]
    sifted = sift_minutes(
        rows, start_ms=None, end_ms=None, now_ms=to_ms(EVER[1]), price_scale=2, volume_scale=5
    )
    assert sifted.rejected == []
    minutes = sifted.minutes
    write_candles(instrument=market, minutes=minutes)
    frame = pd.DataFrame(
        {name: getattr(minutes, name) for name in VALUES},
        index=pd.DatetimeIndex(minutes.ts.astype("datetime64[ms]")),
    )
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for _ in range(2):
        for level in ROLLUPS:
            width = pd.Timedelta(milliseconds=level.width)
            monday = pd.Timestamp("1970-01-05")
            grouped = frame.resample(width, closed="left", label="left", origin=monday)
            made = grouped.agg(how).assign(n=grouped["open"].count()).dropna().astype(np.int64)
            times = made.index.astype("datetime64[ms]").astype(np.int64)
            expected = dict(zip(times.tolist(), made.itertuples(index=False, name=None), strict=True))
            assert stored(level.table, market) == expected, level.name
        settle()


def test_the_store_is_what_it_says(store: Store, market: Instrument) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, relkind FROM pg_class WHERE relname = ANY(%s)", [list(TABLES)])
        kinds = dict(cursor.fetchall())
    assert len(kinds) == len(TABLES)
    views = {name for name, kind in kinds.items() if kind == "v"}
    assert views == (set(TABLES[1:]) if store.rollups == Rollups.AGGREGATES else set())


@pytest.mark.parametrize("refresh", [True, False])
def test_gaps_are_the_minutes_that_are_not_there(market: Instrument, refresh: bool) -> None:
    minutes = walk(20 * 1440, start=MONDAY + 333 * MINUTE)
    kept = np.ones(len(minutes.ts), bool)
    for start, length in ((1, 1), (700, 60), (1440 * 3 - 333, 1440), (1440 * 6 + 13, 5000), (1440 * 12, 2)):
        kept[start : start + length] = False
    write_candles(instrument=market, minutes=minutes[kept], refresh=refresh)
    if refresh:
        settle()
    write_candles(instrument=market, minutes=minutes[1440 * 12 : 1440 * 12 + 1], refresh=refresh)
    kept[1440 * 12] = True
    absent = minutes.ts[~kept]
    for start, end in ((None, None), (utc(2024, 1, 1, 12), utc(2024, 1, 9, 7, 31)), (utc(2024, 3, 1), None)):
        gaps = find_gaps(instrument_id=market.pk, start=start, end=end)
        found = [ts for lo, hi in gaps for ts in range(lo, hi, MINUTE)]
        inside = [
            ts for ts in absent
            if (start or EVER[0]) <= to_datetime(int(ts)) < (end or EVER[1])
        ]  # fmt: skip
        assert found == inside
        assert all(one[1] < other[0] for one, other in itertools.pairwise(gaps))
