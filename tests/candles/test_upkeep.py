"""What keeps the store in shape: the refresh after backfills, partitions ahead of time, retention."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.candles import services
from apps.candles.models import BackfillChunk, Candle1m, Instrument
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.partitions import drop_partitions, ensure_partitions
from apps.candles.tasks import maintain, refresh_rollups
from apps.candles.timeframes import ROLLUPS
from apps.tasks import services as task_services
from apps.tasks.models import TaskRun
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, dirty, instrument, rolled, stored, utc, walk
from tests.candles.ingesting import KLINES, ask_for, ms, run_of, run_until_ended

pytestmark = pytest.mark.usefixtures("shared_candles")

MINUTES_A_DAY = 1440


def partitions() -> list[str]:
    """The months that have a partition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '^candle_1m_[0-9_]+$' AND relkind = 'r'")
        return sorted(name.removeprefix("candle_1m_") for (name,) in cursor.fetchall())


def month(moment: datetime) -> str:
    return f"{moment:%Y_%m}"


def rollups(market: Instrument) -> dict[str, Any]:
    return {level.name: stored(level.table, market) for level in ROLLUPS}


@pytest.fixture
def border(settings: Any) -> datetime:
    """The first of a month and no Monday, with minutes kept from somewhere in its first day on."""
    now = timezone.now()
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while first.weekday() == 0 or now - first < timedelta(days=10):
        first = (first - timedelta(days=1)).replace(day=1)
    settings.CANDLES_RETENTION_DAYS = (now - first).days
    return first


def with_old_minutes(border: datetime, settings: Any, *, refresh: bool = True) -> Instrument:
    """An instrument with minutes from three days before the border to three days after it."""
    market = instrument()
    kept, settings.CANDLES_RETENTION_DAYS = settings.CANDLES_RETENTION_DAYS, None
    start = ms(border - timedelta(days=3))
    services.write_candles(instrument=market, minutes=walk(6 * MINUTES_A_DAY, start=start), refresh=refresh)
    settings.CANDLES_RETENTION_DAYS = kept
    return market


def test_the_refresh_waits_for_the_last_chunk_but_not_for_ever(
    exchange: SimulatedExchange, settings: Any
) -> None:
    settings.CANDLES_CHUNK_DAYS = 1
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0}, {"path": KLINES, "kind": "reset"})
    ask_for(1.5)
    assert run_of(refresh_rollups).result == {"days": 0}
    assert run_of(refresh_rollups).result == {"waiting": "for the last chunk of a backfill"}
    market = Instrument.objects.get()
    assert dirty()
    assert stored("candle_1h", market) == {}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_dirty SET at = at - interval '800 seconds'")
        assert "waiting" in run_of(refresh_rollups).result
        cursor.execute("UPDATE candle_dirty SET at = at - interval '100 seconds'")
    assert run_of(refresh_rollups).result == {"days": 1}
    assert_levels_match(market)
    settings.CANDLES_REFRESH_AFTER = 0
    services.write_candles(instrument=market, minutes=walk(10), refresh=False)
    assert run_of(refresh_rollups).result == {"days": 1}
    run_until_ended()
    assert not dirty()
    assert_levels_match(market)


def test_chunks_that_were_given_up_are_not_waited_for(exchange: SimulatedExchange) -> None:
    backfill = ask_for(0.25)
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    market = instrument()
    services.write_candles(instrument=market, minutes=walk(10), refresh=False)
    task_services.cancel(run_id=BackfillChunk.objects.get().task_run)
    assert run_of(refresh_rollups).result == {"days": 1}
    assert_levels_match(market)


def test_an_instrument_that_cannot_be_refreshed_does_not_keep_the_others_from_it() -> None:
    markets = [instrument() for _ in range(3)]
    for market in markets:
        services.write_candles(instrument=market, minutes=walk(10), refresh=False)
    Candle1m.objects.filter(instrument=markets[1]).update(volume=2**52)
    run = run_of(refresh_rollups)
    assert run.state == TaskRun.State.SCHEDULED
    assert run.error is not None
    assert run.error["type"] == "ScaleOverflow"
    for market in (markets[0], markets[2]):
        assert stored("candle_1h", market)
        assert_levels_match(market)
    assert dirty()
    Candle1m.objects.filter(instrument=markets[1]).update(volume=1)
    run_until_ended()
    assert_levels_match(markets[1])


@pytest.mark.usefixtures("of_partitions")
def test_partitions_are_there_three_months_ahead() -> None:
    now = np.datetime64(timezone.now().strftime("%Y-%m"), "M")
    wanted = [str(now + ahead).replace("-", "_") for ahead in range(4)]
    with connection.cursor() as cursor:
        for name in wanted:
            cursor.execute(f"DROP TABLE IF EXISTS candle_1m_{name}")
    assert run_of(maintain).result == {"changes": [f"made candle_1m_{name}" for name in wanted]}
    assert set(wanted) <= set(partitions())
    assert run_of(maintain).result == {"changes": []}


def test_without_a_retention_everything_is_kept() -> None:
    market = instrument()
    services.write_candles(instrument=market, minutes=walk(10, start=ms(utc(2001, 1, 1))))
    run_of(maintain)
    assert len(stored("candle_1m", market)) == 10


@pytest.mark.usefixtures("of_partitions")
def test_months_that_are_not_kept_are_dropped_and_their_roll_ups_stay(
    border: datetime, settings: Any
) -> None:
    market = with_old_minutes(border, settings)
    minutes, before = stored("candle_1m", market), rollups(market)
    changes = run_of(maintain).result["changes"]
    assert f"dropped candle_1m_{month(border - timedelta(days=1))}" in changes
    assert min(partitions()) == month(border)
    assert min(stored("candle_1m", market)) == ms(border)
    assert rollups(market) == before
    # A late minute of the week that the border divides corrects every level, and empties none.
    late = walk(1, start=ms(border + timedelta(days=2)), seed=9)
    assert services.write_candles(instrument=market, minutes=late).updated == 1
    minutes |= late.bars()
    assert rollups(market) == {level.name: rolled(minutes, level.width) for level in ROLLUPS}


@pytest.mark.usefixtures("of_partitions")
def test_a_copy_of_a_month_that_is_dropped_is_not_read_any_more(
    border: datetime, settings: Any, tmp_path: Path
) -> None:
    market = with_old_minutes(border, settings)
    cached = CachedSource(TimescaleSource(), tmp_path, limit=10**9)
    week = border - timedelta(days=3), border + timedelta(days=3)
    assert len(cached.load(market.text, "1m", *week).ts) == 6 * MINUTES_A_DAY
    assert len(cached.load(market.text, "1h", *week).ts) == 6 * 24
    run_of(maintain)
    assert len(cached.load(market.text, "1m", *week).ts) == 3 * MINUTES_A_DAY
    assert len(cached.load(market.text, "1h", *week).ts) == 6 * 24


@pytest.mark.usefixtures("of_partitions")
def test_a_late_minute_that_is_not_kept_is_refused_and_no_roll_up_is_emptied(
    border: datetime, settings: Any
) -> None:
    market = with_old_minutes(border, settings)
    run_of(maintain)
    before = rollups(market)
    for start in (
        border - timedelta(days=2),
        timezone.now() - timedelta(days=settings.CANDLES_RETENTION_DAYS),
    ):
        whole = start.replace(second=0, microsecond=0)
        with pytest.raises(services.BeyondRetention, match="are not kept"):
            services.write_candles(instrument=market, minutes=walk(10, start=ms(whole)))
    services.delete_candles(instrument=market, start=utc(2000, 1, 1), end=border)
    assert rollups(market) == before
    assert not dirty()


@pytest.mark.usefixtures("of_partitions")
def test_what_waits_for_its_refresh_is_not_dropped_before(border: datetime, settings: Any) -> None:
    market = with_old_minutes(border, settings, refresh=False)
    minutes = stored("candle_1m", market)
    empty = ms(border - timedelta(days=200))
    ensure_partitions(np.array([empty]))
    dropped = drop_partitions(ms(border))
    assert month(border - timedelta(days=200)) in "".join(dropped)
    assert month(border - timedelta(days=1)) in partitions()
    assert stored("candle_1m", market) == minutes
    # The task refreshes first.
    run_of(maintain)
    assert month(border - timedelta(days=1)) not in partitions()
    assert rollups(market) == {level.name: rolled(minutes, level.width) for level in ROLLUPS}


@pytest.mark.usefixtures("of_partitions")
def test_nobody_has_to_wait_behind_a_long_reader(border: datetime, settings: Any) -> None:
    market = with_old_minutes(border, settings)
    before = stored("candle_1m", market)
    reader = connections.create_connection("default")
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM candle_1m")
            assert run_of(maintain).state == TaskRun.State.SUCCEEDED
            assert stored("candle_1m", market) == before
        reader.rollback()
    finally:
        reader.close()
    run_of(maintain)
    assert min(stored("candle_1m", market)) == ms(border)
