"""The durable tasks of orders: thin, and none in a transaction while a broker is asked."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from apps.orders import acting, cancelling, reconciling, reversals, submission, tally, verification
from apps.tasks import Backoff, DurableTask

#: An exchange may be away for long, and nothing is lost by trying again soon after it is back.
_BACKOFF = Backoff(base=1, maximum=30)


@shared_task(
    base=DurableTask,
    name="orders.act_on_signal",
    queue="orders.fifo",
    max_attempts=1000,
    backoff=_BACKOFF,
    atomic=False,
)
def act_on_signal(
    *,
    account_id: str,
    instrument_id: int,
    signal: str,
    quantity: str | None,
    simulation: bool,
    order_id: str,
    source_id: str,
    received_at: str,
    price: str | None = None,
) -> dict[str, Any]:
    """Place what a signal asks for. Its group is `requesting.signal_group`."""
    return acting.signal_act(
        account_id=account_id,
        instrument_id=instrument_id,
        signal=signal,
        quantity=quantity,
        price=price,
        simulation=simulation,
        order_id=order_id,
        source_id=source_id,
        received_at=received_at,
    )


@shared_task(
    base=DurableTask,
    name="orders.submit",
    queue="orders.fifo",
    max_attempts=1000,
    backoff=_BACKOFF,
    atomic=False,
)
def submit(*, order_id: str) -> dict[str, Any]:
    """Hand an order to its broker."""
    return submission.order_submit(order_id)


@shared_task(
    base=DurableTask,
    name="orders.cancel",
    queue="orders.fifo",
    max_attempts=1000,
    backoff=_BACKOFF,
    atomic=False,
)
def cancel(*, order_id: str) -> dict[str, Any]:
    """Ask the broker to cancel an order."""
    return cancelling.order_cancel_at_broker(order_id)


@shared_task(
    base=DurableTask,
    name="orders.verify",
    queue="fills.fifo",
    max_attempts=20,
    backoff=_BACKOFF,
    atomic=False,
)
def verify(*, order_id: str, look: int) -> dict[str, Any]:
    """Ask the broker what became of an order."""
    return verification.order_look(order_id, look)


@shared_task(
    base=DurableTask, name="orders.abort_reversal", queue="fills.fifo", max_attempts=20, backoff=_BACKOFF
)
def abort_reversal(*, order_id: str) -> dict[str, bool]:
    """Give up a reversal's entry that was not released in time."""
    return {"aborted": reversals.reversal_abort(order_id)}


@shared_task(base=DurableTask, name="orders.reconcile", max_attempts=1, atomic=False)
def reconcile() -> dict[str, int]:
    """Request runs for orders that have none, and count what happened to orders; run by beat."""
    return {"attended": reconciling.orders_reconcile(), "counted": tally.catch_up(seconds=20)}
