"""Orders at a simulated exchange through the real ccxt client, whatever goes wrong there: how they end."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from apps.core.database import clock
from apps.orders import services, verification
from apps.orders.models import Order, Position
from apps.orders.states import State
from apps.tasks.testing import advance
from tests.candles.helpers import instrument
from tests.orders.brokers.desks import VenueDesk, account_of, reachable, venue, venue_desk
from tests.orders.helpers import check, looked, now, place, submitted
from tests.stack.exchange_process import ExchangeAt

pytestmark = pytest.mark.django_db

WAIT = {"Retry-After": "7"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeAt]:
    with venue() as running:
        yield running


@pytest.fixture
def desk(exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any) -> VenueDesk:
    """An account whose orders may be submitted again as soon as the exchange does not show them."""
    reachable(exchange, monkeypatch, settings)
    # That a look finds nothing proves at once that there is nothing.
    monkeypatch.setattr(verification, "clock", lambda: clock() + 60)
    found = venue_desk(exchange)
    found.account.plan = "pro"
    found.account.save()
    return found


@pytest.fixture
def market(db: None) -> Any:
    return instrument("BTC/USDT")


def status(number: int, code: int | None = None, msg: str = "Says why.", **more: Any) -> dict[str, Any]:
    body = {} if code is None else {"body": {"code": code, "msg": msg}}
    return {"kind": "status", "status": number, **body, **more}


#: What happens to a new order; how it stands after its submission; how it ends; how often it was submitted.
#: Those that end filled are filled in whole, those that expire to the share of the rule.
FAULTS: list[tuple[dict[str, Any] | None, State, State, int]] = [
    (None, State.FILLED, State.FILLED, 1),
    ({"kind": "lost"}, State.UNKNOWN, State.FILLED, 1),
    ({"kind": "lost", "seconds": 20}, State.UNKNOWN, State.FILLED, 1),
    ({"kind": "delay", "seconds": 0.2}, State.FILLED, State.FILLED, 1),
    ({"kind": "reset"}, State.UNKNOWN, State.FILLED, 2),
    ({"kind": "garbage", "executed": True}, State.UNKNOWN, State.FILLED, 1),
    (status(504, -1007), State.UNKNOWN, State.FILLED, 2),
    (status(504, -1007, executed=True), State.UNKNOWN, State.FILLED, 1),
    (status(503, -1008), State.UNKNOWN, State.FILLED, 2),
    (status(500, -1000, executed=True), State.UNKNOWN, State.FILLED, 1),
    (status(429, -1003, headers=WAIT), State.ACCEPTED, State.FILLED, 2),
    (status(418, -1003, headers=WAIT), State.ACCEPTED, State.FILLED, 2),
    (status(400, -1013, "Filter failure: NOTIONAL"), State.REJECTED, State.REJECTED, 1),
    (status(400, -2010, "Market is closed."), State.REJECTED, State.REJECTED, 1),
    (status(401, -2015), State.REJECTED, State.REJECTED, 1),
    ({"kind": "partial", "share": 0.4, "reads": 2, "trades": 2}, State.PARTIALLY_FILLED, State.FILLED, 1),
    # The market ran dry.
    ({"kind": "partial", "share": 0.4, "trades": 2}, State.EXPIRED, State.EXPIRED, 1),
    ({"kind": "partial", "share": 0}, State.EXPIRED, State.EXPIRED, 1),
    ({"kind": "lost", "share": 0.4}, State.UNKNOWN, State.EXPIRED, 1),
]


def settled(desk: VenueDesk, order: Order) -> Order:
    """Time passes until nothing more is to be found out."""
    for _ in range(8):
        desk.rested()
        advance(8)
        submitted()
        looked()
        order = now(order)
        if order.state == State.REJECTED or order.verified_at is not None:
            return order
    pytest.fail(f"{order.state} after 8 looks")


def test_every_fault_of_a_submission_ends_well(desk: VenueDesk, market: Any, settings: Any) -> None:
    for rule, first, last, submissions in FAULTS:
        order = place(desk.account, market, "0.01")
        if rule is not None:
            desk.disturb(**rule)
            settings.ORDERS_BROKER_TIMEOUT = 0.5 if rule.get("seconds") == 20 else 10.0
        submitted()
        settings.ORDERS_BROKER_TIMEOUT = 10.0
        assert now(order).state == first, rule
        order = settled(desk, order)
        assert (order.state, order.submissions) == (last, submissions), rule
        assert order.filled == Decimal("0.01") * _filled(rule, last), rule
    books = desk.in_books()
    assert len(books) == len([last for _, _, last, _ in FAULTS if last != State.REJECTED])
    assert {one["clientOrderId"] for one in books} <= {
        str(pk) for pk in Order.objects.values_list("pk", flat=True)
    }
    _agrees(desk)


def _filled(rule: dict[str, Any] | None, last: State) -> Decimal:
    """What part of its order was traded."""
    if last == State.EXPIRED:
        return Decimal(str((rule or {})["share"]))
    return Decimal(last == State.FILLED)


def test_an_order_that_cannot_be_signed_is_rejected(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    reachable(exchange, monkeypatch, settings, "kraken")
    account = account_of(exchange="kraken", plan="pro", key="key", secret="half a")
    order = place(account, instrument("BTC/USDT", exchange="kraken"), "0.01")
    submitted()
    order = now(order)
    assert (order.state, order.reason_code) == (State.REJECTED, "NOT_SENT")
    assert "these keys" in order.reason
    check()


def test_a_cancellation_ends_well_whatever_happens_to_it(desk: VenueDesk, market: Any) -> None:
    for rule, state in (
        (None, State.CANCELLED),
        ({"kind": "fill_on_cancel"}, State.FILLED),
        (status(504, -1007, executed=True), State.CANCELLED),
        (status(504, -1007, executed=False), State.CANCELLED),
        (status(400, -2011, "Unknown order sent.", executed=True), State.CANCELLED),
    ):
        order = place(desk.account, market, "0.01", price=str(desk.low))
        submitted()
        assert now(order).state == State.SUBMITTED
        if rule is not None:
            desk.disturb(**{**rule, "method": "DELETE"})
        services.order_cancel(order=order, by="user:1")
        submitted()
        assert settled(desk, order).state == state, rule
    _agrees(desk)


def _agrees(desk: VenueDesk) -> None:
    """The exchange's own books are what the position says."""
    position = Position.objects.get(account=desk.account)
    assert sum(desk.trader.balance("BTC")) == 2 + position.quantity
    # What was realised less what is held cost is what was paid, for a fee in bitcoin is a sale for its value.
    assert sum(desk.trader.balance("USDT")) == 100_000 + position.realised - position.cost
    assert set(position.fees) <= {"BTC", "USDT"}
    check()
