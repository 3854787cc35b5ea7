"""Moving an order, with all that follows from it in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from apps.events.records import NewEvent
from apps.orders import announcing, looks, reversals
from apps.orders.models import Order
from apps.orders.recording import NewFill, order_recorded
from apps.orders.requesting import cancel_request
from apps.orders.states import ENDED, Intent, State

#: A broker may be asked to cancel these.
CANCELLABLE = frozenset({State.SUBMITTED, State.PARTIALLY_FILLED, State.NEEDS_REVIEW})


@transaction.atomic
def order_move(
    order: Order, events: Sequence[NewEvent], fills: Sequence[NewFill] = (), *, mail: bool = True
) -> None:
    """Record *events* and *fills* (see `recording.order_recorded`), and see to what follows.

    Its user is told of a rejection, unless not *mail*, of a submission without an answer, and of an order
    that needs a person; the audit likewise. A close leg that ended releases its entry, or aborts it. A
    cancellation that was asked for before the broker was known to have the order is asked of it now.
    """
    before = order.state
    order_recorded(order, events, fills)
    if order.state == before:
        return
    if order.state == State.REJECTED:
        announcing.order_rejected(order, mail=mail and not reversals.too_little(order))
    elif order.state == State.NEEDS_REVIEW:
        announcing.order_needs_review(order)
    elif order.state == State.UNKNOWN:
        announcing.order_unanswered(order)
    elif order.cancel_requested and order.state in CANCELLABLE and before not in CANCELLABLE:
        cancel_request(order)
    if order.intent == Intent.CLOSE and order.state in ENDED:
        reversals.close_ended(order)


def look_planned(order: Order, *, retry_after: float | None = None) -> None:
    """Request the next look at an order, where one is due."""
    if order.to_be_looked_at:
        looks.look_plan(order, retry_after=retry_after)
