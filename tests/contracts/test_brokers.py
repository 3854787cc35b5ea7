"""What every broker must do: on paper, and at an exchange through the real client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from apps.orders.brokers import Refused, Unanswered, broker_for
from apps.orders.states import Side, State
from tests.orders.brokers.desks import (
    SYMBOL,
    Desk,
    VenueDesk,
    order_of,
    paper_desk,
    reachable,
    venue,
    venue_desk,
)
from tests.stack.exchange_process import ExchangeAt

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeAt]:
    with venue() as running:
        yield running


@pytest.fixture(params=["paper", "exchange"])
def desk(
    request: pytest.FixtureRequest, exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Desk:
    if request.param == "paper":
        return paper_desk()
    reachable(exchange, monkeypatch, settings)
    return venue_desk(exchange)


def test_each_account_has_the_broker_that_it_asked_for(desk: Desk) -> None:
    assert type(broker_for(desk.account, simulation=False)) is type(desk.broker)
    assert type(broker_for(desk.account, simulation=True)).__name__ == "PaperBroker"


def test_a_market_order_is_filled_and_its_trades_make_it_up(desk: Desk) -> None:
    for side in Side:
        order = order_of(side=side, quantity=Decimal("0.01234"))
        report = desk.broker.submit(order)
        assert (report.state, report.filled) == (State.FILLED, Decimal("0.01234"))
        known = replace(order, venue_order_id=report.venue_order_id)
        fills = desk.broker.fills(known)
        assert sum(fill.quantity for fill in fills) == report.filled
        assert all(desk.low < fill.price < desk.high and fill.price % desk.tick == 0 for fill in fills)
        assert all(fill.fee > 0 and fill.fee_currency in ("BTC", "USDT") for fill in fills)
        assert all(fill.traded_at.utcoffset() is not None for fill in fills)
        # The same each time, and the same as within the report if that has them.
        assert [fill.trade_id for fill in desk.broker.fills(known)] == [fill.trade_id for fill in fills]
        payload = [(fill.trade_id, fill.price, fill.quantity, fill.fee, fill.fee_currency) for fill in fills]
        assert [
            (fill.trade_id, fill.price, fill.quantity, fill.fee, fill.fee_currency) for fill in report.fills
        ] in ([], payload)


def test_no_two_trades_of_an_account_have_the_same_id(desk: Desk) -> None:
    fills = []
    for _ in range(3):
        order = order_of()
        report = desk.broker.submit(order)
        fills += desk.broker.fills(replace(order, venue_order_id=report.venue_order_id))
    assert len({fill.trade_id for fill in fills}) == len(fills) >= 3


def test_an_order_is_found_by_either_id_and_one_that_is_not_there_is_not(desk: Desk) -> None:
    order = order_of(price=desk.low)
    placed = desk.broker.submit(order)
    assert (placed.state, placed.filled, list(placed.fills)) == (State.SUBMITTED, 0, [])
    assert desk.broker.find(order) == placed
    assert desk.broker.find(replace(order, venue_order_id=placed.venue_order_id)) == placed
    assert desk.broker.fills(replace(order, venue_order_id=placed.venue_order_id)) in ([], ())
    assert desk.broker.find(order_of()) is None


def test_a_limit_that_the_market_offers_is_not_paid_more_than_it_costs(desk: Desk) -> None:
    order = order_of(price=desk.high)
    report = desk.broker.submit(order)
    assert report.state == State.FILLED
    fills = desk.broker.fills(replace(order, venue_order_id=report.venue_order_id))
    assert all(fill.price < desk.high for fill in fills)


def test_an_open_order_is_cancelled_by_either_id(desk: Desk) -> None:
    for known in (True, False):
        order = order_of(price=desk.low)
        placed = desk.broker.submit(order)
        if known:
            order = replace(order, venue_order_id=placed.venue_order_id)
        cancelled = desk.broker.cancel(order)
        assert cancelled is not None
        assert (cancelled.state, cancelled.filled) == (State.CANCELLED, 0)
        assert cancelled.venue_order_id == placed.venue_order_id
        assert desk.broker.find(order) == cancelled
        # Once more is no error.
        assert desk.broker.cancel(order) == cancelled


def test_cancelling_what_has_ended_tells_how_it_did_and_what_is_not_there_nothing(desk: Desk) -> None:
    order = order_of()
    placed = desk.broker.submit(order)
    report = desk.broker.cancel(replace(order, venue_order_id=placed.venue_order_id))
    assert report is not None
    assert (report.state, report.filled) == (State.FILLED, order.quantity)
    assert desk.broker.cancel(order_of()) is None


def test_an_id_that_is_open_never_makes_a_second_order(desk: Desk) -> None:
    order = order_of(price=desk.low)
    placed = desk.broker.submit(order)
    try:
        again = desk.broker.submit(order)
    except Unanswered:
        again = desk.broker.find(order)  # type: ignore[assignment]
    assert again.venue_order_id == placed.venue_order_id
    desk.broker.cancel(order)
    if isinstance(desk, VenueDesk):
        assert len(desk.in_books()) == 1


def test_amounts_are_exact_and_never_what_a_float_would_make_of_them(desk: Desk) -> None:
    tenths = sum((Decimal("0.1"), Decimal("0.2")), Decimal(0))
    for quantity in (tenths, Decimal("0.300000000000000000"), Decimal("3E-1"), Decimal("0.12345")):
        order = order_of(quantity=quantity, price=desk.low)
        placed = desk.broker.submit(order)
        cancelled = desk.broker.cancel(replace(order, venue_order_id=placed.venue_order_id))
        assert cancelled is not None
        if isinstance(desk, VenueDesk):
            last = desk.in_books()[-1]
            assert (Decimal(last["origQty"]), Decimal(last["price"])) == (quantity, desk.low)
    order = order_of(quantity=Decimal("0.3"))
    placed = desk.broker.submit(order)
    fills = desk.broker.fills(replace(order, venue_order_id=placed.venue_order_id))
    assert sum(fill.quantity for fill in fills) == Decimal("0.3")
    assert all(isinstance(fill.fee, Decimal) for fill in fills)


def test_quantities_come_in_lots(desk: Desk) -> None:
    assert desk.broker.lot(SYMBOL) == desk.lot
    with pytest.raises(Refused) as raised:
        desk.broker.lot("NO/SUCH")
    assert raised.value.code == "SYMBOL"


def test_what_would_be_rounded_or_cannot_be_is_refused_and_leaves_nothing(desk: Desk) -> None:
    fine = desk.lot / 10
    cases = [
        (order_of(quantity=Decimal("0.01") + fine), "LOT_SIZE"),
        (order_of(quantity=Decimal("0.010000000000000001")), "LOT_SIZE"),
        (order_of(quantity=fine), "LOT_SIZE"),
        (order_of(quantity=Decimal(0)), "LOT_SIZE"),
        (order_of(quantity=Decimal("-0.01")), "LOT_SIZE"),
        (order_of(quantity=Decimal("NaN")), "LOT_SIZE"),
        (order_of(quantity=Decimal("Infinity")), "LOT_SIZE"),
        (order_of(price=desk.low + desk.tick / 10), "PRICE_FILTER"),
        (order_of(price=Decimal(0)), "PRICE_FILTER"),
        (order_of(price=Decimal("-1")), "PRICE_FILTER"),
        (replace(order_of(price=desk.low), price=None), "PRICE_FILTER"),
        (replace(order_of(), price=desk.low), "PRICE_FILTER"),
        (order_of(symbol="NO/SUCH"), "SYMBOL"),
    ]
    for order, code in cases:
        with pytest.raises(Refused) as raised:
            desk.broker.submit(order)
        assert raised.value.code == code, order
        if order.symbol == SYMBOL:
            assert desk.broker.find(order) is None
