"""Cancelling orders: at once where no broker has them, else by asking the broker."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.db import transaction

from apps.core import context
from apps.events.records import NewEvent
from apps.orders import announcing, looks
from apps.orders.brokers.base import BrokerError, BrokerFill, Refused
from apps.orders.broking import broker_of, order_get, reading_of, told, trades_of
from apps.orders.models import Order
from apps.orders.moving import CANCELLABLE, look_planned, order_move
from apps.orders.outcomes import cancelled, why
from apps.orders.reasons import REASONS
from apps.orders.recording import order_locked
from apps.orders.requesting import cancel_request
from apps.orders.states import ENDED, State
from apps.tasks import Fenced, current_run

logger = logging.getLogger(__name__)

#: After so many attempts in a row others have their turn.
_ATTEMPTS = 5


class WrongState(Exception):
    """The order is not in a state in which this can be done to it."""


@transaction.atomic
def order_cancel(*, order: Order, by: str) -> Order:
    """Cancel an order on behalf of the actor *by*: at once, while no broker can have it.

    Else the broker is asked, and the answer decides: what was traded before it stays traded, and an order
    that was filled meanwhile is filled. Asked twice, it is cancelled once. Raises `WrongState` where the
    order has ended.
    """
    with context.bind(actor=by):
        now = order_locked(order.pk)
        if now.state in ENDED:
            raise WrongState(f"The order has ended: it is {now.state}.")
        if now.cancel_requested:
            return now
        announcing.order_audit(now, "order.cancel_requested")
        if now.state == State.ACCEPTED and now.submission_started_at is None:
            order_move(now, [cancelled("person", "cancelled", REASONS["cancelled"])])
            return now
        # A submission that is under way, or is being looked up, comes first: the request follows it.
        order_move(now, [NewEvent(type="order.cancel_requested")])
        if now.state in CANCELLABLE:
            cancel_request(now)
        return now


def order_cancel_at_broker(order_id: str) -> dict[str, Any]:
    """Ask the broker to cancel an order, and record the answer with the success of the run.

    What the broker does not say is looked up. Raises `BrokerError` where it did not answer; some attempts
    later it is left, so that the account's orders behind it are submitted.
    """
    order = order_get(order_id)
    if not (order.cancel_requested and order.state in CANCELLABLE):
        return {"state": order.state}
    try:
        return _cancel(order)
    except Fenced:
        raise
    except Exception as exc:
        if current_run().attempt < _ATTEMPTS:
            raise
        logger.warning("order %s: left uncancelled for now: %s", order.pk, exc)
        return _left(order, exc)


def _left(order: Order, exc: Exception) -> dict[str, Any]:
    """Let others pass. `reconciling` requests it again, but not for an order that waits for a person."""
    with current_run().completing():
        now = order_locked(order.pk)
        if now.cancel_requested and now.state == State.NEEDS_REVIEW:
            failed = why(getattr(exc, "code", ""), str(exc))
            order_move(now, [NewEvent(type="order.cancel_failed", data=failed)])
        _look_now(now)
    return {"state": now.state}


def _cancel(order: Order) -> dict[str, Any]:
    broker = broker_of(order)
    try:
        report = broker.cancel(told(order))
    except Refused as exc:
        failed = NewEvent(type="order.cancel_failed", data=why(exc.code, str(exc)))
        with current_run().completing():
            now = order_locked(order.pk)
            if now.cancel_requested and now.state in CANCELLABLE:
                order_move(now, [failed])
                _look_now(now)
        return {"state": now.state}
    trades: Sequence[BrokerFill] = ()
    if report is not None:
        # Without its trades the order stays as it is: a look finds them.
        with suppress(BrokerError):
            trades = trades_of(broker, order, report)
    with current_run().completing():
        now = order_locked(order.pk)
        if now.state in CANCELLABLE:
            if report is not None:
                reading = reading_of(now, report, trades, arrival="order.found")
                order_move(now, reading.events, reading.fills)
            if now.state in ENDED:
                look_planned(now)
            else:
                _look_now(now)
    return {"state": now.state}


def _look_now(order: Order) -> None:
    """The answer says not enough; and that a person asked for it, for one in review, too."""
    if order.to_be_looked_at or order.state == State.NEEDS_REVIEW:
        looks.look_now(order)
