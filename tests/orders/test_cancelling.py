"""Orders are cancelled at once where no broker has them; else the broker's answer decides."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.orders import services
from apps.orders.brokers.base import NotTaken, Refused, Unavailable, Unreadable
from apps.orders.reconciling import orders_reconcile
from apps.orders.states import State
from apps.tasks.models import TaskRun
from apps.tasks.testing import advance, drain, requested
from tests.orders.helpers import check, held, looked, now, place, story, submitted

pytestmark = pytest.mark.django_db


def cancel(order):
    return services.order_cancel(order=order, by="user:7")


def test_an_order_that_no_broker_has_is_cancelled_at_once(account, market, broker, outside):
    order = place(account, market)
    assert cancel(order).state == State.CANCELLED
    submitted()
    assert broker.submissions == broker.cancels == []
    with pytest.raises(services.WrongState, match="cancelled"):
        cancel(order)
    broker.script.append(NotTaken("later", retry_after=9))
    order = place(account, market)
    submitted()
    assert cancel(order).state == State.CANCELLED
    advance(10)
    submitted()
    assert len(broker.submissions) == 1
    audited = [kind for what, kind, _ in outside if what == "audit"]
    assert audited == ["order.placed", "order.cancel_requested"] * 2
    check()


def test_an_open_order_is_cancelled_at_the_broker(account, market, broker):
    for says in (True, False):
        broker.cancel_says = says
        broker.script.append("half")
        order = place(account, market, "2", price="90")
        submitted()
        assert cancel(order).state == State.PARTIALLY_FILLED
        # Twice is once.
        cancel(order)
        assert len(requested("orders.cancel", kwargs__order_id=str(order.pk))) == 1
        submitted()
        # Where the broker does not say, a look is made at once.
        drain("fills.fifo")
        order = now(order)
        assert (order.state, order.filled) == (State.CANCELLED, 1)
        if says:
            looked()
        assert now(order).verified_at is not None
    check()


def test_an_order_that_is_filled_meanwhile_is_filled(account, market, broker):
    broker.script.append("rest")
    order = place(account, market, "2", price="90")
    submitted()
    cancel(order)
    broker.trade(order, "2")
    submitted()
    assert now(order).state == State.FILLED
    # Found filled by a look before the request goes out, nothing is asked any more.
    broker.script.append("rest")
    order = place(account, market, "2", price="90")
    submitted()
    cancel(order)
    broker.trade(order, "2")
    looked()
    assert (now(order).state, len(broker.cancels)) == (State.FILLED, 1)
    check()


def test_a_request_during_a_submission_follows_it(account, market, broker):
    order = place(account, market, price="90")
    broker.script.append("rest")
    broker.meanwhile = lambda: cancel(order)
    submitted()
    assert now(order).state == State.CANCELLED
    assert story(order)[2:] == ["submission_started", "cancel_requested", "submitted", "cancelled"]
    # And one whose submission was not answered, once it is found.
    broker.script.append("rest lost")
    order = place(account, market, price="90")
    submitted()
    cancel(order)
    looked()
    assert now(order).state == State.CANCELLED
    # And one that was not taken, before it is tried again.
    broker.script.append(NotTaken("later", retry_after=9))
    order = place(account, market, price="90")
    broker.meanwhile = lambda: cancel(order)
    submitted()
    advance(10)
    submitted()
    assert (now(order).state, len(broker.submissions)) == (State.CANCELLED, 3)
    check()


def test_a_broker_that_will_not_cancel_is_looked_at(account, market, broker):
    broker.script.append("rest")
    order = place(account, market, price="90")
    submitted()
    broker.cancel_fails = Refused("too late", code="-2011")
    cancel(order)
    submitted()
    drain("fills.fifo")
    order = now(order)
    assert (order.state, order.cancel_requested, order.looks) == (State.SUBMITTED, False, 1)
    assert "cancel_failed" in story(order)
    # It can be asked for again.
    broker.cancel_fails = None
    cancel(order)
    submitted()
    assert now(order).state == State.CANCELLED


def test_an_order_in_review_that_is_cancelled_is_looked_at(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script.append("rest")
    order = place(account, market)
    submitted()
    looked()
    assert now(order).state == State.NEEDS_REVIEW
    broker.cancel_says = False
    cancel(order)
    submitted()
    looked()
    assert (now(order).state, now(order).verified_at is not None) == (State.CANCELLED, True)
    check()


def test_a_broker_that_does_not_answer_is_asked_again(account, market, broker):
    broker.script.append("rest")
    order = place(account, market, price="90")
    submitted()
    broker.cancel_fails = Unavailable("503", retry_after=9)
    cancel(order)
    submitted()
    [run] = TaskRun.objects.filter(task="orders.cancel", state="scheduled")
    broker.cancel_fails = None
    advance(10)
    submitted()
    run.refresh_from_db()
    assert (run.state, run.attempt, now(order).state) == ("succeeded", 2, State.CANCELLED)


def test_what_the_answer_lacks_is_found_by_a_look(account, market, broker):
    broker.with_fills = False
    broker.script.append("rest")
    order = place(account, market, "2", price="90")
    submitted()
    cancel(order)
    broker.trade(order, "0.5")
    broker[order].hidden = 1
    submitted()
    assert (now(order).state, now(order).filled) == (State.SUBMITTED, 0)
    broker[order].hidden = 0
    drain("fills.fifo")
    looked()
    order = now(order)
    assert (order.state, order.filled, held(account, market)) == (
        State.CANCELLED,
        Decimal("0.5"),
        Decimal("0.5"),
    )
    assert order.verified_at is not None


def test_a_cancellation_that_leads_nowhere_lets_other_orders_pass(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script += ["rest", "rest"]
    order, doubtful = place(account, market, price="90"), place(account, market)
    submitted()
    looked()
    assert now(doubtful).state == State.NEEDS_REVIEW
    broker.cancel_fails = Unreadable("what is this")
    cancel(order)
    cancel(doubtful)
    other = place(account, market)
    submitted()
    assert now(other).state == State.ACCEPTED
    drain("orders.fifo", later=True)
    assert now(other).state == State.FILLED
    # It is asked for again behind the others; a person who wants that of one in review has to say so again.
    assert [now(one).cancel_requested for one in (order, doubtful)] == [True, False]
    broker.cancel_fails = None
    assert orders_reconcile() == 1
    submitted()
    assert now(order).state == State.CANCELLED
    cancel(doubtful)
    submitted()
    assert now(doubtful).state == State.CANCELLED
    check()
