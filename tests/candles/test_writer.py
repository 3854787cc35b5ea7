"""Writing minutes: what is stored, what is counted, what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection, transaction

from apps.candles.models import Candle1d, Candle1m, Instrument
from apps.candles.services import ScaleOverflow, WriteResult, write_candles
from tests.candles.helpers import (
    MINUTE,
    MONDAY,
    TABLES,
    Arrays,
    assert_levels_match,
    dirty,
    instrument,
    stored,
    walk,
)

pytestmark = pytest.mark.django_db


def test_minutes_are_stored_as_they_are_and_rolled_up() -> None:
    market, minutes = instrument(), walk(3000, gaps=0.2)
    result = write_candles(instrument=market, minutes=minutes)
    assert result == WriteResult(inserted=len(minutes.ts))
    assert stored("candle_1m", market) == minutes.bars()
    assert_levels_match(market)
    assert dirty() == 0


def test_the_models_read_what_was_written() -> None:
    market, minutes = instrument(), walk(1441)
    write_candles(instrument=market, minutes=minutes)
    last = Candle1m.objects.filter(instrument=market).latest("ts")
    assert (last.close, last.volume) == (minutes.close[-1], minutes.volume[-1])
    assert [day.n for day in Candle1d.objects.filter(instrument=market).order_by("ts")] == [1440, 1]
    assert Candle1m.objects.get(pk=(market.pk, last.ts)) == last


def test_writing_the_same_again_changes_nothing() -> None:
    market, minutes = instrument(), walk(500)
    write_candles(instrument=market, minutes=minutes)
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(xmin::text::bigint) FROM candle_1m WHERE instrument_id = %s", [market.pk])
        before = cursor.fetchone()
        assert write_candles(instrument=market, minutes=minutes) == WriteResult(unchanged=500)
        cursor.execute("SELECT max(xmin::text::bigint) FROM candle_1m WHERE instrument_id = %s", [market.pk])
        assert cursor.fetchone() == before


def test_new_different_and_identical_minutes_are_told_apart() -> None:
    market, minutes = instrument(), walk(400)
    write_candles(instrument=market, minutes=minutes[:300])
    corrected = replace(minutes, volume=minutes.volume + (np.arange(400) % 10 == 0))
    result = write_candles(instrument=market, minutes=corrected[100:])
    assert result == WriteResult(inserted=100, updated=20, unchanged=180)
    assert result.rows == 300
    assert stored("candle_1m", market) == {**minutes[:100].bars(), **corrected[100:].bars()}
    assert_levels_match(market)


def test_two_writes_in_one_transaction_do_not_mix() -> None:
    one, other, minutes = instrument(), instrument(), walk(50)
    for market in (one, other, one, other):
        write_candles(instrument=market, minutes=minutes)
    assert stored("candle_1m", one) == stored("candle_1m", other) == minutes.bars()


def test_no_minutes_are_no_work() -> None:
    market = instrument()
    assert write_candles(instrument=market, minutes=walk(0)) == WriteResult()
    assert stored("candle_1m", market) == {}


def test_rolled_back_with_the_callers_transaction() -> None:
    market = instrument()
    with transaction.atomic():
        write_candles(instrument=market, minutes=walk(10))
        transaction.set_rollback(True)
    for table in TABLES:
        assert stored(table, market) == {}


@pytest.mark.usefixtures("of_partitions")
def test_partitions_are_made_for_months_that_have_minutes_and_for_no_others() -> None:
    market = instrument()
    minutes = walk(4, start=MONDAY)
    july, september = 1_151_712_000_000, 1_157_068_800_000  # 2006
    write_candles(
        instrument=market, minutes=replace(minutes, ts=np.array([july - MINUTE, july, september, MONDAY]))
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'candle_1m'::regclass"
        )
        names = {name for (name,) in cursor.fetchall()}
    assert {"candle_1m_2006_06", "candle_1m_2006_07", "candle_1m_2006_09"} <= names
    assert "candle_1m_2006_08" not in names
    assert len(stored("candle_1m", market)) == 4


def test_finer_minutes_raise_the_scale_of_what_is_stored() -> None:
    market, minutes = instrument(), walk(20)
    write_candles(instrument=market, minutes=minutes[:10])
    fine = replace(minutes[10:], price_scale=4, volume_scale=5)
    write_candles(instrument=market, minutes=fine)
    assert (market.price_scale, market.volume_scale) == (4, 5)
    assert Instrument.objects.get(pk=market.pk).price_scale == 4
    raised = {ts: (*(100 * p for p in bar[:4]), bar[4]) for ts, bar in minutes[:10].bars().items()}
    assert stored("candle_1m", market) == {**raised, **fine.bars()}
    assert_levels_match(market)


def test_coarser_minutes_are_brought_to_the_stored_scale() -> None:
    market, minutes = instrument(price_scale=3, volume_scale=7), walk(10)
    stale = Instrument.objects.get(pk=market.pk)
    stale.price_scale = 0
    write_candles(instrument=stale, minutes=minutes)
    expected = {ts: (*(10 * p for p in bar[:4]), 100 * bar[4]) for ts, bar in minutes.bars().items()}
    assert stored("candle_1m", market) == expected
    assert stale.price_scale == 3


def test_a_value_beyond_what_float64_holds_exactly_is_refused() -> None:
    market, minute = instrument(volume_scale=8), walk(1)
    huge = replace(minute, volume=np.array([2**53 // 1000]))
    write_candles(instrument=market, minutes=huge)
    with pytest.raises(ScaleOverflow, match="volume"):
        write_candles(instrument=market, minutes=replace(huge, volume=huge.volume + 1))
    assert stored("candle_1m", market) == {ts: (*bar[:4], 1000 * bar[4]) for ts, bar in huge.bars().items()}


def test_a_roll_up_beyond_what_float64_holds_exactly_is_refused() -> None:
    market, minutes = instrument(volume_scale=5), walk(2)
    with pytest.raises(ScaleOverflow, match="candle_5m"):
        write_candles(instrument=market, minutes=replace(minutes, volume=np.full(2, 2**52)))
    assert stored("candle_1m", market) == {}


def _shifted(minutes: Arrays) -> Arrays:
    return replace(minutes, ts=minutes.ts + 1)


def _repeated(minutes: Arrays) -> Arrays:
    return replace(minutes, ts=np.repeat(minutes.ts[:5], 2))


def _reversed(minutes: Arrays) -> Arrays:
    return minutes[::-1]


def _floats(minutes: Arrays) -> Arrays:
    return replace(minutes, close=minutes.close.astype(float))  # type: ignore[arg-type]


def _short(minutes: Arrays) -> Arrays:
    return replace(minutes, volume=minutes.volume[:-1])


@pytest.mark.parametrize("spoil", [_shifted, _repeated, _reversed, _floats, _short])
def test_arrays_that_break_their_promises_are_refused(spoil: Callable[[Arrays], Arrays]) -> None:
    market = instrument()
    with pytest.raises(ValueError):
        write_candles(instrument=market, minutes=spoil(walk(10)))
    assert stored("candle_1m", market) == {}


def test_the_database_refuses_a_close_above_the_high() -> None:
    market, minutes = instrument(), walk(10)
    with pytest.raises(IntegrityError, match="candle_1m_values"), transaction.atomic():
        write_candles(instrument=market, minutes=replace(minutes, close=minutes.high + 1))
    assert stored("candle_1m", market) == {}


def test_times_out_of_all_reason_make_no_partitions() -> None:
    with pytest.raises(ValueError, match="2200"):
        write_candles(instrument=instrument(), minutes=walk(1, start=7_258_118_400_000))


def test_an_instrument_with_candles_cannot_be_deleted() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(1))
    with pytest.raises(IntegrityError, match="still has candles"), transaction.atomic():
        market.delete()
    empty = instrument()
    empty.delete()


def _at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run these on threads, each with its own connection, that start together."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(index: int, work: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            results[index] = work()
        except BaseException as exc:
            results[index] = exc
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.usefixtures("shared_candles")
def test_writers_that_need_the_same_new_partition_do_not_collide() -> None:
    markets = [instrument() for _ in range(4)]
    for round_, start in enumerate((1_262_304_000_000, 1_267_401_600_000, 1_272_672_000_000)):  # 2010
        minutes = walk(1000, start=start)
        results = _at_once(
            *(partial(write_candles, instrument=market, minutes=minutes) for market in markets)
        )
        assert results == [WriteResult(inserted=1000)] * 4, round_


@pytest.mark.usefixtures("shared_candles")
def test_writers_of_the_same_minutes_wait_for_each_other() -> None:
    market, minutes = instrument(), walk(2000)
    for start in range(0, 2000, 500):
        part = minutes[start : start + 500]
        results = _at_once(*[partial(write_candles, instrument=market, minutes=part)] * 3)
        assert sorted(results, key=lambda r: r.unchanged) == [
            WriteResult(inserted=500),
            WriteResult(unchanged=500),
            WriteResult(unchanged=500),
        ]
    assert stored("candle_1m", market) == minutes.bars()
    assert_levels_match(market)


@pytest.mark.usefixtures("shared_candles")
def test_a_writer_with_an_outdated_scale_meets_the_one_that_raised_it() -> None:
    market, minutes = instrument(), walk(1000)
    coarse, fine = minutes[:500], replace(minutes[500:], price_scale=4)
    results = _at_once(
        lambda: write_candles(instrument=Instrument.objects.get(pk=market.pk), minutes=coarse),
        lambda: write_candles(instrument=Instrument.objects.get(pk=market.pk), minutes=fine),
    )
    assert results == [WriteResult(inserted=500)] * 2
    expected = {ts: (*(100 * p for p in bar[:4]), bar[4]) for ts, bar in coarse.bars().items()}
    assert stored("candle_1m", market) == {**expected, **fine.bars()}
    assert_levels_match(market)
