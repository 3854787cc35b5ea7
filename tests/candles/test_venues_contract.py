"""What holds of every exchange: its real ccxt client against its simulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from apps.candles.venues import (
    VENUES,
    Page,
    RawMinutes,
    RejectedCandles,
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    check_minutes,
    fetch_minutes,
    list_markets,
    load_instrument,
    server_time,
    venue_client,
)
from tests.stack.exchange_process import RunningExchange, running_exchange

MINUTE = 60_000


@pytest.fixture(scope="module")
def running() -> Iterator[RunningExchange]:
    with running_exchange("--seed", "7") as exchange:
        yield exchange


@pytest.fixture
def exchange(running: RunningExchange) -> Iterator[RunningExchange]:
    running.calm()
    yield running
    running.calm()


def client_of(name: str, exchange: RunningExchange) -> Any:
    client = venue_client(name, base_urls={name: exchange.url})
    client.rateLimit = 1  # the simulation is patient
    return client


@pytest.fixture(scope="module")
def clients(running: RunningExchange) -> dict[str, Any]:
    """One client of each exchange, with its markets."""
    made = {name: client_of(name, running) for name in VENUES}
    for client in made.values():
        client.load_markets()
    return made


def times(raw: RawMinutes) -> list[int]:
    return [row[0] for row in raw]


class VenueContract:
    """The promises. Subclasses name an exchange, its paths and what its simulation lists."""

    name: ClassVar[str]
    #: Where its candles and its markets are asked for.
    candles: ClassVar[str]
    listing: ClassVar[str]
    #: A market with a bar for every minute, its key in the simulation, and another one.
    symbol: ClassVar[str]
    key: ClassVar[str]
    other: ClassVar[str]
    #: Kind, id, scales of price and volume, settle, contract size and whether a listing is told, by symbol.
    instruments: ClassVar[dict[str, tuple[str, str, int, int, str | None, str | None, bool]]]
    #: Makes one market's entry unreadable in the listing's answer, and tells its id.
    spoil_listing: ClassVar[Callable[[Any], str]]
    #: What ccxt asks for the listing with.
    listing_parameters: ClassVar[dict[str, str]] = {}
    #: An answer of the listing without markets.
    empty_listing: ClassVar[Any]
    #: Answers of the candles that are no rows: they must not pass for an empty range.
    no_rows: ClassVar[list[Any]]

    @pytest.fixture
    def client(self, clients: dict[str, Any]) -> Any:
        return clients[self.name]

    def recent(self, client: Any, minutes: int) -> tuple[int, int]:
        """A range of so many minutes that every exchange still has, and that has ended."""
        end = server_time(client) // MINUTE * MINUTE - 5 * MINUTE
        return end - minutes * MINUTE, end

    def own_rows(self, exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
        """What the exchange has in [start, end), asked for without ccxt: open time (ms) and five texts."""
        raise AssertionError("a subclass asks its exchange")

    # Markets

    def test_markets_are_listed_with_scales_and_with_the_exchanges_own_ids(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        listing = list_markets(client)
        assert listing.unreadable == []
        found = {
            one.symbol: (
                one.kind,
                one.venue_id,
                one.price_scale,
                one.volume_scale,
                one.settle,
                one.contract_size,
                one.listed_at is not None,
            )
            for one in listing.instruments
        }
        assert {symbol: found.get(symbol) for symbol in self.instruments} == self.instruments
        assert {one.kind for one in listing.instruments} == VENUES[self.name].kinds
        assert len(found) == len(listing.instruments)
        assert all(one.active for one in listing.instruments)
        for one in listing.instruments:
            assert load_instrument(client, one.symbol) == one

    def test_the_list_of_markets_is_asked_for_anew(self, exchange: RunningExchange, client: Any) -> None:
        before = exchange.count(self.listing)
        list_markets(client)
        assert exchange.count(self.listing) > before

    def test_a_market_that_cannot_be_read_is_told_with_its_reason(self, exchange: RunningExchange) -> None:
        client = client_of(self.name, exchange)
        answer = exchange.get(self.listing, **self.listing_parameters)
        spoiled = type(self).spoil_listing(answer)
        exchange.order(
            {"path": self.listing, "kind": "status", "status": 200, "body": answer, "times": 1},
        )
        listing = list_markets(client)
        [unreadable] = listing.unreadable
        assert unreadable.venue_id == spoiled
        assert "smallest step" in unreadable.reason
        assert unreadable.symbol in unreadable.reason
        assert unreadable.symbol not in {one.symbol for one in listing.instruments}
        assert len(listing.instruments) > 3
        with pytest.raises(VenueRubbish, match="smallest step"):
            load_instrument(client, unreadable.symbol)

    def test_ccxt_still_reckons_though_its_numbers_are_text(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        _, _, prices, volumes, *_ = self.instruments[next(iter(self.instruments))]
        market = next(iter(self.instruments))
        assert client.price_to_precision(market, "1.00000000999") == (f"{1:.{prices}f}")
        assert Decimal(client.amount_to_precision(market, "1.999999999")) == 2 - Decimal(10) ** -volumes
        hours = client.fetch_ohlcv(market, "1h", limit=3)
        assert [after[0] - before[0] for before, after in itertools.pairwise(hours)] == [60 * MINUTE] * 2
        assert all(type(value) is str for row in hours for value in row[1:])
        assert all(type(step) is str for step in client.markets[market]["precision"].values() if step)

    def test_a_symbol_that_the_exchange_does_not_have_is_refused(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        for ask in (load_instrument, lambda *arguments: fetch_minutes(*arguments, 0, MINUTE)):
            with pytest.raises(VenueRefused, match="no market NONE/USDT"):
                ask(client, "NONE/USDT")

    @pytest.mark.parametrize("fault", ["empty", "garbage", "html", "reset"])
    def test_a_list_of_markets_that_fails_makes_no_symbol_unknown(
        self, exchange: RunningExchange, fault: str
    ) -> None:
        client = client_of(self.name, exchange)
        rule = {"kind": fault}
        if fault == "empty":
            rule = {"kind": "status", "status": 200, "body": self.empty_listing}
        exchange.order({"path": self.listing, **rule})
        with pytest.raises(VenueError) as raised:
            load_instrument(client, self.symbol)
        expected = VenueRubbish if fault in ("empty", "garbage") else VenueUnavailable
        assert type(raised.value) is expected, raised.value
        assert load_instrument(client, self.symbol).symbol == self.symbol

    # Minutes

    @pytest.mark.parametrize("minutes", [1, 700])
    def test_every_minute_of_a_range_comes_once_and_word_for_word(
        self, exchange: RunningExchange, client: Any, minutes: int
    ) -> None:
        start, end = self.recent(client, minutes)
        raw = fetch_minutes(client, self.symbol, start, end)
        assert times(raw) == list(range(start, end, MINUTE))
        assert (raw.symbol, raw.start_ms, raw.end_ms) == (self.symbol, start, end)
        assert [list(row) for row in raw] == self.own_rows(exchange, start, end)
        assert {type(value) for row in raw for value in row[1:]} == {str}

    def test_the_gate_takes_every_minute_at_the_listed_scales(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 300)
        for symbol in self.instruments:
            raw = fetch_minutes(client, symbol, start, end)
            minutes = self.checked(client, symbol, raw)
            assert len(minutes) == len(raw) > 50
            scale = load_instrument(client, symbol).volume_scale
            assert sum(minutes.volume.tolist()) == sum(Decimal(row[5]) for row in raw) * 10**scale > 0

    def checked(self, client: Any, symbol: str, raw: RawMinutes) -> Any:
        instrument = load_instrument(client, symbol)
        return check_minutes(
            raw,
            start_ms=raw.start_ms,
            end_ms=raw.end_ms,
            now_ms=raw.now_ms,
            price_scale=instrument.price_scale,
            volume_scale=instrument.volume_scale,
        )

    def test_the_bounds_need_not_be_on_minutes(self, exchange: RunningExchange, client: Any) -> None:
        start, _ = self.recent(client, 30)
        raw = fetch_minutes(client, self.symbol, start - 1, start + MINUTE + 1)
        assert times(raw) == [start, start + MINUTE]
        raw = fetch_minutes(client, self.symbol, start + 1, start + 2 * MINUTE)
        assert times(raw) == [start + MINUTE]

    def test_an_empty_range_asks_the_exchange_for_no_minutes(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, _ = self.recent(client, 30)
        before = exchange.count(self.candles)
        for end in (start, start - MINUTE):
            raw = fetch_minutes(client, self.symbol, start, end)
            assert (len(raw), raw.pages) == (0, 0)
        assert exchange.count(self.candles) == before

    def test_the_forming_minute_is_never_among_them(self, exchange: RunningExchange, client: Any) -> None:
        now = server_time(client)
        raw = fetch_minutes(client, self.symbol, now - 5 * MINUTE, now + 60 * MINUTE)
        assert raw.end_ms == raw.now_ms // MINUTE * MINUTE
        assert times(raw)[-1] == raw.end_ms - MINUTE
        # The caller's clock rules as well, though the exchange has more.
        raw = fetch_minutes(
            client, self.symbol, now - 10 * MINUTE, now + 60 * MINUTE, now_ms=now - 3 * MINUTE
        )
        assert times(raw)[-1] == (now - 3 * MINUTE) // MINUTE * MINUTE - MINUTE

    def test_progress_reaches_the_end_of_the_range(self, exchange: RunningExchange, client: Any) -> None:
        start, end = self.recent(client, 600)
        pages: list[Page] = []
        fetch_minutes(client, self.symbol, start, end, on_page=pages.append)
        assert pages == [Page(rows=600, reached_ms=end)]

    # Outages

    def test_an_outage_leaves_out_minutes_of_all_markets(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 60)
        down, up = start + 20 * MINUTE, start + 45 * MINUTE
        exchange.interrupt({"exchange": self.name, "start": down, "end": up})
        for symbol in (self.symbol, self.other):
            raw = fetch_minutes(client, symbol, start, end)
            assert times(raw) == [*range(start, down, MINUTE), *range(up, end, MINUTE)]
            assert len(self.checked(client, symbol, raw)) == 35

    def test_an_outage_of_one_market_leaves_the_others_alone(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 60)
        exchange.interrupt({"exchange": self.name, "market": self.key, "start": start + MINUTE, "end": None})
        assert times(fetch_minutes(client, self.symbol, start, end)) == [start]
        assert len(fetch_minutes(client, self.other, start, end)) == 60

    def test_a_range_without_a_bar_is_empty_and_no_error(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 60)
        exchange.interrupt({"exchange": self.name, "start": 0})
        raw = fetch_minutes(client, self.symbol, start, end)
        assert (len(raw), raw.start_ms, raw.end_ms) == (0, start, end)

    # Faults

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("html", VenueUnavailable), ("reset", VenueUnavailable), ("garbage", VenueRubbish)],
    )
    def test_a_failure_is_of_the_right_kind_and_passes(
        self, exchange: RunningExchange, client: Any, kind: str, expected: type[VenueError]
    ) -> None:
        start, end = self.recent(client, 60)
        exchange.order({"path": self.candles, "kind": kind})
        with pytest.raises(VenueError) as raised:
            fetch_minutes(client, self.symbol, start, end)
        assert type(raised.value) is expected, raised.value
        assert f"{self.name}: minutes of {self.symbol}" in str(raised.value)
        assert len(fetch_minutes(client, self.symbol, start, end)) == 60

    def test_an_unreadable_answer_never_passes_for_an_empty_one(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 60)
        for body in ("", "null", "[", '"text"', "7", *self.no_rows):
            exchange.order({"path": self.candles, "kind": "status", "status": 200, "body": body})
            with pytest.raises(VenueRubbish):
                fetch_minutes(client, self.symbol, start, end)
            assert exchange.get("/_sim/faults") == []

    def test_a_time_that_is_none_is_rubbish(self, exchange: RunningExchange, client: Any) -> None:
        exchange.order({"path": "*", "kind": "status", "status": 200, "body": {}})
        with pytest.raises(VenueRubbish):
            server_time(client)

    @pytest.mark.parametrize(
        ("rows", "reason", "minute"),
        [
            ("nan", "close is not finite", 30),
            ("negative", "low is negative", 30),
            ("high_below_low", "has its high below its low", 30),
            ("unsorted", "is out of order", 29),
            ("duplicate", "comes twice", 30),
            ("wrong_types", "high is no number", 30),
            ("short_row", "has 3 of 6 columns", 30),
        ],
    )
    def test_rubbish_candles_are_rejected_with_the_first_bad_minute(
        self, exchange: RunningExchange, client: Any, rows: str, reason: str, minute: int
    ) -> None:
        end = server_time(client) // MINUTE * MINUTE
        start = end - 60 * MINUTE
        exchange.order({"path": self.candles, "kind": "rows", "rows": rows})
        raw = fetch_minutes(client, self.symbol, start, end, now_ms=end)
        with pytest.raises(RejectedCandles, match=reason) as rejected:
            self.checked(client, self.symbol, raw)
        # Where the answer has the forming minute too, its middle may be the next one.
        assert rejected.value.ts in (start + minute * MINUTE, start + (minute + 1) * MINUTE)

    def test_a_candle_of_the_future_is_never_taken(self, exchange: RunningExchange, client: Any) -> None:
        start, end = self.recent(client, 60)
        exchange.order({"path": self.candles, "kind": "rows", "rows": "future"})
        raw = fetch_minutes(client, self.symbol, start, end)
        if VENUES[self.name].history is None:
            with pytest.raises(RejectedCandles, match="lies in the future"):
                self.checked(client, self.symbol, raw)
        else:  # its answers go beyond the range anyway, and what lies there is dropped
            assert times(raw) == list(range(start, end, MINUTE))


def _spoil_binance(answer: Any) -> str:
    entry = answer["symbols"][1]
    entry["filters"] = [
        {**one, "tickSize": "a little"} if one["filterType"] == "PRICE_FILTER" else one
        for one in entry["filters"]
    ]
    return str(entry["symbol"])


class TestBinance(VenueContract):
    name = "binance"
    candles = "/api/v3/klines"
    listing = "/api/v3/exchangeInfo"
    symbol, key, other = "BTC/USDT", "BTCUSDT", "ETH/USDT"
    instruments: ClassVar = {
        "BTC/USDT": ("spot", "BTCUSDT", 2, 5, None, None, False),
        "DOGE/USDT": ("spot", "DOGEUSDT", 5, 0, None, None, False),
        "ETH/BTC": ("spot", "ETHBTC", 5, 3, None, None, False),
    }
    spoil_listing = _spoil_binance
    empty_listing: ClassVar = {"symbols": []}
    no_rows: ClassVar = [{"rows": []}, {}, [1, 2], [[]], [["yesterday", "1", "1", "1", "1", "1"]]]

    def own_rows(self, exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
        rows = exchange.klines(startTime=start, endTime=end - 1, limit=1000)
        return [row[:6] for row in rows]


def _spoil_bybit(answer: Any) -> str:
    entry = answer["result"]["list"][1]
    del entry["lotSizeFilter"]["basePrecision"]
    return str(entry["symbol"])


class TestBybit(VenueContract):
    name = "bybit"
    candles = "/v5/market/kline"
    listing = "/v5/market/instruments-info"
    listing_parameters: ClassVar = {"category": "spot"}
    symbol, key, other = "BTC/USDT:USDT", "linear:BTCUSDT", "BTC/USDT"
    instruments: ClassVar = {
        "BTC/USDT": ("spot", "BTCUSDT", 2, 6, None, None, False),
        "BTC/USDT:USDT": ("swap", "BTCUSDT", 1, 3, "USDT", "1", True),
        "BTC/USDC:USDC": ("swap", "BTCPERP", 1, 3, "USDC", "1", True),
        "SOL/USDT:USDT": ("swap", "SOLUSDT", 3, 1, "USDT", "1", True),
    }
    spoil_listing = _spoil_bybit
    empty_listing: ClassVar = {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": []}}
    no_rows: ClassVar = [
        {},
        {"retCode": 0, "retMsg": "OK", "result": {}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": None}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": [1]}},
        {"retCode": 0, "retMsg": "OK", "result": {"list": [["yesterday", "1", "1", "1", "1", "1"]]}},
    ]

    def own_rows(self, exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
        answer = exchange.get(
            self.candles,
            category="linear",
            symbol="BTCUSDT",
            interval="1",
            start=start,
            end=end - 1,
            limit=1000,
        )
        return [[int(row[0]), *row[1:6]] for row in reversed(answer["result"]["list"])]

    def test_a_long_range_comes_in_windows_and_an_empty_one_is_not_the_end(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start = 1_700_000_040_000
        end = start + 3_500 * MINUTE
        down, up = start + 900 * MINUTE, start + 2_100 * MINUTE
        exchange.interrupt({"exchange": "bybit", "start": down, "end": up})
        pages: list[Page] = []
        raw = fetch_minutes(client, self.symbol, start, end, on_page=pages.append)
        assert times(raw) == [*range(start, down, MINUTE), *range(up, end, MINUTE)]
        assert [page.rows for page in pages] == [900, 900, 1800, 2300]
        assert [page.reached_ms for page in pages] == [
            start + count * MINUTE for count in (1000, 2000, 3000, 3500)
        ]
        assert raw.pages == 4

    def test_a_quiet_minute_has_a_bar_without_volume(self, exchange: RunningExchange, client: Any) -> None:
        start, end = self.recent(client, 700)
        raw = fetch_minutes(client, "BTC/USDC", start, end)
        assert len(raw) == 700
        assert 10 < sum(Decimal(row[5]) == 0 for row in raw) < 200

    def test_contracts_that_are_not_kept_are_refused(self, exchange: RunningExchange, client: Any) -> None:
        assert "BTC/USDT:USDT-991225" in client.markets
        with pytest.raises(VenueRefused, match="of the kind future"):
            load_instrument(client, "BTC/USDT:USDT-991225")
        other = client_of("bybit", exchange)
        other.load_markets()
        other.markets["BTC/USDT:USDT"]["contractSize"] = "0.001"
        for ask in (load_instrument, lambda *arguments: fetch_minutes(*arguments, 0, MINUTE)):
            with pytest.raises(VenueRefused, match=r"contracts of 0\.001"):
                ask(other, "BTC/USDT:USDT")


def _spoil_kraken(answer: Any) -> str:
    del answer["result"]["XETHZUSD"]["pair_decimals"]
    return "XETHZUSD"


class TestKraken(VenueContract):
    name = "kraken"
    candles = "/0/public/OHLC"
    listing = "/0/public/AssetPairs"
    symbol, key, other = "BTC/USD", "XXBTZUSD", "ETH/USD"
    instruments: ClassVar = {
        "BTC/USD": ("spot", "XXBTZUSD", 1, 8, None, None, False),
        "BTC/USDT": ("spot", "XBTUSDT", 1, 8, None, None, False),
        "DOGE/USD": ("spot", "XDGUSD", 5, 8, None, None, False),
        "ADA/ETH": ("spot", "ADAETH", 7, 8, None, None, False),
    }
    spoil_listing = _spoil_kraken
    empty_listing: ClassVar = {"error": [], "result": {}}
    no_rows: ClassVar = [
        {},
        {"error": []},
        {"error": [], "result": {"last": 1}},
        {"error": [], "result": {"XXBTZUSD": None, "last": 1}},
        {"error": [], "result": {"XXBTZUSD": [1], "last": 1}},
        {"error": [], "result": {"XXBTZUSD": [["yesterday", "1", "1", "1", "1", "1", "1", 1]]}},
    ]

    def own_rows(self, exchange: RunningExchange, start: int, end: int) -> list[list[Any]]:
        rows = exchange.get(self.candles, pair="XXBTZUSD", interval="1")["result"]["XXBTZUSD"]
        return [[row[0] * 1000, *row[1:5], row[6]] for row in rows if start <= row[0] * 1000 < end]

    def test_the_whole_of_its_history_is_one_page(self, exchange: RunningExchange, client: Any) -> None:
        now = server_time(client)
        raw = fetch_minutes(client, self.symbol, now - 1_000 * MINUTE, now, now_ms=now)
        first = now // MINUTE * MINUTE - 719 * MINUTE
        # A minute may have ended since the exchange told its time.
        assert raw.start_ms in (first, first + MINUTE)
        assert times(raw) == list(range(raw.start_ms, raw.end_ms, MINUTE))
        assert raw.pages == 1

    def test_a_range_older_than_its_history_is_refused_for_good(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        now = server_time(client)
        before = exchange.count(self.candles)
        with pytest.raises(VenueRefused, match="of the last 720 minutes only"):
            fetch_minutes(client, self.symbol, now - 2_000 * MINUTE, now - 721 * MINUTE, now_ms=now)
        assert exchange.count(self.candles) == before

    def test_what_a_clock_that_is_behind_hopes_for_is_not_claimed(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        now = server_time(client) - 30 * MINUTE
        raw = fetch_minutes(client, self.symbol, now - 1_000 * MINUTE, now, now_ms=now)
        assert times(raw) == list(range(raw.start_ms, raw.end_ms, MINUTE))
        assert 688 <= len(raw) <= 690

    def test_a_thin_market_has_no_bar_for_a_quiet_minute_and_costs_one_request(
        self, exchange: RunningExchange, client: Any
    ) -> None:
        start, end = self.recent(client, 600)
        raw = fetch_minutes(client, "ADA/ETH", start, end)
        assert (raw.pages, raw.start_ms, raw.end_ms) == (1, start, end)
        assert 100 < len(raw) < 400
        assert len(self.checked(client, "ADA/ETH", raw)) == len(raw)
        assert all(Decimal(row[5]) > 0 for row in raw)
        assert len(fetch_minutes(client, "BTC/USDT", start, end)) == 600

    def test_of_two_markets_with_one_symbol_one_is_told_as_unreadable(
        self, exchange: RunningExchange
    ) -> None:
        client = client_of("kraken", exchange)
        answer = exchange.get(self.listing)
        answer["result"]["XBTUSD.d"] = answer["result"]["XXBTZUSD"]
        exchange.order({"path": self.listing, "kind": "status", "status": 200, "body": answer})
        listing = list_markets(client)
        [unreadable] = listing.unreadable
        assert "another market BTC/USD" in unreadable.reason
        kept = [one.venue_id for one in listing.instruments if one.symbol == "BTC/USD"]
        assert {unreadable.venue_id, *kept} == {"XBTUSD.d", "XXBTZUSD"}
