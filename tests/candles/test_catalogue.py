"""The list of what exchanges trade, and the instruments that follow it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.candles import services
from apps.candles.clients import client_for
from apps.candles.models import Exchange, Instrument
from apps.candles.tasks import sync_catalogues, sync_markets
from apps.candles.venues import Listing, UnreadableMarket, VenueInstrument, list_markets
from apps.tasks.models import TaskRun
from apps.tasks.testing import assert_requested
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, instrument, stored, walk
from tests.candles.ingesting import run_of
from tests.candles.venuefaces import BINANCE, BYBIT, KRAKEN, Described

pytestmark = pytest.mark.usefixtures("shared_candles")

LISTING = BINANCE.listing


def read(exchange: str = "binance") -> TaskRun:
    return run_of(sync_markets, kwargs={"exchange": exchange})


def changed(exchange: SimulatedExchange, symbol: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let the next list of Binance's have an entry changed, or left out where *change* returns False."""
    listing = copy.deepcopy(exchange.answer(LISTING))
    listing["symbols"] = [
        entry for entry in listing["symbols"] if entry["symbol"] != symbol or change(entry) is not False
    ]
    exchange.disturb({"path": LISTING, "kind": "status", "status": 200, "body": listing})


def stepping(price: str, quantity: str) -> Callable[[dict[str, Any]], None]:
    def change(entry: dict[str, Any]) -> None:
        steps = {"PRICE_FILTER": {"tickSize": price}, "LOT_SIZE": {"stepSize": quantity}}
        entry["filters"] = [one | steps.get(one["filterType"], {}) for one in entry["filters"]]

    return change


@pytest.mark.parametrize("face", [BINANCE, BYBIT, KRAKEN], ids=lambda face: face.name)
def test_every_market_becomes_an_instrument_and_a_second_reading_changes_nothing(
    exchange: SimulatedExchange, face: Described
) -> None:
    before = timezone.now()
    run = read(face.name)
    listed = list_markets(client_for(face.name)).instruments
    nothing = {"listed": len(listed), "added": 0, "changed": 0, "delisted": 0, "unreadable": 0}
    assert run.result == {**nothing, "added": len(listed)}
    found = {
        one.symbol: (
            one.kind,
            one.venue_id,
            one.price_scale,
            one.volume_scale,
            one.settle or None,
            None if one.contract_size is None else f"{one.contract_size.normalize():f}",
            one.listed_at is not None,
        )
        for one in Instrument.objects.filter(exchange=face.name, active=True, followed=False)
    }
    assert {symbol: found.get(symbol) for symbol in face.instruments} == face.instruments
    assert found.keys() == {one.symbol for one in listed}
    known = Exchange.objects.get()
    assert (known.name, known.unreadable) == (face.name, [])
    assert known.catalogue_at is not None
    assert before < known.catalogue_at
    rows = list(Instrument.objects.values())
    with CaptureQueriesContext(connection) as queries:
        assert read(face.name).result == nothing
    assert list(Instrument.objects.values()) == rows
    assert not [
        query["sql"]
        for query in queries
        if query["sql"].startswith(("INSERT", "UPDATE")) and "candles_instrument" in query["sql"]
    ]


def test_a_delisted_instrument_is_inactive_and_keeps_its_candles_and_may_come_back(
    exchange: SimulatedExchange,
) -> None:
    read()
    market = Instrument.objects.get(symbol="BTC/USDT")
    Instrument.objects.filter(pk=market.pk).update(followed=True)
    services.write_candles(instrument=market, minutes=walk(100))
    before = stored("candle_1m", market)
    changed(exchange, "BTCUSDT", lambda entry: False)
    assert read().result == {"listed": 6, "added": 0, "changed": 0, "delisted": 1, "unreadable": 0}
    market.refresh_from_db()
    assert (market.active, market.followed) == (False, True)
    assert Instrument.objects.filter(active=True).count() == 6
    assert stored("candle_1m", market) == before
    # One that is in the list and not traded is the same.
    changed(exchange, "BTCUSDT", lambda entry: entry.update(status="BREAK"))
    assert read().result["changed"] == 0
    assert read().result == {"listed": 7, "added": 0, "changed": 1, "delisted": 0, "unreadable": 0}
    market.refresh_from_db()
    assert (market.active, market.followed) == (True, True)


def test_other_exchanges_instruments_are_left_alone(exchange: SimulatedExchange) -> None:
    other = instrument("NOT/LISTED", exchange="kraken")
    read()
    other.refresh_from_db()
    assert other.active


def test_a_finer_step_raises_the_scale_of_what_is_stored_and_a_coarser_one_does_not_lower_it(
    exchange: SimulatedExchange,
) -> None:
    read()
    market = Instrument.objects.get(symbol="BTC/USDT")
    services.write_candles(instrument=market, minutes=walk(2000))
    before = stored("candle_1m", market)
    changed(exchange, "BTCUSDT", stepping("0.00010000", "0.00000100"))
    assert read().result["changed"] == 1
    market.refresh_from_db()
    assert (market.price_scale, market.volume_scale) == (4, 6)
    raised = {ts: (*(100 * price for price in row[:4]), 10 * row[4]) for ts, row in before.items()}
    assert stored("candle_1m", market) == raised
    assert_levels_match(market)
    changed(exchange, "BTCUSDT", stepping("1.00000000", "1.00000000"))
    assert read().result["changed"] == 0
    market.refresh_from_db()
    assert (market.price_scale, market.volume_scale) == (4, 6)


def test_a_step_that_what_is_stored_does_not_fit_is_told_and_keeps_nothing_else(
    exchange: SimulatedExchange,
) -> None:
    read()
    market = Instrument.objects.get(symbol="BTC/USDT")
    minutes = walk(10)
    services.write_candles(instrument=market, minutes=replace(minutes, volume=minutes.volume + 2**49))
    before = stored("candle_1m", market)
    Instrument.objects.exclude(pk=market.pk).update(active=False)
    Instrument.objects.update(venue_id="old")
    changed(exchange, "BTCUSDT", stepping("0.01000000", "0.00000001"))
    assert read().result == {"listed": 7, "added": 0, "changed": 7, "delisted": 0, "unreadable": 1}
    market.refresh_from_db()
    assert (market.volume_scale, market.venue_id, market.active) == (5, "BTCUSDT", True)
    assert stored("candle_1m", market) == before
    (told,) = Exchange.objects.get().unreadable
    assert (told["symbol"], told["kind"]) == ("BTC/USDT", "spot")
    assert "do not fit" in told["reason"]
    assert read().result["unreadable"] == 0


def test_markets_that_cannot_be_read_are_told_and_not_delisted(exchange: SimulatedExchange) -> None:
    read()
    changed(exchange, "ETHUSDT", stepping("a little", "0.00010000"))
    assert read().result == {"listed": 6, "added": 0, "changed": 0, "delisted": 0, "unreadable": 1}
    assert Instrument.objects.get(symbol="ETH/USDT").active
    (told,) = Exchange.objects.get().unreadable
    assert (told["symbol"], told["venue_id"], told["kind"]) == ("ETH/USDT", "ETHUSDT", "spot")
    assert "a little" in told["reason"]
    read()
    assert Exchange.objects.get().unreadable == []


def test_markets_whose_names_have_no_place_are_told() -> None:
    def market(symbol: str, venue_id: str = "ID") -> VenueInstrument:
        base, _, quote = symbol.partition("/")
        return VenueInstrument(
            symbol=symbol,
            base=base,
            quote=quote,
            kind="spot",
            price_scale=2,
            volume_scale=2,
            active=True,
            venue_id=venue_id,
        )

    odd = [market("A" * 70 + "/USD"), market("A B/USD"), market("LONG/USD", "x" * 65)]
    unreadable = [UnreadableMarket(venue_id="U", symbol="U/USD", kind="spot", reason="because")]
    result = services.catalogue_update(
        exchange="kraken", listing=Listing([market("BTC/USD"), *odd], unreadable)
    )
    assert (result.listed, result.added, result.unreadable) == (1, 1, 4)
    assert [one.symbol for one in Instrument.objects.all()] == ["BTC/USD"]
    told = {one["symbol"]: one["reason"] for one in Exchange.objects.get().unreadable}
    assert told.keys() == {"U/USD", *(one.symbol for one in odd)}
    assert told["U/USD"] == "because"


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "reset"}, {"kind": "garbage"},
     {"kind": "status", "status": 200, "body": {"symbols": []}}],
    ids=["away", "cut", "garbage", "empty"],
)  # fmt: skip
def test_an_exchange_that_fails_changes_nothing_and_is_asked_again(
    exchange: SimulatedExchange, fault: dict[str, Any]
) -> None:
    read()
    rows = list(Instrument.objects.values())
    known = Exchange.objects.get()
    exchange.disturb({"path": LISTING, **fault})
    run = read()
    assert (run.state, run.attempt) == (TaskRun.State.SCHEDULED, 1)
    assert run.error is not None
    assert list(Instrument.objects.values()) == rows
    assert Exchange.objects.get().catalogue_at == known.catalogue_at


def test_a_reading_that_was_taken_away_changes_nothing(exchange: SimulatedExchange) -> None:
    taken = 0

    def take(execute: Any, *query: Any) -> Any:
        """Give the run to another as soon as the list is there."""
        nonlocal taken
        if query[0].startswith('INSERT INTO "candles_instrument"') and not taken:
            taken = TaskRun.objects.filter(task=sync_markets.name, state="running").update(
                fence=F("fence") + 1
            )
        return execute(*query)

    with connection.execute_wrapper(take):
        read()
    assert taken == 1
    assert Instrument.objects.count() == Exchange.objects.count() == 0


def test_the_catalogues_of_the_exchanges_in_use_are_read_every_day(exchange: SimulatedExchange) -> None:
    instrument("BTC/USD", exchange="kraken", followed=True)
    instrument("BTC/USDT")
    assert run_of(sync_catalogues).result == {"exchanges": ["kraken"]}
    assert_requested(sync_markets, kwargs={"exchange": "kraken"}, count=1, state="succeeded")
    assert Instrument.objects.filter(exchange="kraken").count() == 7


def test_a_list_that_lacks_a_symbol_is_replaced_once_it_is_a_minute_old(
    exchange: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for("binance")
    client.load_markets()
    assert client_for("binance", "NEW/USDT") is client
    began = time.monotonic()
    monkeypatch.setattr("apps.candles.clients.time.monotonic", lambda: began + 100)
    assert client_for("binance", "BTC/USDT") is client
    renewed = client_for("binance", "NEW/USDT")
    assert renewed is not client
    assert client_for("binance", "BTC/USDT") is renewed
