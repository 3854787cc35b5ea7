"""What plans allow, and how many orders an account may ask for on a day (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import transaction

from apps.core.database import execute
from apps.core.resources import sql
from apps.orders import announcing, conf
from apps.orders.models import Account


class UnknownPlan(LookupError):
    """The setting ``ORDERS_PLANS`` has no plan of that name."""


class DailyLimitReached(Exception):
    """The account has asked for as many orders today as it may."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the accounts of a plan may do."""

    name: str
    #: Whether they may trade on paper only.
    simulation_only: bool
    #: Orders a day, on paper and for real each.
    daily_orders: int


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Whether one more order may be asked for on a day, how many have been, and how many may be."""

    allowed: bool
    used: int
    limit: int


def plan(name: str) -> Plan:
    """The plan of that name. Raises `UnknownPlan`."""
    found = conf.plans().get(name)
    if found is None:
        raise UnknownPlan(f"there is no plan {name!r}; there are {', '.join(sorted(conf.plans()))}")
    return Plan(
        name=name,
        simulation_only=bool(found["simulation_only"]),
        daily_orders=int(found["daily_orders"]),
    )


def plan_named(name: str) -> Plan:
    """The plan of that name. One that is not among the settings any more allows nothing."""
    try:
        return plan(name)
    except UnknownPlan:
        return Plan(name=name, simulation_only=True, daily_orders=0)


def plan_of(account: Account) -> Plan:
    """The account's plan; see `plan_named`."""
    return plan_named(account.plan)


def daily_limit(account: Account) -> int:
    """How many orders the account may ask for on a day; see `daily_orders`."""
    return daily_orders(plan=account.plan, own=account.daily_limit)


def daily_orders(*, plan: str, own: int | None) -> int:
    """How many orders a day are allowed by a limit of the account's *own*, or else by its *plan*.

    None by a plan that is not among the settings any more, whatever the account's own limit.
    """
    found = conf.plans().get(plan)
    if found is None:
        return 0
    return int(found["daily_orders"]) if own is None else own


@transaction.atomic
def daily_take(*, account: Account, simulation: bool, day: date, exempt: bool = False) -> Taken:
    """Count one more order of the account on *day*, if that is allowed. One statement.

    With *exempt* it is counted and allowed whatever the limit: exits are. The first refusal of a day is told
    to the user and to the audit, in the caller's transaction. Orders on paper and real ones count apart.
    """
    limit = daily_limit(account)
    parameters = {
        "account": account.pk, "day": day, "simulation": simulation, "limit": limit, "exempt": exempt,
    }  # fmt: skip
    allowed, used = execute(sql(__package__, "daily_take.sql"), parameters).fetchone() or (False, 0)
    if not allowed:
        daily_refused(account=account, simulation=simulation, day=day)
    return Taken(allowed=allowed, used=used, limit=limit)


@transaction.atomic
def daily_refused(*, account: Account, simulation: bool, day: date, count: int = 1) -> None:
    """Count refusals, and tell the user and the audit of the first of a day."""
    parameters = {"account": account.pk, "day": day, "simulation": simulation, "count": count}
    first = execute(sql(__package__, "daily_refused.sql"), parameters).fetchone()
    if first == (True,):
        announcing.daily_limit_reached(account, day=day, simulation=simulation, limit=daily_limit(account))
