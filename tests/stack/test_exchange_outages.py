"""Minutes that are not there: outages on order, and thin markets' quiet minutes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from apps.stack.exchange.kraken_markets import PAIRS
from apps.stack.exchange.outages import Interrupted, Outage, Outages
from apps.stack.exchange.synthetic import Synthetic
from tests.stack.exchange_process import RunningExchange
from tests.stack.exchanges import exchange, running

__all__ = ["exchange", "running"]

MINUTE = 60_000
START = 1_700_000_040_000
FIRST = START // MINUTE
NOW = START + 100_000 * MINUTE
THIN = PAIRS["ADAETH"].market


def openings(exchange: RunningExchange, **parameters: Any) -> list[int]:
    return [(row[0] - START) // MINUTE for row in exchange.klines(**parameters)]


def test_an_outage_takes_its_minutes_and_pages_stay_full(exchange: RunningExchange) -> None:
    exchange.interrupt({"exchange": "binance", "start": START + 10 * MINUTE, "end": START + 3_000 * MINUTE})
    assert openings(exchange, startTime=START, limit=1000) == [*range(10), *range(3000, 3990)]
    assert openings(exchange, endTime=START + 3_001 * MINUTE, limit=4) == [8, 9, 3000, 3001]
    assert openings(exchange, startTime=START + 10 * MINUTE, endTime=START + 2_999 * MINUTE) == []


def test_outages_add_up_and_end_when_they_are_cleared(exchange: RunningExchange) -> None:
    rules = [
        {"exchange": "binance", "market": "BTCUSDT", "start": START + MINUTE, "end": START + 2 * MINUTE},
        {"exchange": "binance", "market": None, "start": START + 3 * MINUTE, "end": START + 4 * MINUTE},
    ]
    for rule in rules:
        exchange.interrupt(rule)
    assert exchange.get("/_sim/outages") == rules
    assert openings(exchange, startTime=START, limit=4) == [0, 2, 4, 5]
    assert openings(exchange, symbol="ETHUSDT", startTime=START, limit=4) == [0, 1, 2, 4]
    assert exchange.request("DELETE", "/_sim/outages").json == []
    assert openings(exchange, startTime=START, limit=4) == [0, 1, 2, 3]


def test_an_outage_without_an_end_goes_on_and_prices_are_still_told(exchange: RunningExchange) -> None:
    exchange.interrupt({"exchange": "binance", "start": START})
    assert openings(exchange, startTime=START) == []
    assert openings(exchange, limit=2) == [-2, -1]
    assert exchange.get("/api/v3/ticker/price", symbol="BTCUSDT")["symbol"] == "BTCUSDT"


def test_longer_bars_are_made_of_the_minutes_that_are_there(exchange: RunningExchange) -> None:
    hour = START - START % (60 * MINUTE) + 60 * MINUTE
    exchange.interrupt({"exchange": "binance", "start": hour, "end": hour + 90 * MINUTE})
    bars = exchange.klines("1h", startTime=hour, limit=2)
    assert [bar[0] for bar in bars] == [hour + 60 * MINUTE, hour + 120 * MINUTE]
    assert bars[0][1] == exchange.klines(startTime=hour + 90 * MINUTE, limit=1)[0][1]


@pytest.mark.parametrize(
    ("outage", "field"),
    [
        ("binance", "not a list of outages"),
        ({"exchange": "coinbase", "start": START}, "exchange must be one of binance, bybit, kraken"),
        ({"start": START}, "exchange"),
        ({"exchange": "kraken", "market": "BTCUSDT", "start": START}, "market must be one of XXBTZUSD"),
        ({"exchange": "bybit", "market": "BTCUSDT", "start": START}, "market must be one of spot:BTCUSDT"),
        ({"exchange": "binance"}, "start"),
        ({"exchange": "binance", "start": START + 1}, "start must be a whole minute"),
        ({"exchange": "binance", "start": START, "end": "later"}, "end must be a whole minute"),
        ({"exchange": "binance", "start": START, "end": START}, "end must be after start"),
        ({"exchange": "binance", "start": START, "colour": 1}, "colour"),
    ],
)
def test_an_outage_that_cannot_be_ordered_is_refused(
    exchange: RunningExchange, outage: Any, field: str
) -> None:
    reply = exchange.request("POST", "/_sim/outages", body=[outage])
    assert reply.status == 400
    assert field in reply.json["error"]
    assert exchange.get("/_sim/outages") == []


def test_every_exchange_and_its_markets_are_told(exchange: RunningExchange) -> None:
    info = exchange.get("/_sim/info")
    assert set(info["exchanges"]) == {"binance", "bybit", "kraken"}
    assert info["exchanges"]["binance"] == info["symbols"]
    assert {"spot:BTCUSDT", "linear:BTCUSDT"} <= set(info["exchanges"]["bybit"])
    assert info["exchanges"]["kraken"]["XXBTZUSD"]["source"] == "synthetic"


def test_a_thin_market_is_the_same_in_any_pieces() -> None:
    source = Synthetic(market=THIN, seed=7)
    whole = source.minutes(FIRST, FIRST + 3_000, now_ms=NOW)
    pieces = [
        minute
        for start in range(FIRST, FIRST + 3_000, 125)
        for minute in source.minutes(start, start + 125, now_ms=NOW).minute.tolist()
    ]
    assert pieces == whole.minute.tolist()
    assert 0.3 * 3_000 < len(pieces) < 0.5 * 3_000
    gaps = {after - before for before, after in itertools.pairwise(pieces)}
    assert max(gaps) > 4
    # With bars for its quiet minutes, a market has all of them.
    full = Synthetic(market=replace(THIN, bars_when_quiet=True), seed=7)
    assert len(full.minutes(FIRST, FIRST + 3_000, now_ms=NOW)) == 3_000


@pytest.mark.parametrize("count", [1, 7, 720, -1, -7, -720])
def test_a_step_leads_over_as_many_bars_whatever_is_missing(count: int) -> None:
    outages = Outages()
    outages.add(
        [
            Outage(exchange="kraken", market=None, start=FIRST + 3, end=FIRST + 500),
            Outage(exchange="kraken", market="ADAETH", start=FIRST - 300, end=FIRST - 2),
            Outage(exchange="kraken", market="ADAETH", start=FIRST + 90_000, end=None),
        ]
    )
    source = Interrupted(
        source=Synthetic(market=THIN, seed=7), exchange="kraken", market="ADAETH", outages=outages
    )
    reached = source.step(FIRST, count)
    assert (reached > FIRST) == (count > 0)
    found = source.minutes(min(FIRST, reached), max(FIRST, reached), now_ms=NOW)
    assert len(found) >= abs(count)


def test_a_step_back_leads_over_an_outage_that_goes_on() -> None:
    outages = Outages()
    outages.add([Outage(exchange="kraken", market=None, start=FIRST, end=None)])
    source = Interrupted(
        source=Synthetic(market=THIN, seed=7), exchange="kraken", market="ADAETH", outages=outages
    )
    reached = source.step(FIRST + 5_000, -10)
    assert len(source.minutes(reached, FIRST + 5_000, now_ms=NOW)) >= 10
