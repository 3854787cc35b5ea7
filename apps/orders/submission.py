"""Handing an order to its broker, once.

That a submission begins is committed before the broker is called. So whoever finds an order whose submission
began and has no answer knows that the broker may have it: the order is then looked up, and never submitted
again unless the broker proves that it never had it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from apps.events.records import NewEvent
from apps.orders.brokers.base import Broker, BrokerError, BrokerFill, NotTaken, Refused, Report, Unanswered
from apps.orders.broking import broker_of, order_get, reading_of, time_left, told, too_late, trades_of
from apps.orders.limits import plan_of
from apps.orders.models import Account, Order
from apps.orders.moving import look_planned, order_move
from apps.orders.outcomes import cancelled, rejected, why
from apps.orders.reasons import REASONS
from apps.orders.recording import OrderMoved, order_locked
from apps.orders.states import State
from apps.tasks import RetryLater, current_run

logger = logging.getLogger(__name__)

#: Seconds to the next submission where the broker does not say.
_AGAIN = 2.0


def order_submit(order_id: str) -> dict[str, Any]:
    """Submit an order that is accepted, and record the answer together with the success of the run.

    Raises `RetryLater` where the broker did not take it and may later. An order that is not to be submitted
    (any more) is left alone.
    """
    order = order_get(order_id)
    if not _to_be_submitted(order):
        return {"state": order.state}
    try:
        broker = broker_of(order)
    except Refused as exc:
        return _ended(order, rejected("broker", exc.code, str(exc)))
    except BrokerError as exc:
        raise RetryLater(exc.retry_after or _AGAIN, str(exc)) from exc
    # Before it is recorded: brokers do not send what began too long ago, because others may have found out
    # meanwhile that there is no such order.
    begun = time.monotonic()
    try:
        _begin(order)
    except OrderMoved as exc:
        # Cancelled in the meantime, perhaps: looked at anew.
        raise RetryLater(0, str(exc)) from None
    return _submit(order, broker, begun)


def _to_be_submitted(order: Order) -> bool:
    """Whether the order may be submitted now; ends it where it may not be any more."""
    if order.state != State.ACCEPTED or order.waits:
        return False
    if order.submission_started_at is not None:
        _unanswered(order, Unanswered(REASONS["no_answer_known"], code="no_answer_known"))
        return False
    if order.cancel_requested:
        _ended(order, cancelled("person", "cancelled", REASONS["cancelled"]))
        return False
    if not (order.account.enabled and order.account.user.is_active):
        _ended(order, rejected("us", "account_disabled", REASONS["account_disabled"]))
        return False
    if order.account.simulation and not order.simulation:
        _ended(order, rejected("us", "on_paper_now", REASONS["on_paper_now"]))
        return False
    if not order.simulation and plan_of(order.account).simulation_only:
        _ended(order, rejected("us", "real_not_allowed", REASONS["real_not_allowed"]))
        return False
    late = too_late(order)
    if late:
        said = f" The broker said last: {order.reason}" if order.reason else ""
        _ended(order, rejected("us", late, REASONS[late] + said))
        return False
    return True


@transaction.atomic
def _begin(order: Order) -> None:
    """Record that the submission begins, with keys that are still the account's.

    So whoever looks for the order later knows by the times whether the keys are those that it was sent with.
    """
    if not order.simulation:
        account = Account.objects.select_for_update(no_key=True).only("keys_set_at").get(pk=order.account_id)
        if account.keys_set_at != order.account.keys_set_at:
            raise RetryLater(0, "the keys of the account were changed just now")
    data = {"submission": order.submissions + 1}
    order_move(order, [NewEvent(type="order.submission_started", data=data)])


def _submit(order: Order, broker: Broker, begun: float) -> dict[str, Any]:
    """Call the broker, and record what it said."""
    try:
        report = broker.submit(told(order, begun=begun))
    except Refused as exc:
        return _answered(order, [rejected("broker", exc.code or "refused", str(exc))])
    except NotTaken as exc:
        return _not_taken(order, exc)
    except Unanswered as exc:
        return _unanswered(order, exc)
    except Exception as exc:
        # Whatever it was, the request may have gone out.
        logger.exception("order %s: the submission failed in a way that brokers should not", order.pk)
        return _unanswered(order, Unanswered(f"{type(exc).__name__}: {exc}", code="unexpected"))
    try:
        trades: Sequence[BrokerFill] = trades_of(broker, order, report)
    except Exception as exc:
        # The broker has the order. A look will find its trades.
        logger.warning("order %s: its trades could not be read: %s", order.pk, exc)
        trades = ()
    return _taken(order, report, trades)


def _taken(order: Order, report: Report, trades: Sequence[BrokerFill]) -> dict[str, Any]:
    with current_run().completing():
        now = order_locked(order.pk)
        arrival = "order.submitted" if now.state == State.ACCEPTED else "order.found"
        if _same_submission(order, now):
            reading = reading_of(now, report, trades, arrival=arrival)
            order_move(now, reading.events, reading.fills)
            look_planned(now)
    return {"state": now.state, "filled": str(now.filled)}


def _same_submission(order: Order, now: Order) -> bool:
    """Whether the order still waits for the answer to this submission.

    It does, too, where another run took this one for dead and left the order to be looked up.
    """
    return now.submissions == order.submissions and now.state in (State.ACCEPTED, State.UNKNOWN)


def _answered(order: Order, events: list[NewEvent]) -> dict[str, Any]:
    """Record an answer that ends the order, unless the order has moved on since."""
    with current_run().completing():
        now = order_locked(order.pk)
        if _same_submission(order, now):
            order_move(now, events)
    return {"state": now.state}


def _not_taken(order: Order, exc: NotTaken) -> dict[str, Any]:
    # Not later than it can be said that nobody took it in time.
    again = min(exc.retry_after or _AGAIN, time_left(order) + _AGAIN)
    with transaction.atomic():
        now = order_locked(order.pk)
        if _same_submission(order, now) and now.state == State.ACCEPTED:
            event = NewEvent(
                type="order.not_taken",
                data={
                    "submission": order.submissions,
                    **why(exc.code, str(exc)),
                    "retry_after": again,
                },
            )
            order_move(now, [event])
    raise RetryLater(again, f"not taken: {exc}")


def _unanswered(order: Order, exc: Unanswered) -> dict[str, Any]:
    with current_run().completing():
        now = order_locked(order.pk)
        if _same_submission(order, now) and now.state == State.ACCEPTED:
            data = {"submission": now.submissions, **why(exc.code or "unanswered", str(exc))}
            order_move(now, [NewEvent(type="order.unanswered", data=data)])
            look_planned(now, retry_after=exc.retry_after)
    return {"state": now.state}


def _ended(order: Order, event: NewEvent) -> dict[str, Any]:
    """End an order that was not submitted. Raises `RetryLater` where somebody moved it meanwhile."""
    try:
        order_move(order, [event])
    except OrderMoved as exc:
        raise RetryLater(0, str(exc)) from None
    return {"state": order.state}
