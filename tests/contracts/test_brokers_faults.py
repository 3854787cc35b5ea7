"""What goes wrong at an exchange: what is known of an order then, and that looking it up tells the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from apps.candles.exchanges import rest
from apps.orders.brokers import NotTaken, Refused, Unanswered, Unavailable, Unreadable, broker_for
from apps.orders.states import Side, State
from apps.stack.exchange.api import Exchange
from tests.orders.brokers.desks import (
    ORDER,
    VenueDesk,
    account_of,
    order_of,
    reachable,
    set_keys,
    venue,
    venue_desk,
)
from tests.stack.exchange_process import ExchangeAt
from tests.stack.exchanges import serving
from tests.support import wait_until

pytestmark = pytest.mark.django_db

#: Seconds after which a request counts as failed, and which an answer then takes at least.
SHORT, LONG = 0.5, 20.0


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeAt]:
    with venue() as running:
        yield running


@pytest.fixture
def desk(exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any) -> VenueDesk:
    reachable(exchange, monkeypatch, settings)
    return venue_desk(exchange)


def status(number: int, code: int | None = None, msg: str = "Says why.", **more: Any) -> dict[str, Any]:
    body = {} if code is None else {"body": {"code": code, "msg": msg}}
    return {"kind": "status", "status": number, **body, **more}


EXECUTED, NOT_EXECUTED = State.FILLED, None
WAIT = {"Retry-After": "7"}

#: What happens to a new order, what its broker says then, for how long it is to be left alone, and what
#: became of the order.
SUBMISSIONS: list[tuple[dict[str, Any], type[Exception], float | None, State | None]] = [
    ({"kind": "lost"}, Unanswered, None, EXECUTED),
    ({"kind": "reset"}, Unanswered, None, NOT_EXECUTED),
    ({"kind": "garbage"}, Unanswered, None, NOT_EXECUTED),
    ({"kind": "garbage", "executed": True}, Unanswered, None, EXECUTED),
    ({"kind": "html"}, Unanswered, None, NOT_EXECUTED),
    ({"kind": "html", "executed": True}, Unanswered, None, EXECUTED),
    (status(504, -1007), Unanswered, None, NOT_EXECUTED),
    (status(504, -1007, executed=True), Unanswered, None, EXECUTED),
    (status(500, -1000), Unanswered, None, NOT_EXECUTED),
    (status(500, -1001, executed=True), Unanswered, None, EXECUTED),
    (status(503, -1008), Unanswered, None, NOT_EXECUTED),
    (status(503, -1008, executed=True), Unanswered, None, EXECUTED),
    (status(503, headers=WAIT, executed=True), Unanswered, 7.0, EXECUTED),
    (status(400, -1006, executed=True), Unanswered, None, EXECUTED),
    # An answer in which nothing is as it should be.
    (status(200, body={}, executed=True), Unanswered, None, EXECUTED),
    (status(200, body=[], executed=True), Unanswered, None, EXECUTED),
    (status(200, body={"orderId": 5, "status": "ODD"}, executed=True), Unanswered, None, EXECUTED),
    (status(307, headers={"Location": "/api/v3/time"}, executed=True), Unanswered, None, EXECUTED),
    (status(429, -1003, headers=WAIT), NotTaken, 7.0, NOT_EXECUTED),
    (status(429, -1015, headers=WAIT), NotTaken, 7.0, NOT_EXECUTED),
    (status(418, -1003, headers={"Retry-After": "120"}), NotTaken, 120.0, NOT_EXECUTED),
    (status(429), NotTaken, None, NOT_EXECUTED),
    (status(403, body="<html>Request blocked.</html>"), NotTaken, None, NOT_EXECUTED),
    (status(400, -1013, "Filter failure: PERCENT_PRICE"), Refused, None, NOT_EXECUTED),
    (status(400, -2010, "Market is closed."), Refused, None, NOT_EXECUTED),
    (status(401, -2015), Refused, None, NOT_EXECUTED),
    (status(451, body="<html>Not here.</html>"), Refused, None, NOT_EXECUTED),
]


def test_an_order_is_known_to_be_none_only_where_that_is_certain(desk: VenueDesk) -> None:
    for rule, kind, wait, became in SUBMISSIONS:
        order = order_of()
        desk.disturb(**rule)
        with pytest.raises(kind) as raised:
            desk.broker.submit(order)
        assert type(raised.value) is kind, rule
        assert raised.value.retry_after == wait, rule
        desk.rested()
        found = desk.broker.find(order)
        assert (None if found is None else found.state) == became, rule
    executed = [case for case in SUBMISSIONS if case[3] == EXECUTED]
    assert len(desk.in_books()) == len(executed), "an order was sent twice"


def test_an_answer_that_takes_too_long_leaves_the_order_open(desk: VenueDesk, settings: Any) -> None:
    order = order_of()
    desk.broker.lot(order.symbol)
    desk.disturb(kind="lost", seconds=LONG)
    settings.ORDERS_BROKER_TIMEOUT = SHORT
    with pytest.raises(Unanswered):
        desk.broker.submit(order)
    settings.ORDERS_BROKER_TIMEOUT = 10.0
    found = wait_until(lambda: desk.broker.find(order), what="the exchange to execute the order")
    assert found.state == State.FILLED


def test_a_refusal_has_the_exchanges_code_and_words(desk: VenueDesk) -> None:
    dear = order_of(quantity=Decimal("100"))
    with pytest.raises(Refused) as raised:
        desk.broker.submit(dear)
    assert raised.value.code == "-2010"
    assert "insufficient balance" in str(raised.value)
    desk.disturb(**status(400, -1013, "Filter failure: NOTIONAL"))
    with pytest.raises(Refused) as raised:
        desk.broker.submit(order_of())
    assert raised.value.code == "NOTIONAL"
    with pytest.raises(Refused) as raised:
        desk.broker.submit(order_of(price=desk.low, quantity=desk.lot))
    assert raised.value.code == "NOTIONAL"


def test_an_id_that_is_open_already_may_well_be_this_order(desk: VenueDesk) -> None:
    order = order_of(price=desk.low)
    desk.disturb(kind="lost")
    with pytest.raises(Unanswered):
        desk.broker.submit(order)
    with pytest.raises(Unanswered) as raised:
        desk.broker.submit(order)
    assert "Duplicate order sent." in str(raised.value)
    found = desk.broker.find(order)
    assert found is not None
    assert found.state == State.SUBMITTED
    assert len(desk.in_books()) == 1


def test_partial_fills_add_up_over_looks(desk: VenueDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trades are read page by page."""
    monkeypatch.setattr("apps.orders.brokers.dialects.Binance.page", 2)
    order = order_of(price=desk.high, quantity=Decimal("0.5"))
    desk.disturb(kind="partial", share=0.4, reads=3, trades=3)
    placed = desk.broker.submit(order)
    assert (placed.state, placed.filled) == (State.PARTIALLY_FILLED, Decimal("0.2"))
    assert sum(fill.quantity for fill in placed.fills) == placed.filled
    known = replace(order, venue_order_id=placed.venue_order_id)
    while (found := desk.broker.find(known)) is not None and found.state == State.PARTIALLY_FILLED:
        pass
    assert found is not None
    assert (found.state, found.filled) == (State.FILLED, Decimal("0.5"))
    fills = desk.broker.fills(known)
    assert sum(fill.quantity for fill in fills) == found.filled
    ids = [fill.trade_id for fill in fills]
    assert ids[: len(placed.fills)] == [fill.trade_id for fill in placed.fills]
    assert len(set(ids)) == len(ids) == 4


def test_a_market_order_that_runs_dry_ends_with_what_it_got(desk: VenueDesk) -> None:
    order = order_of(quantity=Decimal("0.5"))
    desk.disturb(kind="partial", share=0.4, reads=None)
    placed = desk.broker.submit(order)
    assert (placed.state, placed.filled) == (State.EXPIRED, Decimal("0.2"))


def test_an_order_that_fills_while_it_is_cancelled_is_filled(desk: VenueDesk) -> None:
    order = order_of(price=desk.low)
    placed = desk.broker.submit(order)
    desk.disturb(kind="fill_on_cancel", method="DELETE")
    report = desk.broker.cancel(replace(order, venue_order_id=placed.venue_order_id))
    assert report is not None
    assert (report.state, report.filled) == (State.FILLED, order.quantity)


def test_a_cancellation_without_an_answer_says_nothing_of_the_order(desk: VenueDesk) -> None:
    for executed, state in ((True, State.CANCELLED), (False, State.SUBMITTED)):
        order = order_of(price=desk.low)
        desk.broker.submit(order)
        desk.disturb(**status(504, -1007, executed=executed, method="DELETE"))
        with pytest.raises(Unavailable):
            desk.broker.cancel(order)
        found = desk.broker.find(order)
        assert found is not None
        assert found.state == state
    # The exchange has none that is open, and another of its servers does not know that yet.
    desk.disturb(**status(400, -2011, "Unknown order sent.", method="DELETE"))
    assert desk.broker.cancel(order) is None


def test_a_look_without_an_answer_tells_nothing(desk: VenueDesk) -> None:
    order = order_of(price=desk.low)
    placed = desk.broker.submit(order)
    known = replace(order, venue_order_id=placed.venue_order_id)
    cases: list[tuple[dict[str, Any], type[Exception], float | None]] = [
        ({"kind": "reset"}, Unavailable, None),
        ({"kind": "html"}, Unavailable, None),
        ({"kind": "garbage"}, Unavailable, None),
        (status(500), Unavailable, None),
        (status(500, -2013, "Order does not exist."), Unavailable, None),
        (status(503, -1008), Unavailable, None),
        (status(504, -1007), Unavailable, None),
        (status(429, headers=WAIT), Unavailable, 7.0),
        (status(418, headers=WAIT), Unavailable, 7.0),
        (status(200, body={"orderId": 1}), Unreadable, None),
        (status(200, body={"orderId": 1, "status": "ODD"}), Unreadable, None),
        (status(401, -2015), Refused, None),
        (status(400, -1022), Refused, None),
    ]
    ways = {
        ORDER: lambda: desk.broker.find(known),
        "/api/v3/myTrades": lambda: desk.broker.fills(known),
    }
    for path, look in ways.items():
        for rule, kind, wait in cases:
            desk.exchange.order({"path": path, "method": "GET", **rule})
            with pytest.raises(kind) as raised:
                look()
            assert type(raised.value) is kind, (path, rule)
            assert raised.value.retry_after == wait, (path, rule)
            desk.rested()
        look()


def test_an_exchange_that_wants_to_be_left_alone_is_not_asked(desk: VenueDesk) -> None:
    """By no account, whoever it told so; but a limit of one account's orders is that account's."""
    placed = desk.broker.submit(order_of(price=desk.low))
    desk.disturb(**status(429, -1015, headers=WAIT))
    with pytest.raises(NotTaken):
        desk.broker.submit(order_of())
    desk.broker.lot("BTC/USDT")
    rest("binance", seconds=600, reason="too many requests")
    asked = desk.exchange.count(ORDER), desk.exchange.count(f"POST {ORDER}")
    with pytest.raises(NotTaken) as raised:
        desk.broker.submit(order_of())
    assert raised.value.retry_after == pytest.approx(600, abs=60)
    with pytest.raises(Unavailable) as looked:
        desk.broker.find(order_of(venue_order_id=placed.venue_order_id))
    assert looked.value.retry_after == pytest.approx(600, abs=60)
    assert asked == (desk.exchange.count(ORDER), desk.exchange.count(f"POST {ORDER}"))


def test_nothing_is_sent_long_after_a_submission_began(desk: VenueDesk) -> None:
    """Others may have found out by then that there is no such order."""
    with pytest.raises(NotTaken) as raised:
        desk.broker.submit(order_of(begun=time.monotonic() - 60))
    assert raised.value.code == "LATE"
    assert desk.in_books() == []


def test_the_exchange_itself_refuses_a_submission_that_was_under_way_for_too_long(
    desk: VenueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is counted from the start of the submission: as if the process had been stopped since."""
    monkeypatch.setattr("apps.orders.brokers.exchange._LATE", 3600.0)
    order = order_of(begun=time.monotonic() - 60)
    with pytest.raises(NotTaken) as raised:
        desk.broker.submit(order)
    assert raised.value.code == "-1021"
    assert desk.in_books() == []
    assert desk.broker.absence_is_proof_after is not None
    assert desk.broker.absence_is_proof_after > 5


def test_clocks_that_differ_are_set_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    with serving(Exchange(seed=7, clock=lambda: time.time() - 3600)) as url:
        reachable(ExchangeAt(url=url), monkeypatch, settings)
        desk = venue_desk(ExchangeAt(url=url))
        with pytest.raises(NotTaken) as raised:
            desk.broker.submit(order_of())
        assert raised.value.code == "-1021"
        assert desk.broker.submit(order_of()).state == State.FILLED
        assert len(desk.in_books()) == 1


def test_an_exchange_that_nobody_can_connect_to_has_taken_nothing(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    with serving(Exchange(seed=7)) as url:
        reachable(ExchangeAt(url=url), monkeypatch, settings)
        desk = venue_desk(ExchangeAt(url=url))
        desk.broker.lot("BTC/USDT")
    with pytest.raises(NotTaken) as raised:
        desk.broker.submit(order_of())
    assert url.removeprefix("http://").partition(":")[0] in str(raised.value)
    with pytest.raises(Unavailable):
        desk.broker.find(order_of())
    # And for whoever does not know its markets yet.
    settings.EXCHANGE_URLS = {"binance": url.replace("127.0.0.1", "localhost")}
    with pytest.raises(NotTaken):
        desk.broker.submit(order_of())
    with pytest.raises(Unavailable):
        desk.broker.lot("BTC/USDT")


def test_keys_are_those_of_the_account_and_new_ones_are_used_at_once(desk: VenueDesk) -> None:
    desk.broker.submit(order_of())
    other = venue_desk(desk.exchange)
    set_keys(desk.account, other.trader.key, other.trader.secret)
    desk.account.save()
    broker_for(desk.account, simulation=False).submit(order_of(side=Side.SELL))
    assert [order["side"] for order in other.in_books()] == ["SELL"]
    set_keys(desk.account, other.trader.key, "another secret")
    with pytest.raises(Refused) as raised:
        broker_for(desk.account, simulation=False).find(order_of())
    assert raised.value.code == "-1022"


def test_keys_that_are_missing_or_cannot_be_opened_are_told_apart(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    reachable(exchange, monkeypatch, settings)
    without = broker_for(account_of(), simulation=False)
    with pytest.raises(Refused) as raised:
        without.submit(order_of())
    assert raised.value.code == "NO_KEYS"
    account = account_of(key="k", secret="s")
    account.api_secret = account.api_key
    moved = broker_for(account, simulation=False)
    with pytest.raises(NotTaken):
        moved.submit(order_of())
    with pytest.raises(Unavailable):
        moved.find(order_of())


def test_no_signature_and_no_key_is_in_what_is_said_of_a_failure(desk: VenueDesk) -> None:
    desk.exchange.order({"path": ORDER, "method": "GET", "kind": "reset"})
    with pytest.raises(Unavailable) as raised:
        desk.broker.find(order_of())
    said = str(raised.value)
    assert "/api/v3/order" in said
    assert "signature" not in said
    assert desk.trader.key not in said
