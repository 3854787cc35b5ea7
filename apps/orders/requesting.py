"""Requesting the runs that work on orders, in the transaction that made them necessary.

The unique keys of these runs tell `reconciling` for which orders none is on its way.
"""

from __future__ import annotations

import uuid

from apps.orders.models import Order


def signal_group(*, account_id: uuid.UUID | str, instrument_id: int, simulation: bool) -> str:
    """The message group of a signal: those of one group are acted on one at a time, in their order.

    What is waited for in one instrument, or on paper, holds up nothing else.
    """
    return f"signals:{account_id}:{instrument_id}:{'paper' if simulation else 'real'}"


def _group(order: Order) -> str:
    """Orders of an account are submitted one at a time; those on paper do not wait for real ones."""
    return f"account:{order.account_id}{':paper' if order.simulation else ''}"


def submission_request(order: Order) -> None:
    """Have the order handed to its broker: one order of an account at a time, in the order of requests."""
    from apps.orders.tasks import submit

    submit.apply_async(
        kwargs={"order_id": str(order.pk)},
        unique_key=f"submit:{order.pk}",
        group_key=_group(order),
    )


def cancel_request(order: Order) -> None:
    """Have the broker asked to cancel the order, after what was to be submitted before."""
    from apps.orders.tasks import cancel

    cancel.apply_async(
        kwargs={"order_id": str(order.pk)},
        unique_key=f"cancel:{order.pk}",
        group_key=_group(order),
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
