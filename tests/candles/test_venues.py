"""The real ccxt client against the simulated exchange: fetching minutes and markets."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.candles.quality import sift_minutes
from apps.candles.venues import (
    Page,
    RawMinutes,
    UnknownVenue,
    VenueRefused,
    VenueRubbish,
    fetch_minutes,
    load_instrument,
    server_time,
    venue_client,
)
from tests.stack.exchange_process import (
    REAL_MINUTES,
    ROOT,
    RunningExchange,
    running_exchange,
    write_minutes,
)

MINUTE = 60_000
START = 1_700_000_040_000
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningExchange]:
    with running_exchange("--seed", "7") as running:
        yield running


def client_of(exchange: RunningExchange) -> Any:
    return venue_client("binance", base_urls={"binance": exchange.url})


@pytest.fixture(scope="module")
def client(exchange: RunningExchange) -> Any:
    return client_of(exchange)


def times(raw: RawMinutes) -> list[int]:
    return [row[0] for row in raw]


# Fetching


def test_every_minute_of_a_half_open_range_comes_once(exchange: RunningExchange, client: Any) -> None:
    before = exchange.count(KLINES)
    end = START + 2500 * MINUTE
    raw = fetch_minutes(client, "BTC/USDT", START, end)
    assert times(raw) == list(range(START, end, MINUTE))
    assert (raw.symbol, raw.start_ms, raw.end_ms, raw.pages, len(raw)) == ("BTC/USDT", START, end, 3, 2500)
    assert exchange.count(KLINES) - before == 3


def test_the_bounds_need_not_be_on_minutes(client: Any) -> None:
    raw = fetch_minutes(client, "BTC/USDT", START - 1, START + MINUTE + 1)
    assert times(raw) == [START, START + MINUTE]
    raw = fetch_minutes(client, "BTC/USDT", START + 1, START + 2 * MINUTE)
    assert times(raw) == [START + MINUTE]


@pytest.mark.parametrize("end", [START, START - MINUTE])
def test_an_empty_range_asks_the_exchange_for_no_minutes(
    exchange: RunningExchange, client: Any, end: int
) -> None:
    before = exchange.count(KLINES)
    raw = fetch_minutes(client, "BTC/USDT", START, end)
    assert (len(raw), raw.pages) == (0, 0)
    assert exchange.count(KLINES) == before


def test_the_values_are_the_exchanges_own_text(exchange: RunningExchange, client: Any) -> None:
    raw = fetch_minutes(client, "ETH/USDT", START, START + 3 * MINUTE)
    assert [list(row) for row in raw] == [
        row[:6] for row in exchange.klines(symbol="ETHUSDT", startTime=START, limit=3)
    ]


def test_the_forming_minute_is_not_fetched(exchange: RunningExchange, client: Any) -> None:
    now = server_time(client)
    raw = fetch_minutes(client, "BTC/USDT", now - 5 * MINUTE, now + 60 * MINUTE)
    assert exchange.klines(limit=1)[0][6] > raw.now_ms  # the exchange does have a forming one
    assert raw.end_ms == raw.now_ms // MINUTE * MINUTE
    assert times(raw)[-1] == raw.end_ms - MINUTE
    assert len(raw) in (4, 5, 6)


def test_the_callers_clock_may_rule_instead(client: Any) -> None:
    raw = fetch_minutes(client, "BTC/USDT", START, START + 60 * MINUTE, now_ms=START + 3 * MINUTE + 59_999)
    assert times(raw) == [START, START + MINUTE, START + 2 * MINUTE]
    assert raw.end_ms == START + 3 * MINUTE


def test_a_range_before_the_listing_ends_with_the_first_empty_page(client: Any) -> None:
    raw = fetch_minutes(client, "BTC/USDT", 0, 5000 * MINUTE)
    assert (len(raw), raw.pages) == (0, 1)


def test_progress_is_told_after_every_page(client: Any) -> None:
    pages: list[Page] = []
    end = START + 1500 * MINUTE
    fetch_minutes(client, "BTC/USDT", START, end, on_page=pages.append)
    assert pages == [Page(rows=1000, reached_ms=START + 1000 * MINUTE), Page(rows=1500, reached_ms=end)]


def test_who_is_told_of_progress_may_stop_the_fetch(exchange: RunningExchange, client: Any) -> None:
    class Stop(Exception):
        pass

    def stop(page: Page) -> None:
        raise Stop

    before = exchange.count(KLINES)
    with pytest.raises(Stop):
        fetch_minutes(client, "BTC/USDT", START, START + 5000 * MINUTE, on_page=stop)
    assert exchange.count(KLINES) - before == 1


@pytest.mark.parametrize("pages", [1, 2, None])
def test_a_candle_of_the_future_is_not_the_end_of_the_range(
    exchange: RunningExchange, client: Any, pages: int | None
) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": "future", "times": pages})
    end = START + 2500 * MINUTE
    raw = fetch_minutes(client, "BTC/USDT", START, end)
    exchange.calm()
    assert [time for time in times(raw) if time < end] == list(range(START, end, MINUTE))
    assert (raw.pages, len(raw)) == (3, 2500 + (pages or 3))


def test_a_page_with_nothing_of_the_range_is_rubbish(exchange: RunningExchange, client: Any) -> None:
    end = START + 2500 * MINUTE
    for minute in (-1, 2500, 2600):
        row = [START + minute * MINUTE, *["1"] * 5]
        exchange.order({"path": KLINES, "kind": "status", "status": 200, "body": [row]})
        with pytest.raises(VenueRubbish, match="a page from"):
            fetch_minutes(client, "BTC/USDT", START, end)


LINES = [
    "2023-03-01 00:00:00+00:00,23140.48,23150.8,23128.52,23142.31,2.131777",
    "2023-03-01 00:01:00+00:00,23143.89,23148.8,23137.61,23137.77,9e-06",
    # Two minutes are missing here.
    "2023-03-01 00:04:00+00:00,23152.98,23158.23,23152.98,23158.23,0.0",
]
MARCH = 1_677_628_800_000


def test_a_replayed_file_is_fetched_and_checked_with_its_holes(tmp_path: Path) -> None:
    path = write_minutes(tmp_path / "some_btcusdt_1m_few.csv.gz", LINES)
    with running_exchange("--candles", str(path)) as replaying:
        client = client_of(replaying)
        raw = fetch_minutes(client, "BTC/USDT", MARCH - 5000 * MINUTE, MARCH + 5000 * MINUTE)
        instrument = load_instrument(client, "BTC/USDT")
    assert [list(row) for row in raw] == [
        [MARCH + minute * MINUTE, *line.split(",")[1:]] for minute, line in zip((0, 1, 4), LINES, strict=True)
    ]
    assert raw.pages == 2
    sifted = sift_minutes(
        raw,
        start_ms=raw.start_ms,
        end_ms=raw.end_ms,
        now_ms=raw.now_ms,
        price_scale=instrument.price_scale,
        volume_scale=instrument.volume_scale,
    )
    assert sifted.rejected == []
    minutes = sifted.minutes
    assert minutes.high.tolist() == [2315080, 2314880, 2315823]
    assert minutes.volume.tolist() == [2131777, 9, 0]


@pytest.mark.skipif(not REAL_MINUTES.exists(), reason="the shared file of real minutes is not here")
def test_real_minutes_come_through_word_for_word_and_are_sound() -> None:
    lines = gzip.decompress(REAL_MINUTES.read_bytes()).decode().splitlines()[1:]
    with running_exchange("--candles", str(REAL_MINUTES)) as replaying:
        client = client_of(replaying)
        span = replaying.get("/_sim/info")["symbols"]["BTCUSDT"]
        raw = fetch_minutes(client, "BTC/USDT", span["first"], span["last"] + MINUTE)
        instrument = load_instrument(client, "BTC/USDT")
    assert [",".join(row[1:]) for row in raw] == [line.partition(",")[2] for line in lines]
    sifted = sift_minutes(
        raw,
        start_ms=span["first"],
        end_ms=span["last"] + MINUTE,
        now_ms=raw.now_ms,
        price_scale=instrument.price_scale,
        volume_scale=instrument.volume_scale,
    )
    assert sifted.rejected == []
    minutes = sifted.minutes
    assert len(minutes) == len(lines)
    assert minutes.close.tolist() == [round(float(line.split(",")[4]) * 100) for line in lines]
    assert minutes.volume.tolist() == [round(float(line.split(",")[5]) * 1_000_000) for line in lines]


# Markets


@pytest.mark.parametrize(
    ("symbol", "scales"), [("BTC/USDT", (2, 5)), ("DOGE/USDT", (5, 0)), ("ETH/BTC", (5, 3))]
)
def test_an_instrument_is_what_the_market_says(client: Any, symbol: str, scales: tuple[int, int]) -> None:
    instrument = load_instrument(client, symbol)
    assert instrument.symbol == symbol
    assert (instrument.base, instrument.quote) == tuple(symbol.split("/"))
    assert (instrument.price_scale, instrument.volume_scale) == scales
    assert (instrument.kind, instrument.active) == ("spot", True)


def test_the_markets_are_loaded_once(exchange: RunningExchange) -> None:
    client = client_of(exchange)
    before = exchange.count("/api/v3/exchangeInfo")
    for symbol in ("BTC/USDT", "ETH/USDT"):
        load_instrument(client, symbol)
        fetch_minutes(client, symbol, START, START + MINUTE)
    assert exchange.count("/api/v3/exchangeInfo") - before == 1


def test_ccxts_own_candles_and_tickers_work_too(exchange: RunningExchange, client: Any) -> None:
    hours = client.fetch_ohlcv("BTC/USDT", "1h", START, 1200, {"until": START + 1500 * 3_600_000})
    assert len(hours) == 1000
    assert hours[1][0] - hours[0][0] == 3_600_000
    assert client.fetch_ticker("ETH/USDT")["symbol"] == "ETH/USDT"
    assert client.fetch_tickers(["BTC/USDT", "ETH/USDT"]).keys() == {"BTC/USDT", "ETH/USDT"}


# Clients


def test_no_address_of_a_moved_client_leads_elsewhere(exchange: RunningExchange) -> None:
    def addresses(value: Any) -> Iterator[str]:
        if isinstance(value, dict | list):
            for entry in value.values() if isinstance(value, dict) else value:
                yield from addresses(entry)
        elif isinstance(value, str):
            yield value

    client = client_of(exchange)
    found = list(addresses(client.urls))
    assert len(found) > 40
    assert {urlsplit(address)[:2] for address in found} == {("http", urlsplit(exchange.url).netloc)}
    original = venue_client("binance").urls
    for kind in ("api", "test", "demo"):
        assert client.urls[kind].keys() == original[kind].keys()
        for name, address in client.urls[kind].items():
            assert urlsplit(address).path == urlsplit(original[kind][name]).path


def test_even_calls_that_are_not_for_spot_stay_at_the_address(exchange: RunningExchange) -> None:
    import ccxt

    client = client_of(exchange)
    before = exchange.count("other")
    with pytest.raises(ccxt.ExchangeNotAvailable, match=urlsplit(exchange.url).netloc):
        client.fapiPublicGetExchangeInfo()
    client.set_sandbox_mode(True)
    with pytest.raises(ccxt.ExchangeNotAvailable, match=urlsplit(exchange.url).netloc):
        client.dapiPublicGetPing()
    assert exchange.count("other") - before == 2


def test_a_base_address_may_have_a_path_and_a_final_slash() -> None:
    client = venue_client("binance", base_urls={"binance": "http://127.0.0.1:9/sim/"})
    assert client.urls["api"]["public"] == "http://127.0.0.1:9/sim/api/v3"


@pytest.mark.parametrize("base_urls", [None, {}, {"binance": None}, {"binance": ""}, {"other": "http://x"}])
def test_without_an_address_the_client_is_the_real_exchanges(base_urls: Any) -> None:
    client = venue_client("binance", base_urls=base_urls)
    assert client.urls["api"]["public"] == "https://api.binance.com/api/v3"
    assert (client.enableRateLimit, client.timeout) == (True, 10_000)


@pytest.mark.parametrize("base", ["127.0.0.1:8000", "ftp://host", "http://", "http://host?x=1"])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="base address"):
        venue_client("binance", base_urls={"binance": base})


@pytest.mark.parametrize("exchange_name", ["nowhere", "Exchange", "", "kraken2", "coinbase"])
def test_an_unknown_exchange_is_refused_for_good(exchange_name: str) -> None:
    with pytest.raises(UnknownVenue, match="binance") as refusal:
        venue_client(exchange_name)
    assert isinstance(refusal.value, VenueRefused)


def test_the_package_imports_neither_django_nor_ccxt() -> None:
    script = (
        "import sys, apps.candles.venues\n"
        "loaded = {'django', 'ccxt', 'requests'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
