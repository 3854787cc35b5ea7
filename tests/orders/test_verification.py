"""What became of an order is found out by looking, and a person is asked where that leads nowhere."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.events import projections
from apps.events.records import NewEvent
from apps.orders import services, verification
from apps.orders.brokers.base import Refused, Unavailable, Unreadable
from apps.orders.models import Fill, Order
from apps.orders.projection import ImpossibleTransition, OrderProjection
from apps.orders.reconciling import orders_reconcile, unattended
from apps.orders.recording import OrderMoved, order_recorded
from apps.orders.states import State
from apps.tasks.models import TaskRun
from apps.tasks.testing import requested
from tests.orders.helpers import check, data, held, looked, now, place, story, submitted
from tests.orders.scripted import changed

pytestmark = pytest.mark.django_db

#: Seconds by which a wait may be shorter when it is measured.
SLACK = 5


def wait() -> float:
    """Seconds until the next look, of which one is planned."""
    [run] = requested("orders.verify", state="scheduled")
    return (run.due_at - timezone.now()).total_seconds()


def mails(outside: list[Any]) -> list[str]:
    return [kind for what, kind, _ in outside if what == "mail"]


def test_waits_double_up_to_a_limit_and_after_ten_looks_a_person_has_to_look(
    account, market, broker, outside, settings
):
    broker.script.append("rest")
    order = place(account, market)
    submitted()
    outside.clear()
    for number, seconds in enumerate([30, 60, 120, 240, 480, 900, 900, 900, 900, 900], 1):
        assert seconds - SLACK < wait() <= seconds, number
        assert now(order).state == State.SUBMITTED
        looked()
    order = now(order)
    assert (order.state, order.reason_code, order.looks) == (State.NEEDS_REVIEW, "still_open", 10)
    assert mails(outside) == ["order_needs_review"]
    assert requested("orders.verify", state="scheduled") == []
    assert unattended() == []
    check()


def test_a_limit_order_rests_for_as_long_as_it_takes(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 2
    broker.script.append("rest")
    order = place(account, market, "2", price="90")
    submitted()
    for _ in range(6):
        looked()
    order = now(order)
    assert (order.state, order.looks, order.fruitless_looks) == (State.SUBMITTED, 6, 0)
    assert 900 - SLACK < wait() <= 900
    broker.trade(order, "0.5")
    looked()
    order = now(order)
    assert (order.state, order.filled, order.average_price) == (State.PARTIALLY_FILLED, Decimal("0.5"), 90)
    # More may be traded soon.
    assert 30 - SLACK < wait() <= 30
    broker.trade(order, "1.5", "89")
    looked()
    order = now(order)
    assert (order.state, order.average_price) == (State.FILLED, Decimal("89.25"))
    assert order.verified_at is not None
    assert held(account, market) == 2
    check()


def test_every_end_at_the_broker_is_found_and_verified(account, market, broker):
    for end, traded, state in (
        (State.CANCELLED, "", State.CANCELLED),
        (State.CANCELLED, "0.5", State.CANCELLED),
        (State.EXPIRED, "0.5", State.EXPIRED),
        (State.REJECTED, "", State.REJECTED),
        (State.FILLED, "2", State.FILLED),
    ):
        broker.script.append("rest")
        order = place(account, market, "2")
        submitted()
        if traded:
            broker.trade(order, traded)
        broker.end(order, end)
        looked()
        order = now(order)
        assert (order.state, order.filled) == (state, Decimal(traded or 0)), end
        assert (order.verified_at is not None) == (state != State.REJECTED)
        assert unattended() == []
    check()


def test_an_outage_of_the_exchange_is_waited_out_and_not_counted(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 3
    broker.script.append("fill lost")
    order = place(account, market)
    submitted()
    broker.down = Unavailable("503", retry_after=None)
    for seconds in (5, 10, 20, 40, 80, 160):
        assert seconds - SLACK < wait() <= seconds
        looked()
    broker.down = Unavailable("418", code="-1003", retry_after=2000)
    looked()
    assert 2000 - SLACK < wait() <= 2000
    assert data(order, "looked")["error"] == "-1003 418"
    order = now(order)
    assert (order.state, order.looks, order.fruitless_looks) == (State.UNKNOWN, 7, 0)
    broker.down = None
    looked()
    order = now(order)
    assert order.state == State.FILLED
    assert order.verified_at is not None
    assert story(order)[-4:] == ["looked", "found", "filled_part", "verified"]
    assert len(broker.submissions) == 1
    check()


def test_an_order_that_the_broker_never_had_is_submitted_again_under_the_same_id(account, market, broker):
    broker.absence_is_proof_after = 3600.0
    broker.script.append(verification.BrokerError("reset"))
    order = place(account, market)
    submitted()
    looked()
    # That is too soon to prove anything.
    assert (now(order).state, now(order).fruitless_looks) == (State.UNKNOWN, 1)
    broker.absence_is_proof_after = 0.0
    looked()
    order = now(order)
    assert (order.state, order.submissions) == (State.FILLED, 2)
    assert len({asked.client_order_id for asked in broker.submissions}) == 1
    looked()
    assert now(order).verified_at is not None
    check()


def test_an_order_that_never_reached_the_broker_and_is_too_old_or_unwanted_is_ended(
    account, market, broker, outside
):
    broker.script += [verification.BrokerError("reset")] * 3
    old, unwanted, limit = place(account, market), place(account, market), place(account, market, price="90")
    submitted()
    Order.objects.filter(pk__in=[old.pk, limit.pk]).update(asked_at=timezone.now() - timedelta(seconds=600))
    services.order_cancel(order=now(unwanted), by="user:1")
    assert now(unwanted).state == State.UNKNOWN
    looked()
    assert (now(old).state, now(old).reason_code) == (State.REJECTED, "never_reached")
    assert (now(unwanted).state, now(unwanted).reason_code) == (State.CANCELLED, "cancelled")
    assert now(limit).state == State.FILLED
    assert len(broker.submissions) == 4
    assert broker.cancels == []


def test_without_proof_absence_ends_with_a_person(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 2
    broker.absence_is_proof_after = None
    broker.script += [verification.BrokerError("reset"), "rest"]
    unknown, known = place(account, market), place(account, market)
    submitted()
    broker.book.clear()
    looked()
    looked()
    for order in (unknown, known):
        assert (now(order).state, now(order).reason_code) == (State.NEEDS_REVIEW, "not_found")
    assert len(broker.submissions) == 2


def test_with_other_keys_absence_proves_nothing(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script += ["fill lost", "fill lost"]
    order, on_paper = place(account, market), place(account, market, simulation=True)
    submitted()
    services.account_set_keys(account=account, api_key="another1", api_secret="another2", by="user:1")
    # They are of another account at the exchange, which has none of the orders of the first.
    broker.book.clear()
    looked()
    assert (now(order).state, now(order).reason_code) == (State.NEEDS_REVIEW, "not_found")
    # On paper there are no keys.
    assert (now(on_paper).state, now(on_paper).submissions) == (State.FILLED, 2)
    assert len(broker.submissions) == 3


def test_a_broker_that_does_not_let_us_look_ends_with_a_person(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    for down, code in (
        (Refused("keys are gone", code="-2015"), "look_refused"),
        (Unreadable("an order in the state 'ODD'"), "unreadable"),
    ):
        order = place(account, market)
        submitted()
        broker.down = down
        looked()
        order = now(order)
        assert (order.state, order.reason_code) == (State.NEEDS_REVIEW, code)
        assert order.ended_at is None
        assert str(down) in order.reason
        broker.down = None
    assert held(account, market) == 2


def test_what_cannot_be_recorded_or_understood_ends_with_a_person(account, market, broker, settings):
    def worth_too_much(order: Order) -> None:
        broker.trade(order, "2", "9" * 20)

    def long_trade_id(order: Order) -> None:
        broker.trade(order, "1", trade_id="t" * 65)

    def long_order_id(order: Order) -> None:
        broker[order].venue_order_id = "v" * 65

    def bug(order: Order) -> None:
        broker.down = KeyError("order")  # type: ignore[assignment]

    settings.ORDERS_VERIFY_LOOKS = 2
    for nonsense in (worth_too_much, long_trade_id, long_order_id, bug):
        broker.script.append("fill lost" if nonsense is long_order_id else "rest")
        order = place(account, market, "2")
        submitted()
        nonsense(order)
        looked()
        assert data(order, "looked")["outcome"] == "unreadable", nonsense.__name__
        looked()
        order = now(order)
        assert (order.state, order.reason_code, order.filled) == (State.NEEDS_REVIEW, "unreadable", 0)
        # Nor does it fail where a person asks again.
        services.order_look_again(order=order, by="user:7")
        looked()
        assert (now(order).state, now(order).looks) == (State.NEEDS_REVIEW, 3)
        broker.down = None
    assert not TaskRun.objects.filter(task="orders.verify").exclude(state="succeeded").exists()
    check()


def test_contradictions_are_for_a_person_and_what_was_traded_is_recorded(account, market, broker, outside):
    def other_price(order: Order) -> None:
        broker[order].fills[0] = changed(broker[order].fills[0], price=Decimal(101))

    def others(order: Order) -> None:
        broker[order].fills[0] = changed(broker[order].fills[0], trade_id=Fill.objects.last().trade_id)

    def too_much(order: Order) -> None:
        broker.trade(order, "5")

    def short(order: Order) -> None:
        broker.end(order, State.FILLED)

    def nonsense(order: Order) -> None:
        fill = broker.trade(order, "1")
        broker[order].fills[-1] = changed(fill, price=Decimal(0))

    place(account, market, "7")
    submitted()
    for contradict, code, filled in (
        (other_price, "conflicting_fill", 1),
        (others, "conflicting_fill", 1),
        (too_much, "overfilled", 6),
        (short, "filled_short", 1),
        (nonsense, "unusable_fill", 1),
    ):
        outside.clear()
        broker.script.append("half")
        order = place(account, market, "2")
        submitted()
        contradict(order)
        looked()
        order = now(order)
        assert (order.state, order.reason_code, order.filled) == (State.NEEDS_REVIEW, code, filled)
        assert "order_needs_review" in mails(outside), code
    # Of one that was filled for all that was known.
    order = place(account, market)
    submitted()
    other_price(order)
    looked()
    assert (now(order).state, now(order).reason_code) == (State.NEEDS_REVIEW, "conflicting_fill")
    check()


def test_trades_that_are_shown_late_delay_the_end(account, market, broker):
    broker.script.append("half hide cancelled")
    order = place(account, market, "2")
    submitted()
    assert (now(order).state, now(order).filled) == (State.SUBMITTED, 0)
    looked()
    assert data(order, "looked")["outcome"] == "behind"
    broker[order].hidden = 0
    looked()
    order = now(order)
    assert (order.state, order.filled) == (State.CANCELLED, 1)
    assert order.verified_at is not None


def test_a_late_trade_of_an_ended_order_is_recorded(account, market, broker):
    broker.script += ["cancelled", "cancelled"]
    part, whole = place(account, market, "2"), place(account, market, "2")
    submitted()
    broker.trade(part, "0.5")
    broker.end(part, State.CANCELLED)
    broker.trade(whole, "2")
    looked()
    assert (now(part).state, now(part).filled) == (State.CANCELLED, Decimal("0.5"))
    assert (now(whole).state, now(whole).filled) == (State.FILLED, 2)
    assert held(account, market) == Decimal("2.5")
    check()


def test_a_look_is_made_once_however_often_its_run_comes(account, market, broker):
    broker.script.append("rest")
    order = place(account, market)
    submitted()
    for look in (1, 1, 3, 0):
        verification.order_look(str(order.pk), look)
    assert now(order).looks == 1
    assert TaskRun.objects.filter(task="orders.verify").count() == 2


def test_a_person_looks_again(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script += ["rest", "rest"]
    order, other = place(account, market), place(account, market)
    submitted()
    # One that waits for its next look is looked at now.
    services.order_look_again(order=order, by="user:7")
    [run] = TaskRun.objects.filter(kwargs__order_id=str(order.pk), task="orders.verify")
    assert run.due_at <= timezone.now()
    looked()
    assert now(order).state == State.NEEDS_REVIEW
    # It still is as it was.
    services.order_look_again(order=order, by="user:7")
    looked()
    assert (now(order).state, now(order).looks) == (State.NEEDS_REVIEW, 2)
    broker.trade(order, "1")
    services.order_look_again(order=order, by="user:7")
    looked()
    order = now(order)
    assert (order.state, order.verified_at is not None) == (State.FILLED, True)
    with pytest.raises(services.WrongState, match="filled and verified"):
        services.order_look_again(order=order, by="user:7")
    # Found open, it is looked at as any other.
    services.order_look_again(order=other, by="user:7")
    broker.end(other, State.SUBMITTED)
    settings.ORDERS_VERIFY_LOOKS = 2
    looked()
    assert (now(other).state, now(other).fruitless_looks) == (State.SUBMITTED, 1)
    check()


def test_a_person_says_how_an_order_ended(account, market, broker, outside, settings):
    settings.ORDERS_VERIFY_LOOKS = 1

    def in_review(step: str) -> Order:
        broker.script.append(step)
        order = place(account, market, "2")
        submitted()
        looked()
        assert now(order).state == State.NEEDS_REVIEW
        return order

    def resolve(order: Order, outcome: str, **more: Any) -> Order:
        return services.order_resolve(order=order, outcome=outcome, by="user:7", **more)

    order = in_review("half")
    for outcome, more, field in (
        ("rejected", {}, "outcome"),
        ("filled", {}, "price"),
        ("filled", {"price": Decimal(-1)}, "price"),
        ("filled", {"price": Decimal("0.1234567890123456789")}, "price"),
        ("filled", {"price": Decimal("9" * 20)}, "price"),
        ("filled", {"price": Decimal("9" * 21)}, "price"),
        ("cancelled", {"price": Decimal(1)}, "price"),
        ("unknown", {}, "outcome"),
    ):
        with pytest.raises(services.InvalidOrder) as refused:
            resolve(order, outcome, **more)
        assert refused.value.field == field, outcome
    resolve(order, "filled", price=Decimal(110), note="seen in the app")
    order = now(order)
    assert (order.state, order.filled, order.average_price) == (State.FILLED, 2, 105)
    assert (order.reason, order.verified_at is not None) == ("seen in the app", True)
    assert held(account, market) == 2
    with pytest.raises(services.WrongState):
        resolve(order, "cancelled")
    outside.clear()
    for step, outcome in (("rest", "cancelled"), ("rest", "rejected"), ("half", "expired")):
        order = resolve(in_review(step), outcome)
        assert now(order).state == outcome
        assert unattended() == []
    assert "order.resolved" in [kind for what, kind, _ in outside if what == "audit"]
    check()


def test_orders_whose_runs_are_gone_get_others(account, market, broker):
    broker.script += ["rest", "fill", "lost"]
    orders = [place(account, market, price="90") for _ in range(3)]
    submitted()
    waiting = place(account, market)
    assert unattended() == []
    TaskRun.objects.all().delete()
    assert set(unattended()) == {order.pk for order in (*orders, waiting)}
    assert orders_reconcile() == 4
    assert orders_reconcile() == 0
    submitted()
    looked()
    assert [now(order).state for order in (*orders, waiting)] == [
        State.SUBMITTED, State.FILLED, State.SUBMITTED, State.FILLED,
    ]  # fmt: skip
    services.order_cancel(order=now(orders[0]), by="user:1")
    TaskRun.objects.filter(task="orders.cancel").delete()
    assert unattended() == [orders[0].pk]
    orders_reconcile()
    submitted()
    assert now(orders[0]).state == State.CANCELLED


def test_events_that_cannot_happen_are_refused_and_leave_no_trace(account, market, broker):
    order = place(account, market)
    stale = now(order)
    for event in (
        NewEvent(type="order.verified", data={"filled": "0"}),
        NewEvent(type="order.released", data={"after": ""}),
        NewEvent(type="order.unanswered", data={"submission": 1, "code": "", "reason": ""}),
    ):
        with pytest.raises(ImpossibleTransition):
            order_recorded(now(order), [event])
    assert story(order) == ["received", "accepted"]
    submitted()
    with pytest.raises(OrderMoved):
        order_recorded(stale, [NewEvent(type="order.cancel_requested")])
    check()
    # What was changed by anything else is found.
    Order.objects.update(filled=9)
    assert [found.what for found in projections.check(OrderProjection())] == ["filled"]


def test_an_end_that_the_broker_takes_back_is_for_a_person(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 2
    broker.script.append("cancelled")
    order = place(account, market, price="90")
    submitted()
    broker.end(order, State.SUBMITTED)
    looked()
    assert (now(order).state, data(order, "looked")["outcome"]) == (State.CANCELLED, "behind")
    looked()
    assert (now(order).state, now(order).reason_code) == (State.NEEDS_REVIEW, "unverified")
