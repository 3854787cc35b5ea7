"""What people decide on orders that nobody could find out about."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from apps.core import context
from apps.events.records import NewEvent
from apps.orders import announcing, looks
from apps.orders.amounts import exact, product, text, total
from apps.orders.brokers.base import BrokerFill
from apps.orders.cancelling import WrongState
from apps.orders.models import Order
from apps.orders.moving import order_move
from apps.orders.outcomes import new_fill
from apps.orders.placing import InvalidOrder
from apps.orders.recording import NewFill, order_locked
from apps.orders.states import TO_VERIFY, State

#: The ends that a person may find.
RESOLUTIONS = (State.FILLED, State.CANCELLED, State.EXPIRED, State.REJECTED)


@transaction.atomic
def order_resolve(
    *, order: Order, outcome: str, by: str, price: Decimal | None = None, note: str = ""
) -> Order:
    """Say how an order that needs a review ended, as the actor *by* has found out. It is not looked at again.

    Where it was filled and not all of its trades are recorded, *price* is what the rest was traded at: it is
    recorded as one trade without a fee, so that what is held is right.

    Raises `WrongState` where the order needs no review, and `InvalidOrder` for an end that contradicts its
    trades, or lacks the price.
    """
    if outcome not in RESOLUTIONS:
        raise InvalidOrder("outcome", f"Must be one of {', '.join(RESOLUTIONS)}.")
    with context.bind(actor=by):
        now = order_locked(order.pk)
        if now.state != State.NEEDS_REVIEW:
            raise WrongState(f"The order needs no review: it is {now.state}.")
        fills = _rest(now, outcome, price)
        resolved = NewEvent(type="order.resolved", data={"outcome": outcome, "note": note})
        order_move(now, [*(fill.event for fill in fills), resolved], fills, mail=False)
        announcing.order_audit(now, "order.resolved", state=outcome, note=note)
    return now


def _rest(order: Order, outcome: str, price: Decimal | None) -> list[NewFill]:
    """The trade that a person tells of."""
    rest = total(order.quantity, order.filled.copy_negate())
    if outcome == State.REJECTED and order.filled:
        raise InvalidOrder("outcome", f"{text(order.filled)} of it was traded: it cannot be rejected.")
    if outcome != State.FILLED or rest <= 0:
        if price is not None:
            raise InvalidOrder("price", "Nothing more was traded, so there is no price.")
        return []
    if price is None or price <= 0:
        raise InvalidOrder("price", f"Needed, above zero: what were the other {text(rest)} traded at?")
    if not exact(price):
        raise InvalidOrder("price", "Has more than 20 digits before the point or 18 after it.")
    if not exact(total(order.cost, product(price, rest))):
        raise InvalidOrder("price", "Times the quantity, this is more than can be recorded.")
    trade = BrokerFill(
        trade_id=f"manual:{order.pk}:{order.version}"[:64],
        price=price,
        quantity=rest,
        traded_at=timezone.now(),
    )
    return [new_fill(order, trade, by="person")]


@transaction.atomic
def order_look_again(*, order: Order, by: str) -> Order:
    """Have the broker asked at once what became of an order, as often as for a new one.

    Raises `WrongState` where there is nothing to be found out.
    """
    with context.bind(actor=by):
        now = order_locked(order.pk)
        if not (now.to_be_looked_at or now.state == State.NEEDS_REVIEW):
            verified = now.state in TO_VERIFY and now.verified_at is not None
            raise WrongState(
                f"The order is {now.state}{' and verified' if verified else ''}: nothing to look up."
            )
        order_move(now, [NewEvent(type="order.look_asked")])
        looks.look_now(now)
    return now
