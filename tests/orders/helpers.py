"""What tests of orders share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.events import projections
from apps.events.selectors import read_stream
from apps.orders.models import Order, Position
from apps.orders.placing import order_place
from apps.orders.projection import OrderProjection, PositionProjection
from apps.tasks.testing import drain


def place(account: Any, market: Any, quantity: str = "1", **changes: Any) -> Order:
    """An order, of a real account at its broker unless told."""
    price = changes.pop("price", None)
    return order_place(
        **{
            "account": account,
            "instrument": market,
            "side": "buy",
            "kind": "market" if price is None else "limit",
            "quantity": Decimal(quantity),
            "price": None if price is None else Decimal(price),
            "simulation": False,
            "source": "api",
            **changes,
        }
    )


def submitted() -> None:
    """All that is due on the queue of submissions is done."""
    drain("orders.fifo")


def looked() -> None:
    """The next look at every order is made, and what follows it on the queue of submissions."""
    from apps.tasks.models import TaskRun
    from apps.tasks.testing import make_due

    for run in TaskRun.objects.filter(task="orders.verify", state__in=("scheduled", "queued")):
        make_due(run)
    drain("fills.fifo")
    drain("orders.fifo")


def story(order: Order) -> list[str]:
    """What happened to an order, without prefixes."""
    return [event.type.removeprefix("order.") for event in read_stream(order.stream)]


def data(order: Order, event: str) -> dict[str, Any]:
    """Of the last event of this type."""
    return [one.data for one in read_stream(order.stream) if one.type == f"order.{event}"][-1]


def now(order: Order) -> Order:
    """The order as it is."""
    return Order.objects.select_related("account__user", "instrument").get(pk=order.pk)


def held(account: Any, market: Any, *, simulation: bool = False) -> Decimal:
    """What the account holds."""
    found = Position.objects.filter(account=account, instrument=market, simulation=simulation).first()
    return found.quantity if found else Decimal(0)


def check() -> None:
    """The rows are what their events say."""
    assert projections.check(OrderProjection()) == []
    assert projections.check(PositionProjection()) == []
