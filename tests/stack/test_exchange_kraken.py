"""The simulated Kraken over HTTP: names, candles, errors."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from apps.stack.exchange.rates import FallingCounter
from tests.stack.exchange_process import RunningExchange
from tests.stack.exchanges import exchange, running

__all__ = ["exchange", "running"]

OHLC = "/0/public/OHLC"


def ohlc(exchange: RunningExchange, pair: str = "XXBTZUSD", **parameters: Any) -> tuple[list[Any], int]:
    """The rows and ``last``."""
    answer = exchange.get(OHLC, pair=pair, **parameters)
    assert answer["error"] == []
    [(_, rows)] = [entry for entry in answer["result"].items() if entry[0] != "last"]
    return rows, answer["result"]["last"]


def test_a_row_has_eight_columns_with_the_volume_after_the_mean_price(exchange: RunningExchange) -> None:
    rows, _ = ohlc(exchange)
    assert {tuple(type(value) for value in row) for row in rows} == {(int, str, str, str, str, str, str, int)}
    for _, opening, high, low, close, mean, volume, count in rows[:-1]:
        assert Decimal(low) <= min(Decimal(opening), Decimal(close))
        assert Decimal(high) >= max(Decimal(opening), Decimal(close))
        assert (Decimal(volume) > 0) == (count > 0)
        if count:
            assert Decimal(low) <= Decimal(mean) <= Decimal(high)
        assert len(volume.partition(".")[2]) == 8
        assert len(close.partition(".")[2]) == 1


def test_the_newest_720_are_all_that_can_be_had_the_forming_one_included(exchange: RunningExchange) -> None:
    rows, last = ohlc(exchange, since=0)
    now = exchange.get("/0/public/Time")["result"]["unixtime"]
    assert len(rows) == 720
    assert [row[0] for row in rows] == list(range(rows[0][0], rows[0][0] + 720 * 60, 60))
    assert now - rows[-1][0] < 120
    assert last == rows[-2][0]


def test_since_is_exclusive_and_the_newest_bar_always_there(exchange: RunningExchange) -> None:
    _, last = ohlc(exchange)
    rows, _ = ohlc(exchange, since=last - 120)
    assert [row[0] for row in rows][:2] == [last - 60, last]
    whole, _ = ohlc(exchange)
    newest, _ = ohlc(exchange, since=whole[-1][0] + 3_600)
    assert len(newest) == 1
    assert newest[0][0] in (whole[-1][0], whole[-1][0] + 60)


@pytest.mark.parametrize(("interval", "seconds"), [("5", 300), ("60", 3600), ("1440", 86_400)])
def test_longer_bars(exchange: RunningExchange, interval: str, seconds: int) -> None:
    rows, _ = ohlc(exchange, interval=interval)
    assert len(rows) == 720
    assert {after[0] - before[0] for before, after in itertools.pairwise(rows)} == {seconds}
    assert rows[0][0] % seconds == 0


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "XBT/USD"])
def test_a_pair_goes_by_three_names_and_answers_by_its_id(exchange: RunningExchange, name: str) -> None:
    assert set(exchange.get(OHLC, pair=name)["result"]) == {"XXBTZUSD", "last"}
    assert set(exchange.get("/0/public/AssetPairs", pair=name)["result"]) == {"XXBTZUSD"}


def test_pairs_name_assets_that_there_are(exchange: RunningExchange) -> None:
    assets = exchange.get("/0/public/Assets")["result"]
    pairs = exchange.get("/0/public/AssetPairs")["result"]
    assert {pair[side] for pair in pairs.values() for side in ("base", "quote")} <= set(assets)
    assert pairs["XXBTZUSD"]["wsname"] == "XBT/USD"
    assert exchange.get("/0/public/SystemStatus")["result"]["status"] == "online"


def test_a_thin_pair_has_no_bar_for_a_quiet_minute_and_still_720_of_them(exchange: RunningExchange) -> None:
    rows, _ = ohlc(exchange, "ADAETH")
    assert len(rows) == 720
    assert all(Decimal(row[6]) > 0 for row in rows)
    assert rows[-1][0] - rows[0][0] > 1_000 * 60
    liquid, _ = ohlc(exchange, "XBTUSDT")
    assert 5 < sum(Decimal(row[6]) == 0 for row in liquid) < 100


@pytest.mark.parametrize(
    ("path", "parameters", "error"),
    [
        (OHLC, {"pair": "NONE"}, "EQuery:Unknown asset pair"),
        ("/0/public/AssetPairs", {"pair": "NONE"}, "EQuery:Unknown asset pair"),
        (OHLC, {}, "EGeneral:Invalid arguments"),
        (OHLC, {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments"),
        (OHLC, {"pair": "XBTUSD", "since": "then"}, "EGeneral:Invalid arguments"),
        ("/0/public/Nothing", {}, "EGeneral:Unknown method"),
    ],
)
def test_errors_come_with_status_200(
    exchange: RunningExchange, path: str, parameters: dict[str, str], error: str
) -> None:
    assert exchange.get(path, **parameters) == {"error": [error]}


def test_too_many_requests_are_refused_until_time_has_passed() -> None:
    counter = FallingCounter(3)
    assert [counter.admits("a", now_ms=0) for _ in range(4)] == [True, True, True, False]
    assert counter.admits("b", now_ms=0)
    assert not counter.admits("a", now_ms=999)
    assert counter.admits("a", now_ms=1_000)
    assert not counter.admits("a", now_ms=1_000)
    counter.forgive()
    assert counter.admits("a", now_ms=1_000)


def test_the_limit_is_for_all_of_it_and_not_for_the_operator(exchange: RunningExchange) -> None:
    answers = [exchange.get("/0/public/Time")["error"] for _ in range(90)]
    assert answers[0] == []
    assert answers[-1] == ["EGeneral:Too many requests"]
    assert exchange.get("/0/public/Assets") == {"error": ["EGeneral:Too many requests"]}
    assert exchange.request("GET", "/api/v3/ping").status == 200
    assert exchange.request("DELETE", "/_sim/limits").status == 200
    assert exchange.get("/0/public/Time")["error"] == []
