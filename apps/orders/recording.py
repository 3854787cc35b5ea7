"""The one place that moves orders and positions: events, and the rows that follow from them, or neither."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.events.projections import Row
from apps.events.records import NewEvent
from apps.events.services import StreamConflict, append
from apps.orders.amounts import text
from apps.orders.models import Fill, Order, Position, position_id
from apps.orders.positions import Trade, traded
from apps.orders.projection import OrderProjection, PositionProjection, columns_of, holding_of

_ORDERS = OrderProjection()
_POSITIONS = PositionProjection()


class OrderMoved(Exception):
    """Somebody else moved the order since it was read. Nothing was recorded."""


@dataclass(frozen=True, kw_only=True)
class NewFill:
    """A trade to be recorded, beside its event ``order.filled_part``."""

    event: NewEvent
    trade: Trade

    def row(self, order: Order) -> Fill:
        """The row that tells of it."""
        return Fill(
            order=order,
            account_id=order.account_id,
            instrument_id=order.instrument_id,
            simulation=order.simulation,
            trade_id=self.event.data["trade_id"],
            price=self.trade.price,
            quantity=self.trade.quantity,
            fee=self.trade.fee,
            fee_currency=self.trade.fee_currency,
            traded_at=self.event.data["traded_at"],
        )


def order_locked(order_id: uuid.UUID | str) -> Order:
    """The order as it is now, which nobody else moves until the transaction ends.

    With its account, its user, and its instrument. Raises `Order.DoesNotExist`.
    """
    found = Order.objects.select_related("account__user", "instrument")
    return found.select_for_update(of=("self",), no_key=True).get(pk=order_id)


@transaction.atomic
def order_recorded(order: Order, events: Sequence[NewEvent], fills: Sequence[NewFill] = ()) -> None:
    """Record *events* at the end of the order's stream, and make its row what they say.

    *order* is the row as it was read, or one that is not saved yet, with its id and nothing else; it is
    brought up to date. With *fills* their rows are made, and the position is moved.

    Raises `OrderMoved` where the order has moved since, and `projection.ImpossibleTransition` for events that
    cannot happen to it.
    """
    row: Row | None = None
    if not order._state.adding:
        row = {name: getattr(order, name) for name in _ORDERS.columns}
        # The row comes first, and its events after it: whoever waits holds nothing that others wait for.
        locked = (
            Order.objects.select_for_update(no_key=True).filter(pk=order.pk).values_list("version", flat=True)
        )
        if list(locked) != [order.version]:
            raise OrderMoved(f"order {order.pk} is not at version {order.version} any more")
    before = row
    try:
        stored = append(stream=order.stream, after=row["version"] if row else 0, events=events)
    except StreamConflict as exc:
        raise OrderMoved(str(exc)) from None
    for event in stored:
        row = _ORDERS.fold(row, event)
    assert row is not None
    if before is None:
        Order(**row).save(force_insert=True)
        order._state.adding, order._state.db = False, "default"
    else:
        changes = {name: value for name, value in row.items() if value != before[name]}
        same = Order.objects.filter(pk=order.pk, version=before["version"], state=before["state"])
        if same.update(**changes) != 1:
            raise OrderMoved(f"order {order.pk} is not what its version {before['version']} was")
    for name, value in row.items():
        setattr(order, name, value)
    if fills:
        Fill.objects.bulk_create([fill.row(order) for fill in fills])
        _position_moved(order, fills)


def _position_moved(order: Order, fills: Sequence[NewFill]) -> None:
    """Record at the position what these fills of the order changed."""
    position = _position_locked(order)
    row: Row = {name: getattr(position, name) for name in _POSITIONS.columns}
    holding, events = holding_of(row), []
    for fill in fills:
        holding = traded(holding, fill.trade)
        events.append(_changed(order, fill, columns_of(holding)))
    stored = append(stream=position.stream, after=position.version, events=events)
    after: Row | None = row if position.version else None
    for event in stored:
        after = _POSITIONS.fold(after, event)
    assert after is not None
    Position.objects.filter(pk=position.pk, version=position.version).update(
        **{name: value for name, value in after.items() if value != row[name]}
    )


def _position_locked(order: Order) -> Position:
    """The position that the order moves; with version 0, one that nothing has moved yet."""
    key = position_id(account=order.account_id, instrument=order.instrument_id, simulation=order.simulation)
    new = Position(
        id=key,
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        simulation=order.simulation,
        version=0,
        quantity=0,
        cost=0,
        realised=0,
        updated_at=timezone.now(),
    )
    # Of two who are the first, the second waits for the first here.
    Position.objects.bulk_create([new], ignore_conflicts=True)
    return Position.objects.select_for_update(no_key=True).get(pk=key)


def _changed(order: Order, fill: NewFill, after: dict[str, Any]) -> NewEvent:
    trade = fill.trade
    return NewEvent(
        type="position.changed",
        data={
            "account": str(order.account_id),
            "instrument": order.instrument_id,
            "simulation": order.simulation,
            "order": str(order.pk),
            "trade_id": fill.event.data["trade_id"],
            "side": trade.side.value,
            "price": text(trade.price),
            "quantity": text(trade.quantity),
            "fee": text(trade.fee),
            "fee_currency": trade.fee_currency,
            "base": trade.base,
            "quote": trade.quote,
            "held": text(after["quantity"]),
            "cost": text(after["cost"]),
            "realised": text(after["realised"]),
        },
    )
