"""When the broker is asked what became of an order: each look is a run of its own, in the order's group."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.orders import conf
from apps.orders.models import Order
from apps.orders.states import State
from apps.tasks import services as tasks
from apps.tasks.models import TaskRun
from apps.tasks.states import ACTIVE


def look_key(order: Order) -> str:
    """The unique key of the run of the order's next look."""
    return f"verify:{order.pk}:{order.looks + 1}"


def wait(order: Order) -> timedelta:
    """From now to the next look: doubling with every look of the round, up to a limit."""
    first = conf.unknown_first() if order.state == State.UNKNOWN else conf.verify_first()
    longest = conf.verify_longest()
    # The exponent is bounded: past it every wait has long reached the limit.
    doubled: timedelta = first * 2 ** min(order.round_looks, 30)
    return min(doubled, max(first, longest))


def look_plan(order: Order, *, retry_after: float | None = None) -> None:
    """Request the next look, in the transaction that made it necessary.

    Not sooner than *retry_after* seconds from now. Where one is requested already, that one stays.
    """
    delay = max(wait(order).total_seconds(), retry_after or 0.0)
    _request(order, countdown=delay)


def look_now(order: Order) -> None:
    """Have the next look made at once; a look that is under way is that."""
    waiting = TaskRun.objects.filter(unique_key=look_key(order), state__in=ACTIVE).first()
    if waiting is None:
        _request(order, countdown=0.0)
        return
    try:
        tasks.reschedule(run_id=waiting.pk, run_at=timezone.now())
    except (tasks.WrongState, TaskRun.DoesNotExist):
        # It has started meanwhile.
        return


def _request(order: Order, **options: Any) -> None:
    from apps.orders.tasks import verify

    verify.apply_async(
        kwargs={"order_id": str(order.pk), "look": order.looks + 1},
        unique_key=look_key(order),
        group_key=f"order:{order.pk}",
        **options,
    )
