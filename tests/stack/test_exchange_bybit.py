"""The simulated Bybit over HTTP: categories, paging, return codes, the limit of an address."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from apps.stack.exchange.rates import WindowLimiter
from tests.stack.exchange_process import RunningExchange
from tests.stack.exchanges import exchange, running

__all__ = ["exchange", "running"]

MINUTE = 60_000
START = 1_700_000_040_000
KLINE = "/v5/market/kline"
INSTRUMENTS = "/v5/market/instruments-info"


def kline(exchange: RunningExchange, **parameters: Any) -> list[list[str]]:
    wanted = {"category": "linear", "symbol": "BTCUSDT", "interval": "1", **parameters}
    answer = exchange.get(KLINE, **wanted)
    assert (answer["retCode"], answer["retMsg"]) == (0, "OK")
    assert (answer["result"]["category"], answer["result"]["symbol"]) == (
        wanted["category"],
        wanted["symbol"],
    )
    rows: list[list[str]] = answer["result"]["list"]
    return rows


def offsets(rows: list[list[str]]) -> list[int]:
    return [(int(row[0]) - START) // MINUTE for row in rows]


def test_rows_are_seven_texts_with_the_newest_first(exchange: RunningExchange) -> None:
    rows = kline(exchange, start=START, limit=50)
    assert offsets(rows) == list(range(49, -1, -1))
    for row in rows:
        assert [type(value) for value in row] == [str] * 7
        opening, high, low, close, volume, turnover = map(Decimal, row[1:])
        assert low <= min(opening, close) <= max(opening, close) <= high
        # In the base, as the turnover in the quote shows.
        assert low * volume <= turnover + 1
        assert turnover <= high * volume
        assert not any("." in value and value.endswith("0") for value in row)


def test_with_an_end_the_last_ones_before_it_count(exchange: RunningExchange) -> None:
    end = START + 2_000 * MINUTE
    assert offsets(kline(exchange, start=START, end=end, limit=3)) == [2000, 1999, 1998]
    assert offsets(kline(exchange, start=end - MINUTE, end=end, limit=3)) == [2000, 1999]
    assert offsets(kline(exchange, end=end - 1, limit=2)) == [1999, 1998]
    assert offsets(kline(exchange, start=START, limit=2)) == [1, 0]
    assert offsets(kline(exchange, start=START + 1, limit=1)) == [1]
    assert len(kline(exchange, start=START)) == 200
    assert len(kline(exchange, start=START, limit=1000)) == 1000
    assert kline(exchange, start=START, end=START - MINUTE) == []


def test_the_newest_is_still_forming(exchange: RunningExchange) -> None:
    newest = kline(exchange, limit=1)[0]
    now = exchange.get("/v5/market/time")["time"]
    assert now - int(newest[0]) < 2 * MINUTE


@pytest.mark.parametrize(("interval", "width"), [("5", 5), ("60", 60), ("D", 1440), ("W", 10_080)])
def test_longer_bars(exchange: RunningExchange, interval: str, width: int) -> None:
    rows = kline(exchange, interval=interval, limit=5)
    assert {int(after[0]) - int(before[0]) for after, before in itertools.pairwise(rows)} == {width * MINUTE}


def test_one_symbol_in_two_categories_is_two_markets(exchange: RunningExchange) -> None:
    spot = kline(exchange, category="spot", start=START, limit=100)
    linear = kline(exchange, category="linear", start=START, limit=100)
    assert offsets(spot) == offsets(linear)
    assert spot != linear


def test_linear_markets_come_page_by_page_and_spot_at_once(exchange: RunningExchange) -> None:
    whole = exchange.get(INSTRUMENTS, category="linear", limit=1000)["result"]
    assert whole["nextPageCursor"] == ""
    pages, cursor = [], ""
    while True:
        parameters = {"cursor": cursor} if cursor else {}
        page = exchange.get(INSTRUMENTS, category="linear", limit=2, **parameters)["result"]
        pages += page["list"]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert pages == whole["list"]
    assert len(pages) == 5
    spot = exchange.get(INSTRUMENTS, category="spot", limit=1)["result"]
    assert "nextPageCursor" not in spot
    assert len(spot["list"]) == 4
    assert exchange.get(INSTRUMENTS, category="linear", status="PreLaunch")["result"]["list"] == []


@pytest.mark.parametrize(
    ("path", "parameters", "message"),
    [
        (KLINE, {"symbol": "NONE", "interval": "1"}, "Not supported symbols"),
        (KLINE, {"category": "linear", "symbol": "BTCUSDC", "interval": "1"}, "Not supported symbols"),
        (KLINE, {"symbol": "BTCUSDT", "interval": "7"}, "Invalid period!"),
        (KLINE, {"symbol": "BTCUSDT", "interval": "1", "limit": "1001"}, "params error: limit"),
        (KLINE, {"symbol": "BTCUSDT", "interval": "1", "start": "-5"}, "params error: start"),
        (KLINE, {"category": "option", "symbol": "BTCUSDT"}, "params error: Category is invalid"),
        (INSTRUMENTS, {}, "params error: Category is invalid"),
        (INSTRUMENTS, {"category": "spot", "symbol": "NONE"}, "Not supported symbols"),
    ],
)
def test_bad_parameters_have_a_return_code_and_status_200(
    exchange: RunningExchange, path: str, parameters: dict[str, str], message: str
) -> None:
    answer = exchange.get(path, **parameters)
    assert (answer["retCode"], answer["retMsg"], answer["result"]) == (10001, message, {})


def test_an_address_with_too_many_requests_is_banned_for_a_while() -> None:
    limiter = WindowLimiter(3, window_ms=5_000, ban_ms=600_000)
    assert [limiter.admits("a", now_ms=moment) for moment in (0, 10, 20)] == [True] * 3
    assert limiter.admits("a", now_ms=5_000)
    assert not limiter.admits("a", now_ms=5_001)
    assert limiter.admits("b", now_ms=5_001)
    assert not limiter.admits("a", now_ms=605_000)
    assert limiter.admits("a", now_ms=605_001)


def test_a_ban_says_403_and_can_be_forgiven(exchange: RunningExchange) -> None:
    statuses = [exchange.request("GET", "/v5/market/time").status for _ in range(700)]
    assert statuses[0] == 200
    assert statuses[-1] == 403
    assert b"access too frequent" in exchange.request("GET", INSTRUMENTS, category="spot").body
    exchange.calm()
    assert exchange.request("GET", "/v5/market/time").status == 200
