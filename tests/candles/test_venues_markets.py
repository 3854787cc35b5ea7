"""Markets of every exchange: its real ccxt client against its simulation."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from apps.candles.venues import (
    VENUES,
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    fetch_minutes,
    list_markets,
    load_instrument,
)
from tests.candles.venuefaces import BINANCE, BYBIT, KRAKEN, MINUTE, Described, client_of
from tests.stack.exchange_process import RunningExchange


class MarketsContract:
    """What holds of the markets of each exchange."""

    face: ClassVar[Described]

    @pytest.fixture
    def client(self, clients: dict[str, Any]) -> Any:
        return clients[self.face.name]

    def test_markets_are_listed_with_scales_and_with_the_exchanges_own_ids(
        self, simulated: RunningExchange, client: Any
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
        assert {symbol: found.get(symbol) for symbol in self.face.instruments} == self.face.instruments
        assert {one.kind for one in listing.instruments} == VENUES[self.face.name].kinds
        assert len(found) == len(listing.instruments)
        assert all(one.active for one in listing.instruments)
        for one in listing.instruments:
            assert load_instrument(client, one.symbol) == one

    def test_the_list_of_markets_is_asked_for_anew(self, simulated: RunningExchange, client: Any) -> None:
        before = simulated.count(self.face.listing)
        list_markets(client)
        assert simulated.count(self.face.listing) > before

    def test_a_market_that_cannot_be_read_is_told_with_its_reason(self, simulated: RunningExchange) -> None:
        client = client_of(self.face.name, simulated)
        answer = simulated.get(self.face.listing, **self.face.listing_parameters)
        spoiled = self.face.spoil(answer)
        simulated.order(
            {"path": self.face.listing, "kind": "status", "status": 200, "body": answer, "times": 1},
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
        self, simulated: RunningExchange, client: Any
    ) -> None:
        market, (_, _, _, volumes, *_) = next(iter(self.face.instruments.items()))
        assert Decimal(client.price_to_precision(market, "1.9999999999")) == 2
        assert Decimal(client.price_to_precision(market, "1.1000000001")) == Decimal("1.1")
        assert Decimal(client.amount_to_precision(market, "1.999999999")) == 2 - Decimal(10) ** -volumes
        hours = client.fetch_ohlcv(market, "1h", limit=3)
        assert [after[0] - before[0] for before, after in itertools.pairwise(hours)] == [60 * MINUTE] * 2
        assert all(type(value) is str for row in hours for value in row[1:])
        assert all(type(step) is str for step in client.markets[market]["precision"].values() if step)

    def test_a_symbol_that_the_exchange_does_not_have_is_refused(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        for ask in (load_instrument, lambda *arguments: fetch_minutes(*arguments, 0, MINUTE)):
            with pytest.raises(VenueRefused, match="no market NONE/USDT"):
                ask(client, "NONE/USDT")

    @pytest.mark.parametrize("fault", ["empty", "garbage", "html", "reset"])
    def test_a_list_of_markets_that_fails_makes_no_symbol_unknown(
        self, simulated: RunningExchange, fault: str
    ) -> None:
        client = client_of(self.face.name, simulated)
        rule = {"kind": fault}
        if fault == "empty":
            rule = {"kind": "status", "status": 200, "body": self.face.empty_listing}
        simulated.order({"path": self.face.listing, **rule})
        with pytest.raises(VenueError) as raised:
            load_instrument(client, self.face.symbol)
        expected = VenueRubbish if fault in ("empty", "garbage") else VenueUnavailable
        assert type(raised.value) is expected, raised.value
        assert load_instrument(client, self.face.symbol).symbol == self.face.symbol


class TestBinance(MarketsContract):
    face = BINANCE


class TestBybit(MarketsContract):
    face = BYBIT

    def test_contracts_that_are_not_kept_are_refused(self, simulated: RunningExchange, client: Any) -> None:
        assert "BTC/USDT:USDT-991225" in client.markets
        with pytest.raises(VenueRefused, match="of the kind future"):
            load_instrument(client, "BTC/USDT:USDT-991225")
        other = client_of("bybit", simulated)
        other.load_markets()
        other.markets["BTC/USDT:USDT"]["contractSize"] = "0.001"
        for ask in (load_instrument, lambda *arguments: fetch_minutes(*arguments, 0, MINUTE)):
            with pytest.raises(VenueRefused, match=r"contracts of 0\.001"):
                ask(other, "BTC/USDT:USDT")

    @pytest.mark.parametrize("page", ["not JSON", "7", ""])
    def test_a_page_that_cannot_be_read_does_not_shorten_the_list(
        self, simulated: RunningExchange, page: str
    ) -> None:
        client = client_of("bybit", simulated)
        answers = [
            simulated.get(self.face.listing, category="spot"),
            simulated.get(self.face.listing, category="linear", limit=2),
            simulated.get(self.face.listing, category="linear", status="PreLaunch"),
        ]
        assert answers[1]["result"]["nextPageCursor"]
        rule = {"path": self.face.listing, "kind": "status", "status": 200}
        simulated.order(*({**rule, "body": body} for body in (*answers, page)))
        with pytest.raises(VenueRubbish, match="no JSON"):
            list_markets(client)
        assert simulated.get("/_sim/faults") == []
        simulated.order(*({**rule, "body": body} for body in answers))
        assert len(list_markets(client).instruments) == 8


class TestKraken(MarketsContract):
    face = KRAKEN

    def test_of_two_markets_with_one_symbol_one_is_told_as_unreadable(
        self, simulated: RunningExchange
    ) -> None:
        client = client_of("kraken", simulated)
        answer = simulated.get(self.face.listing)
        answer["result"]["XBTUSD.d"] = answer["result"]["XXBTZUSD"]
        simulated.order({"path": self.face.listing, "kind": "status", "status": 200, "body": answer})
        listing = list_markets(client)
        [unreadable] = listing.unreadable
        assert "another market BTC/USD" in unreadable.reason
        kept = [one.venue_id for one in listing.instruments if one.symbol == "BTC/USD"]
        assert {unreadable.venue_id, *kept} == {"XBTUSD.d", "XXBTZUSD"}
