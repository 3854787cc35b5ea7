"""Reversals: an entry waits until its close leg is filled and nothing is held, or comes to nothing.

Whoever moves the entry first decides: the close leg that ends, or the time that is over. So what is held is
never the double of what was asked for.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from apps.events.records import NewEvent
from apps.orders import announcing
from apps.orders.amounts import total
from apps.orders.models import Fill, Order, Position, position_id
from apps.orders.outcomes import cancelled
from apps.orders.recording import order_locked, order_recorded
from apps.orders.requesting import submission_request
from apps.orders.states import Intent, State
from apps.tasks import RetryLater

_CODE = "reversal_aborted"
#: What brokers call the rule that an order has to be worth something.
_TOO_LITTLE = frozenset({"NOTIONAL", "MIN_NOTIONAL"})


def close_ended(close: Order) -> None:
    """Release the entry that waits for *close*, which has ended, or abort it. In the caller's transaction."""
    waiting = Order.objects.filter(after=close, state=State.ACCEPTED, release_before__isnull=False)
    for order_id in waiting.order_by("pk").values_list("pk", flat=True):
        entry = order_locked(order_id)
        if not entry.waits:
            continue
        assert entry.release_before is not None
        left = _left(close)
        # The rule has a most as well: what is held of more than the entry is not left.
        if too_little(close) and close.quantity < entry.quantity:
            _release(entry, close)
        elif close.state != State.FILLED:
            _abort(entry, f"the close leg is {close.state}")
        elif timezone.now() > entry.release_before:
            _abort(entry, "the close leg was not filled in time")
        elif left >= (entry.flat_within or Decimal(0)):
            _abort(entry, f"{left.normalize():f} are held after the close leg was filled")
        else:
            _release(entry, close)


def too_little(close: Order) -> bool:
    """Whether the broker takes no order for so little as *close* was to close, as what fees leave behind.

    It stays held, against the entry, so that less is held than was asked for, and not more.
    """
    rejected = close.intent == Intent.CLOSE and close.state == State.REJECTED
    return rejected and close.reason_code in _TOO_LITTLE


def _release(entry: Order, close: Order) -> None:
    order_recorded(entry, [NewEvent(type="order.released", data={"after": str(close.pk)})])
    submission_request(entry)


@transaction.atomic
def reversal_abort(order_id: str) -> bool:
    """Abort the entry if it waits still, for its time is over. Whether it did.

    Raises `RetryLater` where there is time left.
    """
    entry = order_locked(order_id)
    if not entry.waits:
        return False
    assert entry.release_before is not None
    left = (entry.release_before - timezone.now()).total_seconds()
    if left > 0:
        raise RetryLater(left, "the close leg has time left")
    _abort(entry, "the close leg was not filled in time")
    return True


def _abort(entry: Order, reason: str) -> None:
    order_recorded(entry, [cancelled("us", _CODE, reason)])
    announcing.order_rejected(entry)


def _left(close: Order) -> Decimal:
    """How much is held after *close*, either way, less what its fees took in the base currency.

    These are taken from what was bought: a short position is closed but for them.
    """
    key = position_id(account=close.account_id, instrument=close.instrument_id, simulation=close.simulation)
    held = Position.objects.filter(pk=key).values_list("quantity", flat=True).first() or Decimal(0)
    fees = Fill.objects.filter(order=close, fee_currency=close.instrument.base).aggregate(sum=Sum("fee"))[
        "sum"
    ]
    return total(held.copy_abs(), (fees or Decimal(0)).copy_negate())
