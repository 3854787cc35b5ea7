"""The sync: every active instrument up to the last minute that has ended, and no further."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.candles import services
from apps.candles.models import Candle1m, Instrument
from apps.candles.tasks import sync_all
from apps.candles.timeframes import minute_of
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, instrument, stored, utc, walk

pytestmark = pytest.mark.usefixtures("shared_candles")

KLINES = "/api/v3/klines"


@pytest.fixture(autouse=True)
def _short_lookback(settings: Any) -> None:
    settings.CANDLES_SYNC_LOOKBACK_HOURS = 2


def sync() -> TaskRun:
    result = sync_all.delay()
    run_pending()
    return TaskRun.objects.get(pk=result.id)


def test_an_instrument_is_followed_to_the_last_closed_minute_and_no_further(
    exchange: SimulatedExchange,
) -> None:
    market = instrument("BTC/USDT")
    before = minute_of(timezone.now())
    run = sync()
    after = minute_of(timezone.now())
    assert run.state == TaskRun.State.SUCCEEDED
    times = sorted(stored("candle_1m", market))
    assert (before - timedelta(hours=2)).timestamp() * 1000 <= times[0]
    # BTC/USDT has quiet minutes, but no ten of them in a row.
    assert (before - timedelta(minutes=11)).timestamp() * 1000 < times[-1] < after.timestamp() * 1000
    assert run.result == {"instruments": 1, "rows": len(times), "failed": {}}
    assert_levels_match(market)


def test_it_goes_on_from_the_last_stored_minute_and_corrects_it(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT")
    sync()
    everything = stored("candle_1m", market)
    kept = sorted(everything)[:-15]
    Candle1m.objects.filter(
        instrument=market, ts__gt=utc(1970, 1, 1) + timedelta(milliseconds=kept[-1])
    ).delete()
    Candle1m.objects.filter(instrument=market).update(volume=1)
    services.refresh_rollups()
    run = sync()
    assert run.result["rows"] >= 15
    now_stored = stored("candle_1m", market)
    assert {ts: now_stored[ts] for ts in kept[:-1]} == {ts: (*everything[ts][:4], 1) for ts in kept[:-1]}
    assert {ts: now_stored[ts] for ts in sorted(everything)[-16:]} == {
        ts: everything[ts] for ts in sorted(everything)[-16:]
    }
    assert_levels_match(market)


def test_an_instrument_that_is_up_to_date_is_not_asked_for(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT")
    # Stands in for a sync a moment ago, and for the next minute too, lest it begins during the test.
    start = minute_of(timezone.now()) - timedelta(minutes=10)
    services.write_candles(instrument=market, minutes=walk(11, start=int(start.timestamp() * 1000)))
    assert sync().result == {"instruments": 1, "rows": 0, "failed": {}}
    assert exchange.requests(KLINES) == 0


def test_inactive_instruments_are_left_alone(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT", active=False)
    assert sync().result == {"instruments": 0, "rows": 0, "failed": {}}
    assert stored("candle_1m", market) == {}


def test_the_trouble_of_one_instrument_is_not_the_trouble_of_all(exchange: SimulatedExchange) -> None:
    one, gone, spoilt = instrument("ETH/USDT"), instrument("DELISTED/USDT"), instrument("BTC/USDT")
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan", "symbol": "BTCUSDT"})
    run = sync()
    assert run.state == TaskRun.State.SUCCEEDED
    assert run.result["instruments"] == 1
    assert {name: reason.split(":")[0] for name, reason in run.result["failed"].items()} == {
        gone.text: "VenueRefused",
        spoilt.text: "RejectedCandles",
    }
    assert stored("candle_1m", one)
    assert stored("candle_1m", spoilt) == {}


def test_an_exchange_that_is_away_is_asked_once_and_the_run_waits_as_long_as_it_says(
    exchange: SimulatedExchange,
) -> None:
    for symbol in ("BTC/USDT", "ETH/USDT"):
        instrument(symbol)
    exchange.disturb(
        {"path": KLINES, "kind": "status", "status": 418, "headers": {"Retry-After": "66"}, "times": None}
    )
    before = timezone.now()
    run = sync()
    assert exchange.requests(KLINES) == 1
    assert run.state == TaskRun.State.SCHEDULED
    assert timedelta(seconds=65) < run.due_at - before < timedelta(seconds=80)
    assert run.error is not None
    assert all(name in run.error["message"] for name in ("binance:BTC/USDT", "binance:ETH/USDT"))


def test_a_sync_steps_back_while_an_earlier_one_is_under_way(exchange: SimulatedExchange) -> None:
    instrument("BTC/USDT")
    earlier = sync_all.delay()
    TaskRun.objects.filter(pk=earlier.id).update(state=TaskRun.State.RUNNING)
    assert sync().result == {"skipped": "an earlier sync is still under way"}
    assert exchange.requests(KLINES) == 0
    assert Instrument.objects.count() == 1


def test_the_range_ends_before_the_forming_minute_and_reaches_no_further_back_than_allowed() -> None:
    now = utc(2024, 1, 1, 12, 0, 30)
    end, earliest = utc(2024, 1, 1, 12), utc(2024, 1, 1, 10)
    assert services.sync_range(last=None, now=now) == (earliest, end)
    assert services.sync_range(last=utc(2023, 12, 1), now=now) == (earliest, end)
    assert services.sync_range(last=utc(2024, 1, 1, 11, 58), now=now) == (utc(2024, 1, 1, 11, 58), end)
    assert services.sync_range(last=utc(2024, 1, 1, 11, 59), now=now) is None
