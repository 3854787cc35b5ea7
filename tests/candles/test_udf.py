"""TradingView's datafeed protocol beside its bars: configuration, symbols, search, quotes, and HTTP."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from tests.candles.helpers import MONDAY, instrument, walk

pytestmark = pytest.mark.django_db

ADDRESSES = [
    "/udf/config",
    "/udf/time",
    "/udf/symbols?symbol=BTC/USDT",
    "/udf/search?query=BTC",
    "/udf/history?symbol=BTC/USDT&resolution=60&to=1704240000&countback=5",
    "/udf/quotes?symbols=BTC/USDT",
]


@pytest.fixture
def market() -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(3 * 1440))
    return market


def elsewhere(exchange: str, symbol: str, **fields: Any) -> Instrument:
    """An instrument of another exchange than the usual one."""
    base, _, quote = symbol.partition(":")[0].partition("/")
    values = {"price_scale": 2, "volume_scale": 5, **fields}
    return Instrument.objects.create(exchange=exchange, symbol=symbol, base=base, quote=quote, **values)


def get(client: Client, path: str, **query: Any) -> Any:
    response = client.get(f"/udf/{path}", query)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    return response.json()


def found(client: Client, query: str = "", **more: Any) -> list[str]:
    return [entry["full_name"] for entry in get(client, "search", query=query, **more)]


# HTTP


def test_these_are_all_addresses() -> None:
    (udf,) = (pattern for pattern in get_resolver().url_patterns if str(pattern.pattern) == "udf/")
    served = {f"/udf/{pattern.pattern}" for pattern in udf.url_patterns}  # type: ignore[union-attr]
    assert served == {address.partition("?")[0] for address in ADDRESSES}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_answered_without_a_slash_and_without_a_redirect(
    client: Client, market: Instrument, address: str
) -> None:
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("append", [True, False])
def test_an_address_with_a_slash_is_not_there_and_is_not_redirected(
    client: Client, market: Instrument, settings: Any, address: str, append: bool
) -> None:
    settings.APPEND_SLASH = append
    path, _, query = address.partition("?")
    for wrong in (f"{path}/", f"{path}/?{query}"):
        assert client.get(wrong).status_code == 404
    assert client.get("/udf").status_code == 404
    assert client.get("/udf/symbol_info?group=BINANCE").status_code == 404


@pytest.mark.parametrize("address", ADDRESSES)
def test_pages_of_any_origin_may_read(client: Client, market: Instrument, address: str) -> None:
    response = client.get(address, headers={"Origin": "https://charts.example"})
    assert response["Access-Control-Allow-Origin"] == "*"
    assert not response.cookies
    preflight = client.options(
        address,
        headers={"Origin": "https://charts.example", "Access-Control-Request-Method": "GET"},
    )
    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == "*"
    assert "GET" in preflight["Access-Control-Allow-Methods"].split(", ")


def test_errors_may_be_read_by_pages_of_any_origin_too(client: Client) -> None:
    response = client.get("/udf/symbols")
    assert response.json()["s"] == "error"
    assert response["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    response = getattr(strict, method)(address)
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"


def test_head_answers_like_get_without_a_body(client: Client) -> None:
    response = client.head("/udf/config")
    assert response.status_code == 200
    assert response.content == b""


# Configuration and time


def test_the_configuration_promises_what_there_is(client: Client, market: Instrument) -> None:
    elsewhere("bybit", "BTC/USDT:USDT", kind=Instrument.Kind.SWAP)
    config = get(client, "config")
    assert config["supports_search"] is True
    assert config["supports_time"] is True
    for absent in ("supports_group_request", "supports_marks", "supports_timescale_marks"):
        assert config[absent] is False
    assert [exchange["value"] for exchange in config["exchanges"]] == ["", "BINANCE", "BYBIT"]
    for filters, name in ((config["exchanges"], "exchange"), (config["symbols_types"], "type")):
        chosen = [found(client, **{name: one["value"]}) for one in filters if one["value"]]
        assert sorted(itertools.chain.from_iterable(chosen)) == sorted(found(client))


def test_every_resolution_that_is_announced_is_served_and_no_other(
    client: Client, market: Instrument
) -> None:
    announced = get(client, "config")["supported_resolutions"]
    symbol = get(client, "symbols", symbol="BTC/USDT")
    assert symbol["supported_resolutions"] == announced
    assert announced == ["1", "5", "15", "30", "60", "240", "1D", "1W"]
    query = {"symbol": "BTC/USDT", "to": 1704326400, "countback": 2}
    for resolution in announced:
        assert get(client, "history", resolution=resolution, **query)["s"] == "ok", resolution
    for resolution in ("2", "3", "10", "45", "120", "720", "3D", "1M", "12M", "1S"):
        assert get(client, "history", resolution=resolution, **query)["s"] == "error", resolution
    # What the library makes by itself of what it asks for, it makes of these.
    assert symbol["intraday_multipliers"] == [name for name in announced if name.isdigit()]


def test_the_time_is_a_text_of_whole_seconds(client: Client) -> None:
    before = int(timezone.now().timestamp())
    response = client.get("/udf/time")
    assert response["Content-Type"].startswith("text/plain")
    assert before <= int(response.content) <= timezone.now().timestamp()
    assert response.content.isdigit()


# Symbols


def test_a_symbol_is_described(client: Client) -> None:
    instrument("BTC/USDT", price_scale=3, volume_scale=6)
    symbol = get(client, "symbols", symbol="BINANCE:BTC/USDT")
    assert symbol["ticker"] == symbol["full_name"] == "BINANCE:BTC/USDT"
    assert symbol["name"] == "BTC/USDT"
    for name in ("exchange", "listed_exchange", "exchange-traded", "exchange-listed"):
        assert symbol[name] == "BINANCE"
    assert (symbol["minmov"], symbol["pricescale"], symbol["volume_precision"]) == (1, 1000, 6)
    assert (symbol["session"], symbol["timezone"], symbol["format"]) == ("24x7", "Etc/UTC", "price")
    assert symbol["has_intraday"] is symbol["has_daily"] is True
    assert symbol["data_status"] == "streaming"
    assert symbol["type"] == "crypto"
    # The adapter takes any `s` for an error.
    assert "s" not in symbol


def test_months_are_not_promised_and_weeks_are_left_to_the_library(
    client: Client, market: Instrument
) -> None:
    symbol = get(client, "symbols", symbol="BTC/USDT")
    assert symbol["has_weekly_and_monthly"] is False
    assert symbol["has_daily"] is True
    assert symbol["daily_multipliers"] == ["1"]


def test_an_instrument_that_is_not_followed_does_not_claim_to_stream(client: Client) -> None:
    instrument("OLD/USDT", active=False)
    assert get(client, "symbols", symbol="OLD/USDT")["data_status"] == "endofday"


def test_the_ticker_finds_its_symbol_again_whatever_the_case(client: Client) -> None:
    for made in (
        instrument("BTC/USDT"),
        elsewhere("bybit", "BTC/USDT:USDT", kind=Instrument.Kind.SWAP),
        elsewhere("hyperliquid", "kBONK/USDC:USDC", kind=Instrument.Kind.SWAP),
    ):
        for name in (made.text, made.text.upper(), made.text.lower()):
            symbol = get(client, "symbols", symbol=name)
            assert symbol["ticker"] == made.text.upper()
            assert get(client, "symbols", symbol=symbol["ticker"]) == symbol


def test_a_symbol_without_an_exchange_means_the_first_that_is_followed(client: Client) -> None:
    elsewhere("zebra", "BTC/USDT")
    elsewhere("alpha", "BTC/USDT", active=False)
    elsewhere("kraken", "BTC/USDT")
    instrument("btc/usdt")
    assert get(client, "symbols", symbol="BTC/USDT")["ticker"] == "KRAKEN:BTC/USDT"
    assert get(client, "symbols", symbol="ZEBRA:BTC/USDT")["ticker"] == "ZEBRA:BTC/USDT"
    Instrument.objects.update(active=False)
    assert get(client, "symbols", symbol="BTC/USDT")["ticker"] == "ALPHA:BTC/USDT"


def test_a_contract_is_found_by_its_symbol_alone(client: Client) -> None:
    elsewhere("bybit", "BTC/USDT:USDT", kind=Instrument.Kind.SWAP)
    assert get(client, "symbols", symbol="btc/usdt:usdt")["ticker"] == "BYBIT:BTC/USDT:USDT"


@pytest.mark.parametrize(
    "symbol", ["", "BTC", "BTC/", "NONE/USDT", "KRAKEN:BTC/USDT", ":", "B%/USDT", "\x00"]
)
def test_an_unknown_symbol_is_an_error(client: Client, market: Instrument, symbol: str) -> None:
    answer = get(client, "symbols", symbol=symbol)
    assert answer.keys() == {"s", "errmsg"}
    assert answer["s"] == "error"
    assert "symbol" in answer["errmsg"]


# Search


def test_search_finds_parts_of_symbols_with_the_beginning_first(client: Client) -> None:
    for symbol in ("WBTC/BTC", "BTC/USDT", "ETH/BTC", "BTC/EUR", "ETH/USDT"):
        instrument(symbol)
    assert found(client, "BTC") == [
        "BINANCE:BTC/EUR",
        "BINANCE:BTC/USDT",
        "BINANCE:WBTC/BTC",
        "BINANCE:ETH/BTC",
    ]
    for same in ("eth/us", "ETHUS", "ETH/USDT", "BINANCE:ETHUSDT", "binance:eth/usdt"):
        assert found(client, same) == ["BINANCE:ETH/USDT"], same
    assert len(found(client)) == 5
    assert found(client, "NONE") == found(client, "%") == found(client, "_") == []


def test_search_is_narrowed_by_type_and_exchange_and_cut_at_the_limit(client: Client) -> None:
    instrument("BTC/USDT")
    elsewhere("bybit", "BTC/USDT")
    elsewhere("bybit", "BTC/USDT:USDT", kind=Instrument.Kind.SWAP)
    assert found(client, "BTC", exchange="BYBIT") == ["BYBIT:BTC/USDT", "BYBIT:BTC/USDT:USDT"]
    assert found(client, "BTC", exchange="BYBIT", type="swap") == ["BYBIT:BTC/USDT:USDT"]
    assert found(client, "BTC", type="crypto", limit=1) == ["BINANCE:BTC/USDT"]
    assert found(client, "BTC", exchange="KRAKEN") == found(client, "BTC", type="stock") == []
    assert found(client, "BYBIT:BTC", exchange="BINANCE") == ["BINANCE:BTC/USDT"]


def test_what_search_finds_can_be_resolved(client: Client) -> None:
    elsewhere("bybit", "BTC/USDT:USDT", kind=Instrument.Kind.SWAP)
    (entry,) = get(client, "search", query="btc", type="", exchange="", limit=30)
    assert entry.keys() == {"symbol", "full_name", "ticker", "description", "exchange", "type"}
    symbol = get(client, "symbols", symbol=entry["ticker"])
    assert {name: symbol[name] for name in ("full_name", "description", "exchange", "type")} == {
        name: entry[name] for name in ("full_name", "description", "exchange", "type")
    }


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "-1"}, {"limit": "x"}, {"query": "\x00"}])
def test_a_search_that_makes_no_sense_is_an_error(client: Client, query: dict[str, str]) -> None:
    assert get(client, "search", **query)["s"] == "error"


def test_search_gives_at_most_100(client: Client) -> None:
    for _ in range(101):
        instrument()
    assert len(found(client, "T", limit=5000)) == 100
    assert len(found(client, "T")) == 30


# Quotes


def test_a_quote_is_of_the_newest_day_and_changes_from_the_one_before(
    client: Client, market: Instrument
) -> None:
    minutes = walk(3 * 1440)
    day = minutes[2 * 1440 :]
    (entry,) = get(client, "quotes", symbols="binance:btc/usdt")["d"]
    assert (entry["s"], entry["n"]) == ("ok", "binance:btc/usdt")
    values = entry["v"]
    assert values["lp"] == day.close[-1] / 100
    assert values["open_price"] == day.open[0] / 100
    assert (values["high_price"], values["low_price"]) == (day.high.max() / 100, day.low.min() / 100)
    assert values["volume"] == day.volume.sum() / 100_000
    previous = minutes.close[2 * 1440 - 1] / 100
    assert values["prev_close_price"] == previous
    assert values["ch"] == pytest.approx(values["lp"] - previous)
    assert values["chp"] == pytest.approx(100 * (values["lp"] - previous) / previous, abs=0.005)


def test_a_quote_is_of_the_minutes_while_the_roll_ups_wait_for_them(
    client: Client, market: Instrument
) -> None:
    new = instrument("NEW/USDT")
    minutes = walk(5 * 1440, seed=3)
    write_candles(instrument=new, minutes=minutes, refresh=False)
    write_candles(instrument=market, minutes=minutes, refresh=False)
    write_candles(instrument=instrument("OLD/USDT"), minutes=minutes)
    entries = get(client, "quotes", symbols="NEW/USDT,BTC/USDT,OLD/USDT")["d"]
    values = [
        {name: entry["v"][name] for name in ("lp", "open_price", "high_price", "low_price", "volume", "ch")}
        for entry in entries
    ]
    assert values[0]["lp"] == minutes.close[-1] / 100
    assert values[0] == values[1] == values[2]


def test_a_quote_without_minutes_that_wait_to_leave_the_roll_ups_has_no_price(
    client: Client, market: Instrument
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM candle_1m WHERE instrument_id = %s", [market.pk])
    (entry,) = get(client, "quotes", symbols="BTC/USDT")["d"]
    assert entry["s"] == "ok"
    assert "lp" not in entry["v"]


def test_quotes_come_in_their_order_and_an_unknown_one_spoils_no_other(
    client: Client, market: Instrument
) -> None:
    instrument("NEW/USDT")
    write_candles(instrument=instrument("DAY/USDT"), minutes=walk(10, start=MONDAY))
    names = ["NEW/USDT", "NONE/USDT", "BTC/USDT", "DAY/USDT"]
    answer = get(client, "quotes", symbols=",".join(names))
    assert answer["s"] == "ok"
    assert [(entry["n"], entry["s"]) for entry in answer["d"]] == [
        ("NEW/USDT", "ok"),
        ("NONE/USDT", "error"),
        ("BTC/USDT", "ok"),
        ("DAY/USDT", "ok"),
    ]
    new, _, _, day = (entry["v"] for entry in answer["d"])
    assert "lp" not in new
    assert "lp" in day
    assert "ch" not in day


def test_many_quotes_take_two_queries(client: Client) -> None:
    names = ",".join(instrument().symbol for _ in range(50))
    with CaptureQueriesContext(connection) as queries:
        assert len(get(client, "quotes", symbols=names)["d"]) == 50
    assert len(queries) == 2


@pytest.mark.parametrize("symbols", ["", ",", ",".join(f"A{n}/B" for n in range(51))])
def test_no_quotes_and_too_many_are_errors(client: Client, symbols: str) -> None:
    answer = get(client, "quotes", symbols=symbols)
    assert answer["s"] == "error"
    assert "symbols" in answer["errmsg"]
