"""An order is handed to its broker once, whatever the broker says or does not say."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.orders import submission
from apps.orders.accounts import account_set_keys
from apps.orders.brokers.base import NotTaken, Refused, Unanswered
from apps.orders.models import Fill, Order
from apps.orders.states import State
from apps.tasks import RetryLater
from apps.tasks.models import TaskRun
from apps.tasks.testing import advance, requested
from tests.orders.helpers import check, data, held, looked, now, place, story, submitted

pytestmark = pytest.mark.django_db


def waits(task: str) -> float:
    """Seconds until the one run of *task* that waits is due."""
    [run] = requested(task, state="scheduled")
    return (run.due_at - timezone.now()).total_seconds()


def test_an_order_is_submitted_filled_and_verified_at_the_first_look(account, market, broker):
    broker.fee = (Decimal("0.1"), "USDT")
    order = place(account, market, "2")
    assert (order.state, story(order)) == (State.ACCEPTED, ["received", "accepted"])
    submitted()
    order = now(order)
    assert (order.state, order.filled, order.average_price) == (State.FILLED, 2, 100)
    assert (order.venue_order_id, order.submissions, order.verified_at) == ("v1", 1, None)
    assert order.submission_started_at <= order.submitted_at <= order.ended_at
    assert story(order)[2:] == ["submission_started", "submitted", "filled_part"]
    assert 25 < waits("orders.verify") <= 30
    [asked] = broker.submissions
    assert (asked.client_order_id, asked.symbol, str(asked.quantity)) == (str(order.pk), "BTC/USDT", "2")
    looked()
    order = now(order)
    assert order.verified_at is not None
    assert story(order)[-2:] == ["looked", "verified"]
    assert requested("orders.verify", state="scheduled") == []
    [fill] = Fill.objects.all()
    assert (fill.trade_id, fill.quantity, fill.fee, fill.fee_currency) == ("t1", 2, Decimal("0.1"), "USDT")
    assert held(account, market) == 2
    check()


def test_every_answer_of_a_broker_leads_where_it_should(account, market, broker, outside):
    cases: list[tuple[Any, State, str, str, int]] = [
        # What the broker does; state and reason code; the mail; fills.
        ("rest", State.SUBMITTED, "", "", 0),
        ("half", State.PARTIALLY_FILLED, "", "", 1),
        ("fill", State.FILLED, "", "", 1),
        ("half fill", State.FILLED, "", "", 2),
        ("half expired", State.EXPIRED, "", "", 1),
        ("expired", State.EXPIRED, "", "", 0),
        ("half cancelled", State.CANCELLED, "", "", 1),
        ("rejected", State.REJECTED, "rejected", "order_rejected", 0),
        # Its trades are not shown yet: it has not ended for us.
        ("half hide fill", State.PARTIALLY_FILLED, "", "", 1),
        ("half rejected", State.NEEDS_REVIEW, "rejected_after_fill", "order_needs_review", 1),
        (Refused("no money", code="-2010"), State.REJECTED, "-2010", "order_rejected", 0),
        (Refused("no"), State.REJECTED, "refused", "order_rejected", 0),
        (Unanswered("timeout", code="-1007"), State.UNKNOWN, "-1007", "verification_needed", 0),
        (RuntimeError("a bug"), State.UNKNOWN, "unexpected", "verification_needed", 0),
        ("fill lost", State.UNKNOWN, "-1007", "verification_needed", 0),
    ]
    for step, state, code, mail, fills in cases:
        outside.clear()
        broker.script.append(step)
        order = place(account, market, "2")
        submitted()
        order = now(order)
        assert (order.state, order.reason_code) == (state, code), step
        assert order.fills.count() == fills, step
        assert [kind for what, kind, _ in outside if what == "mail"] == ([mail] if mail else []), step
        scheduled = TaskRun.objects.filter(
            task="orders.verify", state="scheduled", kwargs__order_id=str(order.pk)
        ).count()
        assert scheduled == (state not in (State.REJECTED, State.NEEDS_REVIEW)), step
    assert len(broker.submissions) == len(cases)
    check()


def test_trades_that_the_answer_lacks_are_fetched(account, market, broker):
    broker.with_fills = False
    order = place(account, market)
    submitted()
    assert (now(order).state, now(order).fills.count()) == (State.FILLED, 1)


def test_an_order_that_was_not_taken_is_submitted_again_when_the_broker_says(account, market, broker):
    broker.script += [NotTaken("429", code="-1003", retry_after=40), NotTaken("429"), "fill"]
    order = place(account, market)
    submitted()
    order = now(order)
    assert (order.state, order.submissions, order.submission_started_at) == (State.ACCEPTED, 1, None)
    assert (order.reason_code, data(order, "not_taken")["retry_after"]) == ("-1003", 40)
    assert 35 < waits("orders.submit") <= 40
    advance(41)
    submitted()
    advance(41)
    submitted()
    order = now(order)
    assert (order.state, order.submissions, order.reason_code) == (State.FILLED, 3, "")
    assert {asked.client_order_id for asked in broker.submissions} == {str(order.pk)}
    check()


def test_an_order_that_is_too_old_is_not_sent(account, market, broker, settings, outside):
    old = timezone.now() - timedelta(seconds=400)
    market_order = place(account, market, asked_at=old)
    limit_order = place(account, market, price="90", asked_at=old)
    late = place(account, market, price="90", asked_at=old - timedelta(seconds=600))
    submitted()
    assert (now(market_order).state, now(market_order).reason_code) == (State.REJECTED, "too_old")
    assert now(limit_order).state == State.FILLED
    assert (now(late).state, now(late).reason_code) == (State.REJECTED, "not_taken")
    assert [kind for what, kind, _ in outside if what == "mail"] == ["order_rejected"] * 2
    assert len(broker.submissions) == 1


def test_a_worker_that_dies_in_a_submission_leaves_an_order_to_be_looked_up(
    account, market, broker, monkeypatch
):
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    order = place(account, market)
    broker.meanwhile = die  # type: ignore[assignment]
    with pytest.raises(Killed):
        submission.order_submit(str(order.pk))
    order = now(order)
    assert (order.state, order.submissions) == (State.ACCEPTED, 1)
    # Another worker gets the run.
    submitted()
    order = now(order)
    assert (order.state, order.reason_code) == (State.UNKNOWN, "no_answer_known")
    assert len(broker.submissions) == 1
    assert waits("orders.verify") <= 5
    looked()
    order = now(order)
    assert (order.state, order.submissions) == (State.FILLED, 2)
    assert story(order)[3:] == [
        "unanswered", "looked", "absent", "submission_started", "submitted", "filled_part",
    ]  # fmt: skip
    check()


def test_an_answer_that_comes_after_the_worker_was_taken_for_dead_is_taken(account, market, broker):
    order = place(account, market)
    # Within the call another worker takes the order for one whose submission was not answered.
    broker.meanwhile = lambda: submission.order_submit(str(order.pk))
    submission.order_submit(str(order.pk))
    order = now(order)
    assert order.state == State.FILLED
    assert story(order)[2:] == ["submission_started", "unanswered", "found", "filled_part"]
    assert len(broker.submissions) == 1
    check()


def test_how_long_it_takes_to_record_the_beginning_counts(account, market, broker, monkeypatch):
    """Brokers do not send what began too long ago: they are told when that was, before it was committed."""
    moved = []

    def move(*given, **more):
        moved.append(time.monotonic())
        order_move(*given, **more)

    order_move = submission.order_move
    monkeypatch.setattr(submission, "order_move", move)
    place(account, market)
    before = time.monotonic()
    submitted()
    [asked] = broker.submissions
    assert before < asked.begun < moved[0]


def test_a_long_ban_does_not_keep_an_order_longer_than_it_may_wait(account, market, broker, settings):
    settings.ORDERS_SUBMIT_LIMIT = 100.0
    broker.script.append(NotTaken("banned", code="-1003", retry_after=259_200))
    order = place(account, market, price="90")
    submitted()
    assert 90 < waits("orders.submit") <= 102
    Order.objects.update(asked_at=timezone.now() - timedelta(seconds=101))
    advance(102)
    submitted()
    assert (now(order).state, now(order).reason_code) == (State.REJECTED, "not_taken")
    assert "banned" in now(order).reason


def test_an_account_that_may_not_trade_any_more_submits_nothing(account, market, broker):
    allowed = {"enabled": True, "simulation": False, "plan": "pro"}
    for changes, code in (
        ({"enabled": False}, "account_disabled"),
        ({"simulation": True}, "on_paper_now"),
        ({"plan": "basic"}, "real_not_allowed"),
        ({"plan": "gone"}, "real_not_allowed"),
    ):
        order = place(account, market)
        type(account).objects.update(**changes)
        submitted()
        assert (now(order).state, now(order).reason_code) == (State.REJECTED, code)
        type(account).objects.update(**allowed)
    assert broker.submissions == []
    on_paper = place(account, market, simulation=True)
    type(account).objects.update(plan="basic")
    submitted()
    assert now(on_paper).state == State.FILLED


def test_a_submission_begins_with_the_keys_that_the_account_has(account, market, broker, monkeypatch):
    from apps.orders import brokers

    def changing(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(brokers, "broker_for", lambda *_, **__: broker)
        account_set_keys(account=account, api_key="another1", api_secret="another2", by="user:1")
        # Opened with those that were read before.
        return broker

    order = place(account, market)
    monkeypatch.setattr(brokers, "broker_for", changing)
    with pytest.raises(RetryLater, match="keys"):
        submission.order_submit(str(order.pk))
    assert story(order) == ["received", "accepted"]
    submitted()
    assert (now(order).state, len(broker.submissions)) == (State.FILLED, 1)
    account.refresh_from_db()
    assert account.keys_set_at < now(order).submission_started_at


def test_a_broker_that_cannot_be_had_delays_and_does_not_lose(account, market, broker, monkeypatch):
    from apps.orders import brokers

    answers: list[Any] = [NotTaken("markets cannot be read", retry_after=7), Refused("keys", code="-2015")]

    def none(*_: Any, **__: Any) -> Any:
        raise answers.pop(0)

    monkeypatch.setattr(brokers, "broker_for", none)
    order = place(account, market)
    submitted()
    assert (now(order).state, story(order)) == (State.ACCEPTED, ["received", "accepted"])
    assert 5 < waits("orders.submit") <= 7
    advance(8)
    submitted()
    assert (now(order).state, now(order).reason_code) == (State.REJECTED, "-2015")


def test_orders_of_an_account_are_submitted_in_their_order(account, market, broker):
    broker.script.append(NotTaken("later", retry_after=30))
    first, second = place(account, market), place(account, market)
    submitted()
    assert Order.objects.filter(state=State.ACCEPTED).count() == 2
    advance(31)
    submitted()
    assert [asked.client_order_id for asked in broker.submissions[1:]] == [str(first.pk), str(second.pk)]
