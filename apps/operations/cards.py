"""The cards of the dashboard: each area's figures, for those who may see its pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import reverse

from apps.candles import conf as candles_conf
from apps.candles.following import Following
from apps.operations.drawing import bars, pieces
from apps.operations.figures import Card, Line, QueueLine, Stat
from apps.operations.parts import Part
from apps.operations.selectors import MOST_DELIVERIES
from apps.operations.snapshot import Snapshot
from apps.orders.selectors import Unfinished
from apps.orders.states import State as OrderState
from apps.tasks import wording
from apps.tasks.stats import Backlog

#: Ages of what waits from which it is worth a look, and from which it is in trouble (seconds).
_SLOW, _STUCK = 30.0, 300.0
_WORST = 5
_BOARD = "admin:tasks_taskrun_changelist"


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


def _age(seconds: float | None) -> str:
    return "" if seconds is None or seconds < _SLOW else "late" if seconds < _STUCK else "bad"


def _tone(number: int, tone: str) -> str:
    return tone if number else ""


def _runs(seen: Snapshot) -> dict[str, Any]:
    assert seen.pace.value is not None
    minutes = seen.pace.value.minutes
    failed, dead = sum(one.failed for one in minutes), sum(one.dead for one in minutes)
    ended = sum(one.succeeded for one in minutes)
    columns = [
        (
            f"{one.starts_at:%H:%M}: {one.succeeded:,} succeeded, {one.failed:,} failed, {one.dead:,} dead",
            # A run that dies has failed at last: its attempt is one of those that failed.
            (one.succeeded, max(0, one.failed - one.dead), one.dead),
        )
        for one in minutes
    ]
    chart = bars("Runs of the last hour by minute", ("good", "late", "bad"), columns)
    return {
        "wide": True,
        "stats": [
            Stat(label="a minute", number=f"{seen.pace.value.per_minute:,.1f}"),
            Stat(label="succeeded in the hour", number=f"{ended:,}"),
            Stat(label="failed attempts", number=f"{failed:,}", tone=_tone(failed, "late")),
            Stat(label="dead", number=f"{dead:,}", tone=_tone(dead, "bad")),
        ],
        "chart": chart,
        "legend": [("good", "succeeded"), ("late", "failed attempts"), ("bad", "dead")],
        "foot": f"The last hour; full height: {chart.peak:,} a minute",
    }


def _queues(seen: Snapshot) -> dict[str, Any]:
    assert seen.backlogs.value is not None
    found = seen.backlogs.value
    rates = seen.pace.value.rates if seen.pace.value else {}
    fullest = max((one.waiting + one.running for one in found.queues), default=0)
    lines = [
        QueueLine(
            backlog=one,
            url=reverse(_BOARD, query={"queue": one.queue}),
            level=pieces(
                [
                    ("wait", "waiting", one.waiting),
                    ("good", "running", one.running),
                    ("none", "", fullest - one.waiting - one.running),
                ]
            ),
            tone=_age(_oldest(one)),
            oldest=wording.age(_oldest(one)),
            rate=f"{rates[one.queue]:,.1f}" if rates.get(one.queue) else "",
            depth=(seen.on_sqs.value or {}).get(one.queue),
        )
        for one in found.queues
    ]
    return {
        "wide": True,
        "stats": [
            Stat(label="waiting", number=f"{found.waiting:,}"),
            Stat(label="running", number=f"{found.running:,}"),
            Stat(label="scheduled", number=f"{sum(one.scheduled - one.due for one in found.queues):,}"),
            Stat(
                label="oldest has waited",
                number=wording.age(found.oldest) or "–",
                tone=_age(found.oldest),
            ),
        ],
        "queues": lines,
        "foot": "" if seen.on_sqs else f"On SQS: not known: {seen.on_sqs.reason}",
    }


def _oldest(one: Backlog) -> float | None:
    return max((age for age in (one.due_lag, one.oldest_queued) if age is not None), default=None)


def _dead(seen: Snapshot) -> dict[str, Any]:
    assert seen.backlogs.value is not None
    assert seen.failures.value is not None
    dead, found = seen.backlogs.value.dead, seen.failures.value
    return {
        "stats": [Stat(label="dead now", number=f"{dead:,}", tone=_tone(dead, "bad"))],
        "lines": [
            Line(
                label=kind,
                value=f"{count:,}",
                url=reverse(_BOARD, query={"state": "dead", "error_type": kind}),
            )
            for kind, count in found.types[:3]
        ]
        + [
            Line(
                label=one.task,
                value="" if one.at is None else f"{one.at:%m-%d %H:%M}",
                hint=one.error,
                url=reverse("admin:tasks_taskrun_change", args=[one.id]),
            )
            for one in found.newest[:2]
        ],
    }


def _processes(seen: Snapshot) -> dict[str, Any]:
    assert seen.processes.value is not None
    running = seen.backlogs.value.running if seen.backlogs.value else None
    lines = []
    for one in seen.processes.value:
        gone = f", {one.vanished:,} vanished" if one.vanished else ""
        busy = f"{running:,} of {one.slots:,} slots busy" if one.slots and running is not None else ""
        heard = "" if one.seen_at is None else _ago(seen, one.seen_at)
        lines.append(
            Line(
                label=one.name,
                value=f"{one.alive:,} alive{gone}",
                tone="bad" if not one.alive else "late" if one.troubles else "good",
                hint="; ".join(filter(None, [busy, heard and f"heard of {heard} ago", *one.troubles[:1]])),
            )
        )
    return {"lines": lines}


def _ago(seen: Snapshot, moment: Any) -> str:
    return wording.age((seen.at - moment).total_seconds())


def _trading(seen: Snapshot) -> dict[str, Any]:
    assert seen.trading.value is not None
    counts = seen.trading.value.counts
    parts = [
        ("good", "alive", counts.alive),
        ("late", "stale", counts.stale),
        ("bad", "orphaned", counts.orphaned),
    ]
    return {
        "stats": [
            Stat(label=what, number=f"{count:,}", tone=_tone(count, tone)) for tone, what, count in parts
        ],
        "shares": pieces(parts),
    }


def _ingestion(seen: Snapshot) -> dict[str, Any]:
    assert seen.following.value is not None
    found, bound = seen.following.value, candles_conf.stale().total_seconds()
    late = [one for one in found if one.lag is None or one.lag > bound]
    missing = sum(one.missing for one in found)
    worst = sorted(found, key=lambda one: (one.lag is None, one.lag or 0.0, one.missing), reverse=True)
    return {
        "stats": [
            Stat(label="followed", number=f"{len(found):,}"),
            Stat(label="late", number=f"{len(late):,}", tone=_tone(len(late), "late")),
            Stat(
                label="minutes missing of a day",
                number=f"{missing:,}",
                tone=_tone(missing, "late"),
                url=reverse("admin:candles_gap_changelist"),
                permission="candles.view_gap",
            ),
        ],
        "lines": [_followed(one, bound) for one in worst[:_WORST]],
    }


def _followed(one: Following, bound: float) -> Line:
    exchange, _, symbol = one.text.partition(":")
    return Line(
        label=one.text,
        value="none for 2 days" if one.lag is None else f"{wording.age(one.lag)} behind",
        tone="bad" if one.lag is None else "late" if one.lag > bound else "",
        hint=f"{one.missing:,} minutes missing" if one.missing else "",
        url=reverse("chart", args=[exchange, symbol]),
    )


def _denials(seen: Snapshot) -> dict[str, Any]:
    found = seen.denials.value
    assert found is not None
    columns = [
        (f"{len(found.minutes) - 1 - place} minutes ago: {count:,}", (count,))
        for place, count in enumerate(found.minutes)
    ]
    number = f"{found.count:,}{'+' if found.more else ''}"
    return {
        "stats": [Stat(label="denied in the hour", number=number, tone=_tone(found.count, "late"))],
        "chart": bars("Denied requests of the last hour by minute", ("late",), columns)
        if found.count
        else None,
        "lines": [Line(label=group, value=f"{count:,}") for group, count in found.groups[:3]]
        + [
            Line(label=subject, value=f"{count:,}", hint="most denied")
            for subject, count in found.subjects[:1]
        ],
    }


def _orders(seen: Snapshot) -> dict[str, Any]:
    found = seen.orders.value
    assert found is not None
    nothing = Unfinished()
    review = found.get(OrderState.NEEDS_REVIEW, nothing).count
    unverified = found.get("unverified", nothing)
    going = {state: one.count for state, one in found.items() if state != "unverified"}
    listed = "admin:orders_order_changelist"
    return {
        "stats": [
            Stat(
                label="not ended",
                number=f"{sum(going.values()):,}",
                url=reverse(listed, query={"state": "open"}),
            ),
            Stat(
                label="need review",
                number=f"{review:,}",
                tone=_tone(review, "bad"),
                url=reverse(listed, query={"state": OrderState.NEEDS_REVIEW.value}),
            ),
            Stat(
                label="unverified",
                number=f"{unverified.count:,}",
                tone=_age(unverified.oldest if unverified.count else None),
                hint=f"oldest {wording.age(unverified.oldest)}" if unverified.count else "",
            ),
        ],
        "lines": [
            Line(
                label=state.replace("_", " "), value=f"{count:,}", url=reverse(listed, query={"state": state})
            )
            for state, count in sorted(going.items())
        ],
    }


def _webhooks(seen: Snapshot) -> dict[str, Any]:
    found = seen.deliveries.value
    assert found is not None
    parts = [
        ("good", "accepted", found.accepted),
        ("over", "without effect", found.idle),
        ("late", "refused", found.refused),
        ("bad", "failed", found.failed),
    ]
    listed = "admin:webhooks_delivery_changelist"
    return {
        "stats": [
            Stat(label="accepted", number=f"{found.accepted:,}"),
            Stat(
                label="refused",
                number=f"{found.refused:,}",
                tone=_tone(found.refused, "late"),
                url=reverse(listed, query={"outcome__exact": "refused"}),
            ),
            Stat(label="failed", number=f"{found.failed:,}", tone=_tone(found.failed, "bad")),
        ],
        "shares": pieces(parts),
        "foot": f"The newest {MOST_DELIVERIES:,} of the last hour"
        if found.total == MOST_DELIVERIES
        else "The last hour",
    }


def _emails(seen: Snapshot) -> dict[str, Any]:
    found = seen.unsent.value
    assert found is not None
    url = reverse("admin:notifications_email_changelist", query={"state": "requested"})
    return {
        "stats": [
            Stat(label="unsent", number=f"{found.count:,}", url=url),
            Stat(
                label="oldest has waited",
                number=wording.age(found.oldest) if found.count else "–",
                tone=_age(found.oldest),
            ),
        ],
    }


def _audit(seen: Snapshot) -> dict[str, Any]:
    found = seen.audit.value
    assert found is not None
    sound = found.has_head and not found.findings
    return {
        "stats": [
            Stat(
                label="chain",
                number="sound" if sound else "broken",
                tone="good" if sound else "bad",
                url=reverse("admin:audit_verification_changelist"),
                permission="audit.view_verification",
            ),
            Stat(label="on their way", number=f"{found.waiting:,}", tone=_age(found.lag)),
        ],
    }


def _backtests(seen: Snapshot) -> dict[str, Any]:
    assert seen.backlogs.value is not None
    found = seen.backlogs.value
    return {
        "stats": [
            Stat(label="under way", number=f"{found.active('backtests.run'):,}"),
            Stat(label="waiting for candles", number=f"{found.active('backtests.await_candles'):,}"),
            Stat(
                label="parts of sweeps",
                number=f"{found.active('backtests.sweep_chunk', 'backtests.sweep_finish'):,}",
                url=reverse("admin:backtests_sweep_changelist"),
                permission="backtests.view_sweep",
            ),
        ],
    }


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
    _area("runs", "Runs", f"tasks_taskrun_{_LIST}", "tasks.view_taskrun", _runs, "pace"),
    _area("queues", "Queues", "tasks_taskrun_queues", "tasks.view_taskrun", _queues, "backlogs"),
    _Area(
        name="dead",
        title="Dead runs",
        route=_BOARD,
        query={"state": "dead"},
        permission="tasks.view_taskrun",
        fill=_dead,
        parts=("backlogs", "failures"),
    ),
    _area("processes", "Processes", f"tasks_process_{_LIST}", "tasks.view_process", _processes, "processes"),
    _area(
        "trading",
        "Trading workers",
        "liveness_workersession_now",
        "liveness.view_workersession",
        _trading,
        "trading",
    ),
    _area(
        "ingestion",
        "Candles",
        f"candles_instrument_{_LIST}",
        "candles.view_instrument",
        _ingestion,
        "following",
    ),
    _area("orders", "Orders", f"orders_order_{_LIST}", "orders.view_order", _orders, "orders"),
    _area(
        "webhooks",
        "Webhooks",
        f"webhooks_delivery_{_LIST}",
        "webhooks.view_delivery",
        _webhooks,
        "deliveries",
    ),
    _area(
        "denials",
        "Rate limits",
        f"ratelimits_policychange_{_LIST}",
        "ratelimits.view_policychange",
        _denials,
        "denials",
    ),
    _area(
        "backtests",
        "Backtests",
        f"backtests_backtest_{_LIST}",
        "backtests.view_backtest",
        _backtests,
        "backlogs",
    ),
    _area("emails", "E-mail", f"notifications_email_{_LIST}", "notifications.view_email", _emails, "unsent"),
    _area("audit", "Audit", f"audit_entry_{_LIST}", "audit.view_entry", _audit, "audit"),
)
