"""The exchanges as the tests of all of them know them, and what else those tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.candles.venues import RawMinutes, server_time, venue_client
from tests.stack.exchange_process import RunningExchange

MINUTE = 60_000

#: Kind, id, scales of price and volume, settle, contract size, and whether it is told when it was listed.
Instrument = tuple[str, str, int, int, str | None, str | None, bool]


@dataclass(frozen=True, kw_only=True)
class Described:
    """One exchange: its paths, what its simulation lists, and answers that it must never be believed.

    *symbol* is a market with a bar for every minute, *key* its name in orders to the simulation, *other*
    another such market. *own_rows* asks for that market's minutes in [start, end) without ccxt: open time
    (ms) and five texts. *one_row* is an answer with one row, of an open time (ms) and a number for each
    column. *no_rows* are answers without rows that must not pass for an empty range. *spoil* makes one
    market's entry in the list unreadable and tells its id.
    """

    name: str
    candles: str
    listing: str
    symbol: str
    key: str
    other: str
    instruments: Mapping[str, Instrument]
    own_rows: Callable[[RunningExchange, int, int], list[list[Any]]]
    spoil: Callable[[Any], str]
    empty_listing: Any
    one_row: Callable[[int, str], str]
    no_rows: tuple[Any, ...]
    listing_parameters: Mapping[str, str] = field(default_factory=dict)


def client_of(name: str, exchange: RunningExchange) -> Any:
    """A client of an exchange at the simulation."""
    client = venue_client(name, base_urls={name: exchange.url})
    client.rateLimit = 1  # the simulation is patient
    return client


def times(raw: RawMinutes) -> list[int]:
    return [row[0] for row in raw]


def recent(client: Any, minutes: int) -> tuple[int, int]:
    """A range of so many minutes that every exchange still has, and that has ended."""
    end = server_time(client) // MINUTE * MINUTE - 5 * MINUTE
    return end - minutes * MINUTE, end


def _spoil_binance(answer: Any) -> str:
    entry = answer["symbols"][1]
    entry["filters"] = [
        {**one, "tickSize": "a little"} if one["filterType"] == "PRICE_FILTER" else one
        for one in entry["filters"]
    ]
    return str(entry["symbol"])


def _binance_rows(exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
    rows = exchange.klines(startTime=start, endTime=end - 1, limit=1000)
    return [row[:6] for row in rows]


BINANCE = Described(
    name="binance",
    candles="/api/v3/klines",
    listing="/api/v3/exchangeInfo",
    symbol="BTC/USDT",
    key="BTCUSDT",
    other="ETH/USDT",
    instruments={
        "BTC/USDT": ("spot", "BTCUSDT", 2, 5, None, None, False),
        "DOGE/USDT": ("spot", "DOGEUSDT", 5, 0, None, None, False),
        "ETH/BTC": ("spot", "ETHBTC", 5, 3, None, None, False),
    },
    spoil=_spoil_binance,
    empty_listing={"symbols": []},
    no_rows=({"rows": []}, {}, [1, 2], [[]], [["yesterday", "1", "1", "1", "1", "1"]]),
    own_rows=_binance_rows,
    one_row=lambda ts, number: f"[[{ts},{','.join([number] * 5)}]]",
)


def _spoil_bybit(answer: Any) -> str:
    entry = answer["result"]["list"][1]
    del entry["lotSizeFilter"]["basePrecision"]
    return str(entry["symbol"])


def _bybit_rows(exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
    answer = exchange.get(
        "/v5/market/kline",
        category="linear",
        symbol="BTCUSDT",
        interval="1",
        start=start,
        end=end - 1,
        limit=1000,
    )
    return [[int(row[0]), *row[1:6]] for row in reversed(answer["result"]["list"])]


BYBIT = Described(
    name="bybit",
    candles="/v5/market/kline",
    listing="/v5/market/instruments-info",
    listing_parameters={"category": "spot"},
    symbol="BTC/USDT:USDT",
    key="linear:BTCUSDT",
    other="BTC/USDT",
    instruments={
        "BTC/USDT": ("spot", "BTCUSDT", 2, 6, None, None, False),
        "BTC/USDT:USDT": ("swap", "BTCUSDT", 1, 3, "USDT", "1", True),
        "BTC/USDC:USDC": ("swap", "BTCPERP", 1, 3, "USDC", "1", True),
        "SOL/USDT:USDT": ("swap", "SOLUSDT", 3, 1, "USDT", "1", True),
    },
    spoil=_spoil_bybit,
    empty_listing={"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": []}},
    no_rows=(
        {},
        {"retCode": 0, "retMsg": "OK", "result": {}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": None}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": [1]}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": [["yesterday", "1", "1", "1", "1", "1"]]}},
    ),
    own_rows=_bybit_rows,
    one_row=lambda ts, number: (
        f'{{"retCode":0,"retMsg":"OK","result":{{"list":[[{ts},{",".join([number] * 6)}]]}}}}'
    ),
)


def _spoil_kraken(answer: Any) -> str:
    del answer["result"]["XETHZUSD"]["pair_decimals"]
    return "XETHZUSD"


def _kraken_rows(exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
    rows = exchange.get("/0/public/OHLC", pair="XXBTZUSD", interval="1")["result"]["XXBTZUSD"]
    return [[row[0] * 1000, *row[1:5], row[6]] for row in rows if start <= row[0] * 1000 < end]


KRAKEN = Described(
    name="kraken",
    candles="/0/public/OHLC",
    listing="/0/public/AssetPairs",
    symbol="BTC/USD",
    key="XXBTZUSD",
    other="ETH/USD",
    instruments={
        "BTC/USD": ("spot", "XXBTZUSD", 1, 8, None, None, False),
        "BTC/USDT": ("spot", "XBTUSDT", 1, 8, None, None, False),
        "DOGE/USD": ("spot", "XDGUSD", 5, 8, None, None, False),
        "ADA/ETH": ("spot", "ADAETH", 7, 8, None, None, False),
    },
    spoil=_spoil_kraken,
    empty_listing={"error": [], "result": {}},
    no_rows=(
        {},
        {"error": []},
        {"error": [], "result": {"last": 1}},
        {"error": [], "result": {"XXBTZUSD": None, "last": 1}},
        {"error": [], "result": {"XXBTZUSD": [1], "last": 1}},
        {"error": [], "result": {"XXBTZUSD": [["yesterday", "1", "1", "1", "1", "1", "1", 1]]}},
    ),
    own_rows=_kraken_rows,
    one_row=lambda ts, number: (
        f'{{"error":[],"result":{{"XXBTZUSD":[[{ts // 1000},{",".join([number] * 6)},1]],"last":1}}}}'
    ),
)
