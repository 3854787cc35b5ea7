"""What the rows of orders and positions must be, according to their events.

`recording` writes with the same fold what `manage.py rebuild` checks with it: a row that is otherwise was
changed by something else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.events.projections import Row
from apps.events.records import StoredEvent
from apps.orders.amounts import product, ratio, text, total
from apps.orders.positions import Holding, Trade, traded
from apps.orders.states import FOUND_IN, TRANSITIONS, Kind, Side, State

Data = dict[str, Any]


class ImpossibleTransition(Exception):
    """An event cannot happen to an order that stands as this one does."""


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


# Orders -------------------------------------------------------------------------------------------


def _received(row: Row, data: Data, at: datetime) -> Row:
    return {
        "state": State.RECEIVED.value,
        "account_id": uuid.UUID(data["account"]),
        "instrument_id": data["instrument"],
        "after_id": uuid.UUID(data["after"]) if data["after"] else None,
        "quantity": Decimal(data["quantity"]),
        "price": _decimal(data["price"]),
        "flat_within": _decimal(data["flat_within"]),
        "release_before": _time(data["release_before"]),
        "asked_at": _time(data["asked_at"]),
        **{
            name: data[name]
            for name in (
                "simulation", "side", "kind", "intent", "signal", "source", "source_id", "client_order_id",
            )
        },
        "venue_order_id": "",
        "submissions": 0,
        "submission_started_at": None,
        "submitted_at": None,
        "looks": 0,
        "round_looks": 0,
        "fruitless_looks": 0,
        "filled": Decimal(0),
        "cost": Decimal(0),
        "average_price": None,
        "verified_at": None,
        "cancel_requested": False,
        "reason_code": "",
        "reason": "",
        "created_at": at,
        "ended_at": None,
    }  # fmt: skip


def _ended(state: State, data: Data, at: datetime) -> Row:
    return {
        "state": state.value,
        "reason_code": data.get("code", ""),
        "reason": data.get("reason", ""),
        "release_before": None,
        "ended_at": at,
    }


def _rejected(row: Row, data: Data, at: datetime) -> Row:
    return _ended(State.REJECTED, data, at)


def _cancelled(row: Row, data: Data, at: datetime) -> Row:
    return _ended(State.CANCELLED, data, at)


def _expired(row: Row, data: Data, at: datetime) -> Row:
    return _ended(State.EXPIRED, data, at)


def _accepted(row: Row, data: Data, at: datetime) -> Row:
    return {"state": State.ACCEPTED.value}


def _released(row: Row, data: Data, at: datetime) -> Row:
    if row["release_before"] is None:
        raise ImpossibleTransition("it waits for nothing")
    return {"release_before": None}


def _submission_started(row: Row, data: Data, at: datetime) -> Row:
    if row["release_before"] is not None or row["submission_started_at"] is not None:
        raise ImpossibleTransition("it waits for its close leg, or is at the broker already")
    return {
        "submissions": data["submission"],
        "submission_started_at": at,
        "round_looks": 0,
        "fruitless_looks": 0,
    }


def _under_way(row: Row) -> None:
    if row["submission_started_at"] is None:
        raise ImpossibleTransition("no submission is under way")


def _not_taken(row: Row, data: Data, at: datetime) -> Row:
    _under_way(row)
    return {"submission_started_at": None, "reason_code": data["code"], "reason": data["reason"]}


def _unanswered(row: Row, data: Data, at: datetime) -> Row:
    _under_way(row)
    return {"state": State.UNKNOWN.value, "reason_code": data["code"], "reason": data["reason"]}


def _at_broker(row: Row, data: Data, at: datetime) -> Row:
    filled = row["filled"]
    whole = filled >= row["quantity"]
    state = State.FILLED if whole else State.PARTIALLY_FILLED if filled else State.SUBMITTED
    return {
        "state": state.value,
        "venue_order_id": data["venue_order_id"] or row["venue_order_id"],
        "submitted_at": row["submitted_at"] or at,
        # An answer may come when the broker was already taken not to have it.
        "submission_started_at": row["submission_started_at"] or at,
        "reason_code": "",
        "reason": "",
        "ended_at": at if whole else None,
    }


def _absent(row: Row, data: Data, at: datetime) -> Row:
    return {"state": State.ACCEPTED.value, "submission_started_at": None}


def _filled_part(row: Row, data: Data, at: datetime) -> Row:
    filled = total(row["filled"], Decimal(data["quantity"]))
    cost = total(row["cost"], product(Decimal(data["price"]), Decimal(data["quantity"])))
    changes: Row = {"filled": filled, "cost": cost, "average_price": ratio(cost, filled)}
    if row["state"] == State.NEEDS_REVIEW:
        return changes
    if filled >= row["quantity"]:
        ended = row["ended_at"] if row["state"] == State.FILLED else at
        return {**changes, "state": State.FILLED.value, "reason_code": "", "reason": "", "ended_at": ended}
    if row["state"] == State.SUBMITTED:
        changes["state"] = State.PARTIALLY_FILLED.value
    return changes


def _looked(row: Row, data: Data, at: datetime) -> Row:
    # On paper market orders rest, too: until the minute is stored that fills them.
    rests = data["outcome"] == "open" and (row["kind"] == Kind.LIMIT or row["simulation"])
    # Of an order that rests and was traded just now, more may be traded soon.
    changes = {"looks": data["look"], "round_looks": 0 if rests and data["new"] else row["round_looks"] + 1}
    if rests:
        changes["fruitless_looks"] = 0
    elif data["outcome"] != "unavailable":
        changes["fruitless_looks"] = row["fruitless_looks"] + 1
    return changes


def _verified(row: Row, data: Data, at: datetime) -> Row:
    return {"verified_at": at}


def _needs_review(row: Row, data: Data, at: datetime) -> Row:
    return {
        "state": State.NEEDS_REVIEW.value,
        "reason_code": data["code"],
        "reason": data["reason"],
        "ended_at": None,
    }


def _look_asked(row: Row, data: Data, at: datetime) -> Row:
    return {"round_looks": 0, "fruitless_looks": 0}


def _resolved(row: Row, data: Data, at: datetime) -> Row:
    return {
        **_ended(State(data["outcome"]), {"code": "resolved", "reason": data["note"]}, at),
        "verified_at": at,
    }


def _cancel_requested(row: Row, data: Data, at: datetime) -> Row:
    return {"cancel_requested": True}


def _cancel_failed(row: Row, data: Data, at: datetime) -> Row:
    return {"cancel_requested": False}


_CHANGES: dict[str, Callable[[Row, Data, datetime], Row]] = {
    "order.received": _received,
    "order.accepted": _accepted,
    "order.rejected": _rejected,
    "order.released": _released,
    "order.submission_started": _submission_started,
    "order.not_taken": _not_taken,
    "order.unanswered": _unanswered,
    "order.submitted": _at_broker,
    "order.found": _at_broker,
    "order.absent": _absent,
    "order.filled_part": _filled_part,
    "order.cancelled": _cancelled,
    "order.expired": _expired,
    "order.looked": _looked,
    "order.verified": _verified,
    "order.needs_review": _needs_review,
    "order.look_asked": _look_asked,
    "order.resolved": _resolved,
    "order.cancel_requested": _cancel_requested,
    "order.cancel_failed": _cancel_failed,
}


class OrderProjection:
    """Folds the streams ``order:<id>`` into the table of orders."""

    name = "orders"
    stream_prefix = "order:"
    table = "orders_order"
    key = "id"
    columns = (
        "id", "account_id", "instrument_id", "state", "version", "simulation", "side", "kind", "intent",
        "quantity", "price", "signal", "source", "source_id", "client_order_id", "venue_order_id", "after_id",
        "release_before", "flat_within", "asked_at", "submissions", "submitted_at", "submission_started_at",
        "looks", "round_looks", "fruitless_looks", "filled", "cost", "average_price", "verified_at",
        "cancel_requested", "reason_code", "reason", "created_at", "ended_at",
    )  # fmt: skip
    json_columns: frozenset[str] = frozenset()

    def defaults(self) -> Row:
        """Every column follows from events."""
        return {}

    def finished(self) -> str:
        """Orders are kept for ever, and what happened to them with them."""
        return "NULL::timestamptz"

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `ImpossibleTransition` where that cannot follow."""
        before = row["state"] if row is not None else ""
        version = row["version"] + 1 if row is not None else 1
        if before not in FOUND_IN[event.type] or event.version != version:
            raise ImpossibleTransition(
                f"{event.stream}: {event.type} at {event.version} cannot follow {before!r}"
            )
        known = row or {"id": uuid.UUID(event.stream.removeprefix(self.stream_prefix))}
        try:
            changes = _CHANGES[event.type](known, event.current_data(), event.recorded_at)
        except ImpossibleTransition as exc:
            raise ImpossibleTransition(f"{event.stream}: {event.type} at {event.version}: {exc}") from None
        after = changes.get("state", before)
        if after != before and after not in TRANSITIONS[before]:
            raise ImpossibleTransition(f"{event.stream}: {event.type} leads from {before!r} to {after!r}")
        return {**known, **changes, "version": version}


# Positions ----------------------------------------------------------------------------------------


class PositionProjection:
    """Folds the streams ``position:<id>`` into the table of positions."""

    name = "positions"
    stream_prefix = "position:"
    table = "orders_position"
    key = "id"
    columns = (
        "id", "account_id", "instrument_id", "simulation", "version", "quantity", "cost", "average_price",
        "realised", "fees", "updated_at",
    )  # fmt: skip
    json_columns = frozenset({"fees"})

    def defaults(self) -> Row:
        """Every column follows from events."""
        return {}

    def finished(self) -> str:
        """What is held has no end."""
        return "NULL::timestamptz"

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `ImpossibleTransition` for one that is out of its place."""
        if event.type != "position.changed" or event.version != (row["version"] + 1 if row else 1):
            raise ImpossibleTransition(f"{event.stream}: {event.type} at {event.version}")
        data = event.current_data()
        if row is None:
            row = {
                "id": uuid.UUID(event.stream.removeprefix(self.stream_prefix)),
                "account_id": uuid.UUID(data["account"]),
                "instrument_id": data["instrument"],
                "simulation": data["simulation"],
            }
        after = traded(holding_of(row), trade_of(data))
        return {**row, **columns_of(after), "version": event.version, "updated_at": event.recorded_at}


def trade_of(data: Data) -> Trade:
    """What ``position.changed`` says of the trade."""
    return Trade(
        side=Side(data["side"]),
        price=Decimal(data["price"]),
        quantity=Decimal(data["quantity"]),
        fee=Decimal(data["fee"]),
        fee_currency=data["fee_currency"],
        base=data["base"],
        quote=data["quote"],
    )


def holding_of(row: Row) -> Holding:
    """What a position's row says; nothing, where it has no trade yet."""
    if "quantity" not in row:
        return Holding()
    return Holding(
        quantity=row["quantity"],
        cost=row["cost"],
        realised=row["realised"],
        fees={currency: Decimal(fee) for currency, fee in row["fees"].items()},
    )


def columns_of(holding: Holding) -> Row:
    """The columns of a position's row that say what is held."""
    return {
        "quantity": holding.quantity,
        "cost": holding.cost,
        "average_price": holding.average_price,
        "realised": holding.realised,
        "fees": {currency: text(fee) for currency, fee in sorted(holding.fees.items())},
    }
