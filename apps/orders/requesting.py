"""Requesting the runs that work on orders, in the transaction that made them necessary.

The unique keys of these runs tell `reconciling` for which orders none is on its way.
"""

from __future__ import annotations

from apps.orders.models import Order


def submission_request(order: Order) -> None:
    """Have the order handed to its broker: one order of an account at a time, in the order of requests."""
    from apps.orders.tasks import submit

    submit.apply_async(
        kwargs={"order_id": str(order.pk)},
        unique_key=f"submit:{order.pk}",
        group_key=f"account:{order.account_id}",
    )


def cancel_request(order: Order) -> None:
    """Have the broker asked to cancel the order, after what was to be submitted before."""
    from apps.orders.tasks import cancel

    cancel.apply_async(
        kwargs={"order_id": str(order.pk)},
        unique_key=f"cancel:{order.pk}",
        group_key=f"account:{order.account_id}",
    )


def abort_request(order: Order) -> None:
    """Have a reversal's entry cancelled that is not released in time."""
    from apps.orders.tasks import abort_reversal

    abort_reversal.apply_async(
        kwargs={"order_id": str(order.pk)},
        unique_key=f"abort:{order.pk}",
        group_key=f"order:{order.pk}",
        run_at=order.release_before,
    )
