"""The cards of the dashboard: each area's figures, for those who may see its pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import reverse

from apps.operations import filling
from apps.operations.figures import Card
from apps.operations.parts import Part
from apps.operations.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class _Area:
    """How a card comes to be: where it leads, who may see it, and what is in it."""

    name: str
    title: str
    route: str
    permission: str
    fill: Callable[[Snapshot], dict[str, Any]]
    #: What it cannot do without.
    parts: Sequence[str]
    query: dict[str, str] = field(default_factory=dict)


def cards(seen: Snapshot, *, may: Callable[[str], bool]) -> list[Card]:
    """The cards of those areas of which *may* says that the viewer has the permission."""
    return [_card(area, seen, may) for area in _AREAS if may(area.permission)]


def _card(area: _Area, seen: Snapshot, may: Callable[[str], bool]) -> Card:
    url = reverse(area.route, query=area.query or None)
    missing: list[Part[Any]] = [one for name in area.parts if not (one := getattr(seen, name))]
    if missing:
        return Card(name=area.name, title=area.title, url=url, reason=missing[0].reason)
    card = Card(name=area.name, title=area.title, url=url, **area.fill(seen))
    stats = [one if not one.permission or may(one.permission) else replace(one, url="") for one in card.stats]
    return replace(card, stats=stats)


def _area(
    name: str,
    title: str,
    route: str,
    permission: str,
    fill: Callable[[Snapshot], dict[str, Any]],
    *parts: str,
) -> _Area:
    return _Area(
        name=name, title=title, route=f"admin:{route}", permission=permission, fill=fill, parts=parts
    )


_LIST = "changelist"
_AREAS = (
    _area("runs", "Runs", f"tasks_taskrun_{_LIST}", "tasks.view_taskrun", filling.runs, "pace"),
    _area("queues", "Queues", "tasks_taskrun_queues", "tasks.view_taskrun", filling.queues, "backlogs"),
    _Area(
        name="dead",
        title="Dead runs",
        route="admin:tasks_taskrun_changelist",
        query={"state": "dead"},
        permission="tasks.view_taskrun",
        fill=filling.dead,
        parts=("backlogs", "failures"),
    ),
    _area(
        "processes",
        "Processes",
        f"tasks_process_{_LIST}",
        "tasks.view_process",
        filling.processes,
        "processes",
    ),
    _area(
        "trading",
        "Trading workers",
        "liveness_workersession_now",
        "liveness.view_workersession",
        filling.trading,
        "trading",
    ),
    _area(
        "ingestion",
        "Candles",
        f"candles_instrument_{_LIST}",
        "candles.view_instrument",
        filling.ingestion,
        "following",
    ),
    _area("orders", "Orders", f"orders_order_{_LIST}", "orders.view_order", filling.orders, "orders"),
    _area(
        "webhooks",
        "Webhooks",
        f"webhooks_delivery_{_LIST}",
        "webhooks.view_delivery",
        filling.webhooks,
        "deliveries",
    ),
    _area(
        "denials",
        "Rate limits",
        f"ratelimits_policychange_{_LIST}",
        "ratelimits.view_policychange",
        filling.denials,
        "denials",
    ),
    _area(
        "backtests",
        "Backtests",
        f"backtests_backtest_{_LIST}",
        "backtests.view_backtest",
        filling.backtests,
        "backlogs",
    ),
    _area(
        "emails",
        "E-mail",
        f"notifications_email_{_LIST}",
        "notifications.view_email",
        filling.emails,
        "unsent",
    ),
    _area("audit", "Audit", f"audit_entry_{_LIST}", "audit.view_entry", filling.audit, "audit"),
)
