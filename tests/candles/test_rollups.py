"""Roll-ups follow the minutes, whoever changes those and however."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.candles.models import Instrument
from apps.candles.services import refresh_rollups, write_candles
from tests.candles.helpers import (
    MINUTE,
    MONDAY,
    TABLES,
    assert_levels_match,
    dirty,
    instrument,
    make_room,
    stored,
    walk,
)

pytestmark = pytest.mark.django_db

DAY = 1440 * MINUTE


def _sql(statement: str, *parameters: Any) -> int:
    """Work on the tables as somebody else would, with an SQL prompt."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount


def _insert(market: Instrument, ts: int, *bar: int) -> None:
    make_room(ts)
    row = (market.pk, ts / 1000, *bar)
    _sql("INSERT INTO candle_1m VALUES (%s, to_timestamp(%s), %s, %s, %s, %s, %s)", *row)


def test_a_late_minute_reaches_every_level() -> None:
    market, minutes = instrument(), walk(3 * 1440)
    late = 2 * 1440 - 7
    write_candles(instrument=market, minutes=minutes[np.arange(len(minutes.ts)) != late])
    assert stored("candle_1d", market)[MONDAY + DAY][-1] == 1439
    spike = replace(minutes[late : late + 1], high=np.array([9_000_000]))
    write_candles(instrument=market, minutes=spike)
    for table in TABLES[1:]:
        bucket = [row for ts, row in stored(table, market).items() if ts <= spike.ts[0]][-1]
        assert bucket[1] == 9_000_000, table
    assert_levels_match(market)


def test_a_correction_made_with_sql_reaches_every_level_at_the_next_refresh() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(2000))
    changed = _sql(
        "UPDATE candle_1m SET high = high + 5000000, volume = volume + 1 WHERE instrument_id = %s"
        " AND ts >= '2024-01-01 23:50Z' AND ts < '2024-01-02 00:10Z'",
        market.pk,
    )
    assert changed == 20
    assert dirty() == 4  # two days, before and after the change
    assert refresh_rollups(instrument=market) == 2
    assert dirty() == 0
    assert_levels_match(market)
    assert stored("candle_1d", market)[MONDAY][1] > 5_000_000


def test_deleted_minutes_leave_every_level() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(3000))
    _sql("DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= '2024-01-02 00:00Z'", market.pk)
    refresh_rollups()
    assert list(stored("candle_1d", market)) == [MONDAY]
    assert_levels_match(market)


@pytest.mark.usefixtures("of_partitions")
def test_a_minute_that_is_moved_leaves_its_old_buckets_and_enters_its_new_ones() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(10))
    make_room(MONDAY + 40 * DAY)
    _sql(
        "UPDATE candle_1m SET ts = ts + interval '40 days'"
        " WHERE instrument_id = %s AND ts = '2024-01-01 00:03Z'",
        market.pk,
    )
    refresh_rollups()
    assert len(stored("candle_1d", market)) == 2
    assert_levels_match(market)


def test_a_minute_given_to_another_instrument_changes_both() -> None:
    one, other = instrument(), instrument()
    write_candles(instrument=one, minutes=walk(10))
    _sql(
        "UPDATE candle_1m SET instrument_id = %s WHERE instrument_id = %s AND ts = '2024-01-01 00:03Z'",
        other.pk,
        one.pk,
    )
    refresh_rollups()
    assert stored("candle_1d", other)[MONDAY][-1] == 1
    assert_levels_match(one)
    assert_levels_match(other)


def test_truncating_the_minutes_empties_every_level() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(10))
    _insert(market, MONDAY - MINUTE, 1, 1, 1, 1, 1)
    _sql("TRUNCATE candle_1m")
    for table in TABLES:
        assert stored(table, market) == {}
    assert dirty() == 0


def test_only_whole_minutes_can_be_stored() -> None:
    with pytest.raises(IntegrityError, match="candle_1m_whole_minute"), transaction.atomic():
        _insert(instrument(), MONDAY + 1000, 3, 4, 2, 3, 1)


def test_a_refresh_of_one_instrument_leaves_the_others_dirty() -> None:
    one, other = instrument(), instrument()
    for market in (one, other):
        _insert(market, MONDAY, 3, 4, 2, 3, 1)
    assert refresh_rollups(instrument=one) == 1
    assert stored("candle_1d", other) == {}
    assert dirty() == 1
    assert refresh_rollups() == 1
    assert stored("candle_1d", other) == stored("candle_1d", one) == {MONDAY: (3, 4, 2, 3, 1, 1)}


def test_a_write_also_takes_up_what_others_left_dirty() -> None:
    market = instrument()
    _insert(market, MONDAY - 9 * DAY, 3, 4, 2, 3, 1)
    write_candles(instrument=market, minutes=walk(3))
    assert_levels_match(market)
    assert dirty() == 0


@pytest.mark.usefixtures("shared_candles")
def test_a_change_that_is_not_committed_waits_for_the_next_refresh() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(10))
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(
                "UPDATE candle_1m SET high = 9000000 WHERE instrument_id = %s AND ts = '2024-01-01 00:03Z'",
                [market.pk],
            )
        _insert(market, MONDAY + 60 * MINUTE, 3, 4, 2, 3, 1)
        assert refresh_rollups() == 1
        assert stored("candle_1d", market)[MONDAY][1] < 9_000_000
        other.commit()
    finally:
        other.close()
    assert dirty() == 2
    assert refresh_rollups() == 1
    assert stored("candle_1d", market)[MONDAY][1] == 9_000_000
    assert_levels_match(market)


@pytest.mark.usefixtures("shared_candles")
def test_readers_see_minutes_and_roll_ups_appear_together() -> None:
    market = instrument()
    other = connections.create_connection("default")
    seen = (
        "SELECT (SELECT count(*) FROM candle_1m WHERE instrument_id = %(id)s),"
        " (SELECT coalesce(sum(n), 0) FROM candle_1d WHERE instrument_id = %(id)s)"
    )
    try:
        with transaction.atomic():
            write_candles(instrument=market, minutes=walk(2000))
            with other.cursor() as cursor:
                cursor.execute(seen, {"id": market.pk})
                assert cursor.fetchone() == (0, 0)
        with other.cursor() as cursor:
            cursor.execute(seen, {"id": market.pk})
            assert cursor.fetchone() == (2000, 2000)
    finally:
        other.close()


def test_the_command_refreshes_what_is_dirty() -> None:
    one, other = instrument(), instrument()
    for market in (one, other):
        _insert(market, MONDAY, 3, 4, 2, 3, 1)
    out = StringIO()
    call_command("candles", "refresh", one.text, stdout=out)
    call_command("candles", "refresh", "--quiet", stdout=out)
    call_command("candles", "refresh", "--quiet", stdout=out)
    assert [int(line.split()[0]) for line in out.getvalue().splitlines()] == [1, 1, 0]
    with pytest.raises(CommandError, match="INSTRUMENT: binance:NONE/USDT is not known"):
        call_command("candles", "refresh", "binance:NONE/USDT")


# Minutes around two midnights, one of which is also the end of a week and of a month's partition.
_places = st.integers(-90, 90) | st.integers(1440 - 90, 1440 + 90)
_bar = st.tuples(
    st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 9), st.integers(0, 9), st.integers(0, 99)
)
_change = st.one_of(
    st.tuples(st.just("write"), st.dictionaries(_places, _bar, min_size=1, max_size=40)),
    st.tuples(st.just("insert"), st.tuples(_places, _bar)),
    st.tuples(st.just("correct"), st.tuples(_places, _places)),
    st.tuples(st.just("delete"), st.tuples(_places, _places)),
    st.tuples(st.just("refresh"), st.none()),
)


def _candle(bar: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    open_, close, above, below, volume = bar
    return open_, max(open_, close) + above, min(open_, close) - below, close, volume


def _apply(market: Instrument, kind: str, what: Any) -> None:
    if kind == "write":
        columns = np.array([(MONDAY + at * MINUTE, *_candle(what[at])) for at in sorted(what)], np.int64).T
        names = ("ts", "open", "high", "low", "close", "volume")
        write_candles(instrument=market, minutes=replace(walk(0), **dict(zip(names, columns, strict=True))))
    elif kind == "insert":
        at, bar = what
        _sql("DELETE FROM candle_1m WHERE instrument_id = %s AND ts = to_timestamp(%s)",
             market.pk, (MONDAY + at * MINUTE) / 1000)  # fmt: skip
        _insert(market, MONDAY + at * MINUTE, *_candle(bar))
    elif kind == "refresh":
        refresh_rollups(instrument=market)
    else:
        lo, hi = sorted(what)
        head = "DELETE FROM candle_1m" if kind == "delete" else "UPDATE candle_1m SET high = high + 7"
        _sql(f"{head} WHERE instrument_id = %s AND ts >= to_timestamp(%s) AND ts < to_timestamp(%s)",
             market.pk, (MONDAY + lo * MINUTE) / 1000, (MONDAY + hi * MINUTE) / 1000)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_change, min_size=1, max_size=8))
def test_after_any_changes_roll_ups_equal_those_made_from_scratch(changes: list[tuple[str, Any]]) -> None:
    with transaction.atomic():
        market = instrument()
        for kind, what in changes:
            _apply(market, kind, what)
        refresh_rollups(instrument=market)
        assert_levels_match(market)
        transaction.set_rollback(True)
