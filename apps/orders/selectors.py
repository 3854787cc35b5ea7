"""Reading accounts, orders, fills and positions: whose they are, and page by page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

from apps.core.redaction import redact
from apps.core.resources import sql
from apps.events.registry import event_type
from apps.events.selectors import read_stream
from apps.orders.limits import plan_named
from apps.orders.models import Account, Fill, Order, Position

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """How many orders stand so, and seconds since the oldest was asked for, or, unverified, has ended."""

    count: int = 0
    oldest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One event of an order, fit to be shown."""

    version: int
    type: str
    meaning: str
    recorded_at: datetime
    #: Since the event before; None for the first.
    elapsed: timedelta | None
    data: dict[str, Any]
    actor: str


def accounts(*, user: Any) -> QuerySet[Account]:
    """The accounts that *user* may see: their own; for staff, everybody's."""
    found = Account.objects.select_related("user")
    return found if user.is_staff else found.filter(user=user)


def plan_of_user(user: Any) -> str:
    """The plan of *user*: of their accounts, the one that allows most orders a day; empty without any."""
    plans = Account.objects.filter(user=user, enabled=True).values_list("plan", flat=True).distinct()
    return max(plans, key=lambda name: (plan_named(name).daily_orders, name), default="")


def orders(*, user: Any) -> QuerySet[Order]:
    """The orders that *user* may see, newest first, with account, user and instrument."""
    found = Order.objects.select_related("account__user", "instrument")
    return found if user.is_staff else found.filter(account__user=user)


def positions(*, user: Any) -> QuerySet[Position]:
    """The positions that *user* may see, newest first."""
    found = Position.objects.select_related("account", "instrument")
    return found if user.is_staff else found.filter(account__user=user)


def fills(*, user: Any) -> QuerySet[Fill]:
    """The fills that *user* may see, newest first."""
    found = Fill.objects.select_related("instrument", "order")
    return found if user.is_staff else found.filter(account__user=user)


def filtered(
    found: QuerySet[Row],
    *,
    account: uuid.UUID | None = None,
    instrument: str | None = None,
    simulation: bool | None = None,
    state: str | None = None,
    order: uuid.UUID | None = None,
    since: datetime | None = None,
) -> QuerySet[Row]:
    """Those of *found* that fulfil all conditions that are given. *instrument* as ``binance:BTC/USDT``."""
    conditions: dict[str, Any] = {
        "account_id": account,
        "simulation": simulation,
        "state": state,
        "order_id": order,
        "created_at__gte": since,
    }
    if instrument is not None:
        conditions["instrument__exchange"], _, conditions["instrument__symbol"] = instrument.partition(":")
    return found.filter(**{name: value for name, value in conditions.items() if value is not None})


def unfinished() -> dict[str, Unfinished]:
    """Orders that have not ended, by state, and as ``unverified`` those that have and are not verified."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "open.sql"))
        return {state: Unfinished(count=count, oldest=age or 0.0) for state, count, age in cursor.fetchall()}


def timeline(order: Order, *, after: int = 0, limit: int | None = None) -> list[TimelineEntry]:
    """What happened to an order above version *after*, in order: all of it, or the first *limit* events."""
    # With the one before, from which time is counted.
    first = max(0, after - 1)
    events = read_stream(order.stream, after=first, limit=None if limit is None else limit + after - first)
    entries, before = [], None
    for event in events:
        entries.append(
            TimelineEntry(
                version=event.version,
                type=event.type,
                meaning=event_type(event.type).meaning,
                recorded_at=event.recorded_at,
                elapsed=None if before is None else event.recorded_at - before,
                data=redact(event.current_data()),
                actor=event.meta.get("actor", ""),
            )
        )
        before = event.recorded_at
    return entries[after - first :]
