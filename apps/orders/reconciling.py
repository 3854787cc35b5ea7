"""Orders that nothing is on its way for: belt and braces, for runs that died or were cancelled."""

from __future__ import annotations

import logging
import uuid

from django.db import connection, transaction

from apps.core.resources import sql
from apps.orders import looks
from apps.orders.models import Order
from apps.orders.moving import CANCELLABLE
from apps.orders.recording import order_locked
from apps.orders.requesting import abort_request, cancel_request, submission_request
from apps.orders.states import State

logger = logging.getLogger(__name__)

#: Orders that one call deals with.
_LIMIT = 500


def unattended(*, limit: int = _LIMIT) -> list[uuid.UUID]:
    """Orders for which something has to be done, and no run that has not ended does it."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "unattended.sql"), {"limit": limit})
        return [uuid.UUID(str(row[0])) for row in cursor.fetchall()]


def orders_reconcile() -> int:
    """Request the runs that are missing. Returns for how many orders."""
    found = unattended()
    for order_id in found:
        with transaction.atomic():
            _attend(order_locked(order_id))
    if found:
        logger.warning("%s orders had no run that attends to them", len(found))
    return len(found)


def _attend(order: Order) -> None:
    """Request what the order needs; what is requested already stays."""
    if order.state == State.ACCEPTED:
        if order.waits:
            abort_request(order)
        else:
            submission_request(order)
        return
    if order.to_be_looked_at:
        looks.look_plan(order)
    if order.cancel_requested and order.state in CANCELLABLE:
        cancel_request(order)
