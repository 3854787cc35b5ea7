"""The sync: every followed instrument up to the last minute that has ended, and no further."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.candles import services
from apps.candles.models import Candle1m, Instrument, QuarantinedCandle
from apps.candles.tasks import sync_all, sync_exchange
from apps.candles.timeframes import minute_of
from apps.stack.exchange import api
from apps.stack.exchange.markets import MARKETS
from apps.tasks.models import TaskRun
from apps.tasks.testing import assert_requested, run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, dirty, instrument, stored, utc, walk
from tests.candles.ingesting import KLINES, OHLC, ms

pytestmark = pytest.mark.usefixtures("shared_candles")

TIME = "/api/v3/time"
#: A market of each exchange with a bar for every minute.
MARKET = {"binance": "ETH/USDT", "bybit": "BTC/USDT:USDT", "kraken": "BTC/USD"}


@pytest.fixture(autouse=True)
def _short_lookback(settings: Any) -> None:
    settings.CANDLES_SYNC_LOOKBACK_HOURS = 2


@pytest.fixture
def many_markets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """More markets of the simulated Binance than are stored together. To be asked for before `exchange`."""
    names = [f"M{number:02}" for number in range(60)]
    more = {f"{name}USDT": replace(MARKETS["BTCUSDT"], base=name) for name in names}
    monkeypatch.setattr(api, "MARKETS", {**MARKETS, **more})
    return [f"{name}/USDT" for name in names]


def followed(symbol: str, **fields: Any) -> Instrument:
    return instrument(symbol, followed=True, **fields)


def sync() -> dict[str, TaskRun]:
    """The newest sync of each exchange, after one of all."""
    sync_all.delay()
    run_pending()
    return {
        run.kwargs["exchange"]: run
        for run in TaskRun.objects.filter(task="candles.sync_exchange").order_by("seq")
    }


@pytest.mark.parametrize("name", ["binance", "bybit", "kraken"])
def test_an_instrument_is_followed_to_the_last_closed_minute_and_no_further(
    exchange: SimulatedExchange, name: str
) -> None:
    market = followed(MARKET[name], exchange=name)
    before = minute_of(timezone.now())
    run = sync()[name]
    after = minute_of(timezone.now())
    assert run.state == TaskRun.State.SUCCEEDED
    times = sorted(stored("candle_1m", market))
    assert ms(before - timedelta(hours=2)) <= times[0] <= ms(after - timedelta(hours=2))
    assert ms(before) - 60_000 <= times[-1] < ms(after)
    assert run.result == {"instruments": 1, "rows": len(times), "failed": {}}
    assert QuarantinedCandle.objects.count() == 0
    assert_levels_match(market)


def test_it_goes_on_from_the_last_stored_minute_and_corrects_it(exchange: SimulatedExchange) -> None:
    market = followed("BTC/USDT")
    sync()
    everything = stored("candle_1m", market)
    kept = sorted(everything)[:-15]
    Candle1m.objects.filter(
        instrument=market, ts__gt=utc(1970, 1, 1) + timedelta(milliseconds=kept[-1])
    ).delete()
    Candle1m.objects.filter(instrument=market).update(volume=1)
    services.refresh_rollups()
    run = sync()["binance"]
    assert run.result["rows"] >= 15
    now_stored = stored("candle_1m", market)
    assert {ts: now_stored[ts] for ts in kept[:-1]} == {ts: (*everything[ts][:4], 1) for ts in kept[:-1]}
    assert {ts: now_stored[ts] for ts in sorted(everything)[-16:]} == {
        ts: everything[ts] for ts in sorted(everything)[-16:]
    }
    assert_levels_match(market)


def test_an_instrument_that_is_up_to_date_is_not_asked_for(exchange: SimulatedExchange) -> None:
    market = followed("BTC/USDT")
    # Stands in for a sync a moment ago, and for the next minute too, lest it begins during the test.
    start = minute_of(timezone.now()) - timedelta(minutes=10)
    services.write_candles(instrument=market, minutes=walk(11, start=ms(start)))
    assert sync()["binance"].result == {"instruments": 1, "rows": 0, "failed": {}}
    assert exchange.requests(KLINES) == exchange.requests(TIME) == 0


def test_instruments_that_are_inactive_or_not_followed_are_left_alone(exchange: SimulatedExchange) -> None:
    left = [
        followed("BTC/USDT", active=False),
        instrument("ETH/USDT"),
        instrument("BTC/USD", exchange="kraken"),
    ]
    assert sync() == {}
    followed("BNB/USDT")
    assert sync()["binance"].result["instruments"] == 1
    assert all(stored("candle_1m", market) == {} for market in left)


def test_the_trouble_of_one_instrument_is_not_the_trouble_of_all(exchange: SimulatedExchange) -> None:
    one, gone, spoilt = followed("ETH/USDT"), followed("DELISTED/USDT"), followed("BTC/USDT")
    exchange.disturb({"path": KLINES, "kind": "garbage", "symbol": "BTCUSDT"})
    run = sync()["binance"]
    assert run.state == TaskRun.State.SUCCEEDED
    assert run.result["instruments"] == 1
    assert {name: reason.split(":")[0] for name, reason in run.result["failed"].items()} == {
        gone.text: "VenueRefused",
        spoilt.text: "VenueRubbish",
    }
    assert stored("candle_1m", one)
    assert stored("candle_1m", spoilt) == {}


def test_a_bad_row_is_quarantined_and_the_others_are_stored(exchange: SimulatedExchange) -> None:
    market = followed("BTC/USDT")
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan"})
    run = sync()["binance"]
    one = QuarantinedCandle.objects.get()
    assert (one.instrument, one.origin, one.reason, one.run) == (market, "sync", "not_finite", run.pk)
    times = stored("candle_1m", market)
    assert ms(one.ts) not in times
    assert len(times) == 119
    assert run.result["failed"] == {}


def test_the_trouble_of_one_exchange_is_not_the_trouble_of_another(exchange: SimulatedExchange) -> None:
    markets = {name: followed(symbol, exchange=name) for name, symbol in MARKET.items()}
    exchange.disturb({"path": KLINES, "kind": "status", "status": 503, "headers": {"Retry-After": "500"}})
    runs = sync()
    assert {name: run.state for name, run in runs.items()} == {
        "binance": TaskRun.State.SCHEDULED,
        "bybit": TaskRun.State.SUCCEEDED,
        "kraken": TaskRun.State.SUCCEEDED,
    }
    assert {name: bool(stored("candle_1m", market)) for name, market in markets.items()} == {
        "binance": False,
        "bybit": True,
        "kraken": True,
    }
    # The next one leaves Binance to the attempt that is waiting, and asks the others again.
    asked = exchange.requests(KLINES)
    services.delete_candles(instrument=markets["kraken"], start=utc(2024, 1, 1), end=utc(2100, 1, 1))
    again = sync()
    assert again["binance"].pk == runs["binance"].pk
    assert again["kraken"].result["rows"] == 120
    assert exchange.requests(KLINES) == asked
    assert exchange.requests(OHLC) == 2


def test_one_sync_of_an_exchange_is_requested_at_a_time() -> None:
    followed("BTC/USDT")
    for _ in range(3):
        sync_all.run()
    assert_requested(sync_exchange, kwargs={"exchange": "binance"}, count=1)


def test_an_exchange_that_is_away_is_asked_once_and_the_run_waits_as_long_as_it_says(
    exchange: SimulatedExchange,
) -> None:
    for symbol in ("BTC/USDT", "ETH/USDT"):
        followed(symbol)
    exchange.disturb(
        {"path": KLINES, "kind": "status", "status": 418, "headers": {"Retry-After": "66"}, "times": None}
    )
    before = timezone.now()
    run = sync()["binance"]
    assert exchange.requests(KLINES) == 1
    assert run.state == TaskRun.State.SCHEDULED
    assert timedelta(seconds=65) < run.due_at - before < timedelta(seconds=80)
    assert run.error is not None
    assert all(name in run.error["message"] for name in ("binance:BTC/USDT", "binance:ETH/USDT"))


def test_an_instrument_whose_requests_fail_alone_is_no_trouble_of_those_after_it(
    exchange: SimulatedExchange,
) -> None:
    broken, *others = (followed(symbol) for symbol in ("BNB/USDT", "BTC/USDT", "ETH/USDT"))
    exchange.disturb({"path": KLINES, "kind": "status", "status": 502, "symbol": "BNBUSDT", "times": None})
    run = sync()["binance"]
    assert run.state == TaskRun.State.SUCCEEDED
    assert run.result["instruments"] == 2
    assert list(run.result["failed"]) == [broken.text]
    assert all(stored("candle_1m", market) for market in others)


@pytest.mark.parametrize(("spared", "asked"), [(None, 3), ("M01USDT", 5), ("M02USDT", 6), ("gone", 5)])
def test_an_exchange_that_is_unavailable_three_times_in_a_row_is_away(
    many_markets: list[str], exchange: SimulatedExchange, spared: str | None, asked: int
) -> None:
    for symbol in many_markets[:10]:
        followed(symbol)
    if spared == "gone":
        # Trouble of another kind, of which the exchange says something.
        exchange.disturb({"path": KLINES, "kind": "garbage", "symbol": "M01USDT"})
    elif spared is not None:
        exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0, "symbol": spared})
    exchange.disturb({"path": KLINES, "kind": "status", "status": 502, "times": None})
    run = sync()["binance"]
    assert exchange.requests(KLINES) == asked
    failed = (run.result or {}).get("failed") or run.error["message"].split("; ")
    assert len(failed) == (10 if spared in (None, "gone") else 9)


def test_many_instruments_are_stored_together_and_a_row_that_does_not_fit_is_left_out_alone(
    many_markets: list[str], exchange: SimulatedExchange
) -> None:
    markets = [followed(symbol) for symbol in many_markets]
    full = markets[17]
    brim = replace(walk(2), volume=np.full(2, 2**51))
    services.write_candles(instrument=full, minutes=brim)
    before = stored("candle_1m", full)
    # One of its volumes needs four decimals more, for which there is no room in what is stored.
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "finer", "symbol": "M17USDT"})
    run = sync()["binance"]
    assert run.state == TaskRun.State.SUCCEEDED
    assert (run.result["instruments"], run.result["failed"]) == (60, {})
    odd = QuarantinedCandle.objects.get()
    assert (odd.instrument, odd.reason, odd.origin) == (full, "too_many_decimals", "sync")
    assert odd.message == "volume has 9 decimals, and what is stored has no room for more than 5"
    assert len(stored("candle_1m", full).items() - before.items()) == 119
    others = [market for market in markets if market != full]
    assert all(len(stored("candle_1m", market)) == 120 for market in others)
    for market in (full, others[0], others[16], others[17], others[-1]):
        assert_levels_match(market)
    assert not dirty()


def test_instruments_are_stored_by_the_fifty(many_markets: list[str], exchange: SimulatedExchange) -> None:
    markets = [followed(symbol) for symbol in many_markets]
    with CaptureQueriesContext(connection) as queries:
        assert sync()["binance"].result["instruments"] == 60
    writes = [query for query in queries if "unnest" in query["sql"] and "advisory" in query["sql"]]
    assert len(writes) == 2
    for market in markets:
        assert len(stored("candle_1m", market)) == 120
    for market in markets[::10]:
        assert_levels_match(market)


def test_the_range_ends_before_the_forming_minute_and_reaches_no_further_back_than_allowed() -> None:
    now = utc(2024, 1, 1, 12, 0, 30)
    end, earliest = utc(2024, 1, 1, 12), utc(2024, 1, 1, 10)
    assert services.sync_range(last=None, now=now) == (earliest, end)
    assert services.sync_range(last=utc(2023, 12, 1), now=now) == (earliest, end)
    assert services.sync_range(last=utc(2024, 1, 1, 11, 58), now=now) == (utc(2024, 1, 1, 11, 58), end)
    assert services.sync_range(last=utc(2024, 1, 1, 11, 59), now=now) is None
