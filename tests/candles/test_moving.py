"""Moving a store that is in use to another kind, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from django.db import DatabaseError, connection

from apps.candles.models import Instrument
from apps.candles.services import delete_candles, raise_scale, refresh_rollups, write_candles
from apps.candles.storage import moving, stores
from apps.candles.storage.installing import create_extension
from apps.candles.storage.moving import MoveUnderWay, Step
from apps.candles.storage.partitions import drop_partitions
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, PORTABLE, Base, Rollups, Store
from apps.candles.timeframes import DAY, to_datetime, to_ms
from tests.candles.conftest import shared_candles
from tests.candles.helpers import MINUTE, MONDAY, TABLES, assert_levels_match, instrument, stored, utc, walk

__all__ = ["shared_candles"]

pytestmark = pytest.mark.django_db(transaction=True)

IDS = {PORTABLE: "portable", INCREMENTAL: "incremental", AGGREGATES: "aggregates"}
MOVES = [pytest.param(one, other, id=f"{IDS[one]}-{IDS[other]}") for one, other in permutations(IDS, 2)]


class Interrupted(Exception):
    """The process that moves is gone."""


@pytest.fixture
def source(request: pytest.FixtureRequest, shared_candles: None) -> Iterator[Store]:
    """The store in force before the move; what was there before the test is in force after it."""
    if obstacle := create_extension():
        pytest.skip(f"no TimescaleDB: {obstacle}")
    before = stores.in_force()
    if before != request.param:
        moving.convert(request.param)
    yield request.param
    moving.abandon()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE candle_1m")
    if stores.in_force() != before:
        moving.convert(before)


@pytest.fixture
def markets(source: Store) -> list[Instrument]:
    """Two instruments with minutes in three months."""
    markets = [instrument(), instrument()]
    for seed, market in enumerate(markets):
        write_candles(instrument=market, minutes=walk(70 * 1440, seed=seed, gaps=0.4))
    refresh_rollups()
    return markets


def steps(names: list[Step] | None = None) -> moving.OnStep:
    return (names if names is not None else []).append


def assert_right(target: Store, markets: list[Instrument]) -> None:
    assert stores.in_force() == target
    assert moving.unfinished() is None
    refresh_rollups()
    for market in markets:
        assert_levels_match(market)


@pytest.mark.parametrize(("source", "target"), MOVES, indirect=["source"])
def test_everything_is_there_afterwards_and_nothing_else(
    source: Store, target: Store, markets: list[Instrument]
) -> None:
    before = [stored("candle_1m", market) for market in markets]
    done: list[Step] = []
    moving.move(target, on_step=steps(done))
    assert [stored("candle_1m", market) for market in markets] == before
    assert_right(target, markets)
    assert done[-1].done == done[-1].total
    assert relations() == relations_of(target)
    write_candles(instrument=markets[0], minutes=walk(3000, seed=9, start=MONDAY + 80 * DAY))
    assert_right(target, markets)


@pytest.mark.parametrize(("source", "target"), MOVES, indirect=["source"])
def test_roll_ups_of_minutes_that_are_not_kept_are_there_afterwards(
    source: Store, target: Store, markets: list[Instrument]
) -> None:
    newcomer = instrument()
    write_candles(instrument=newcomer, minutes=walk(3000, start=MONDAY + 66 * DAY))
    refresh_rollups()
    if source.base == Base.PARTITIONS:
        assert drop_partitions(to_ms(utc(2024, 2, 15))) == ["candle_1m_2024_01"]
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT drop_chunks('candle_1m', older_than => '2024-02-20'::timestamptz)")
            assert len(cursor.fetchall()) >= 1
    everybody = [*markets, newcomer]
    before = [{table: stored(table, market) for table in TABLES} for market in everybody]
    assert min(before[0]["candle_5m"]) == MONDAY
    assert min(before[0]["candle_1m"]) > MONDAY + 20 * DAY
    moving.move(target, on_step=steps())
    for _ in range(2):
        for market, tables in zip(everybody, before, strict=True):
            for table, bars in tables.items():
                found = stored(table, market)
                assert {ts for ts in found | bars if found.get(ts) != bars.get(ts)} == set(), table
        refresh_rollups()


def relations() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'candle\\_%%' AND relkind IN ('r', 'p', 'v')"
        )
        return {name for (name,) in cursor.fetchall() if not name.startswith("candle_1m_20")}


def relations_of(target: Store) -> set[str]:
    views = {f"{table}_done" for table in TABLES[1:]} if target.rollups == Rollups.AGGREGATES else set()
    return {*TABLES, *views, "candle_dirty"}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(PORTABLE, AGGREGATES, id="portable-aggregates"),
        pytest.param(AGGREGATES, INCREMENTAL, id="aggregates-incremental"),
        pytest.param(INCREMENTAL, PORTABLE, id="incremental-portable"),
    ],
    indirect=["source"],
)
def test_what_is_written_meanwhile_is_there_afterwards(
    source: Store, target: Store, markets: list[Instrument]
) -> None:
    """Before every step: new minutes, corrections, deletions, another scale, in all months."""
    late = iter(range(1000))
    seen: set[str] = set()

    def meanwhile(step: Step) -> None:
        if step.name == "swapping" and step.done == step.total:
            return
        number = next(late)
        seen.add(step.name)
        for market in markets:
            for month in (0, 31, 60):
                minutes = walk(20, seed=number, start=MONDAY + (month * 1440 + 17 * number) * MINUTE)
                write_candles(instrument=market, minutes=minutes)
            at = to_datetime(MONDAY + (5 * number + 3) * DAY // 4)
            delete_candles(instrument=market, start=at, end=at + timedelta(minutes=77))
        if number == 2:
            raise_scale(instrument=markets[0], price_scale=4, volume_scale=6)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE candle_1m SET close = low WHERE instrument_id = %s AND ts >= %s AND ts < %s",
                [markets[1].pk, utc(2024, 2, 3), utc(2024, 2, 3, 0, number)],
            )
        if step.name == "swapping":
            expected[:] = [stored("candle_1m", market) for market in markets]

    expected: list[dict[int, tuple[int, ...]]] = []
    moving.move(target, on_step=meanwhile)
    assert {"making roll-ups", "swapping"} <= seen
    assert [stored("candle_1m", market) for market in markets] == expected
    assert_right(target, markets)


@pytest.mark.parametrize("source", [pytest.param(PORTABLE, id="portable")], indirect=True)
@pytest.mark.parametrize("target", [AGGREGATES, INCREMENTAL], ids=["aggregates", "incremental"])
def test_a_move_that_is_broken_off_goes_on_where_it_was(
    source: Store, target: Store, markets: list[Instrument]
) -> None:
    before = [stored("candle_1m", market) for market in markets]
    calls = 0
    done: list[Step] = []
    while stores.in_force() != target:
        allowed = calls + 1

        def interrupted(step: Step) -> None:
            nonlocal calls
            done.append(step)
            calls += 1
            if calls > allowed:  # noqa: B023
                raise Interrupted

        calls = 0
        allowed = len(done) + 1
        try:
            moving.move(target, on_step=interrupted)
        except Interrupted:
            assert stores.in_force() == source
            assert moving.unfinished() == target
    assert [stored("candle_1m", market) for market in markets] == before
    assert_right(target, markets)


@pytest.mark.parametrize("source", [pytest.param(PORTABLE, id="portable")], indirect=True)
def test_a_move_can_be_abandoned_and_leaves_nothing_behind(source: Store, markets: list[Instrument]) -> None:
    before, there = [stored("candle_1m", market) for market in markets], relations()

    def interrupted(step: Step) -> None:
        if step.name == "making roll-ups":
            raise Interrupted

    with pytest.raises(Interrupted):
        moving.move(AGGREGATES, on_step=interrupted)
    with pytest.raises(MoveUnderWay, match="broken off"):
        moving.move(INCREMENTAL, on_step=steps())
    with pytest.raises(DatabaseError, match="is being moved"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE candle_1m")
    assert moving.abandon()
    assert not moving.abandon()
    assert relations() == there
    assert [stored("candle_1m", market) for market in markets] == before
    write_candles(instrument=markets[0], minutes=replace(walk(100, seed=7)))
    assert_right(source, markets)
    moving.move(INCREMENTAL, on_step=steps())
    assert_right(INCREMENTAL, markets)


@pytest.mark.parametrize("source", [pytest.param(INCREMENTAL, id="incremental")], indirect=True)
def test_moving_to_what_is_there_does_nothing(source: Store, markets: list[Instrument]) -> None:
    done: list[Step] = []
    moving.move(INCREMENTAL, on_step=steps(done))
    assert done == []
    assert source.base == Base.HYPERTABLE
    assert source.rollups == Rollups.INCREMENTAL


@pytest.mark.parametrize("source", [pytest.param(PORTABLE, id="portable")], indirect=True)
def test_what_is_committed_late_is_copied_too(source: Store, markets: list[Instrument]) -> None:
    """Another session's minute, written before its month is copied and committed after that."""
    other = connection.copy()
    ts = utc(2024, 1, 3, 4, 5)
    try:

        def meanwhile(step: Step) -> None:
            if step.name == "copying minutes" and step.done == 0:
                other.set_autocommit(False)
                with other.cursor() as cursor:
                    cursor.execute(
                        "INSERT INTO candle_1m VALUES (%s, %s, 3, 9, 1, 5, 7)"
                        " ON CONFLICT (instrument_id, ts) DO UPDATE"
                        " SET open = 3, high = 9, low = 1, close = 5, volume = 7",
                        [markets[0].pk, ts],
                    )
            if step.name == "making roll-ups" and step.done == 0:
                other.commit()

        moving.move(INCREMENTAL, on_step=meanwhile)
    finally:
        other.close()
    assert stored("candle_1m", markets[0])[int(ts.timestamp() * 1000)] == (3, 9, 1, 5, 7)
    assert_right(INCREMENTAL, markets)
