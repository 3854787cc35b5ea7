"""What is on each card of the dashboard: fields of `Card`, of those parts that it cannot do without."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from apps.candles import conf as candles_conf
from apps.candles.following import Following
from apps.operations.drawing import bars, pieces
from apps.operations.figures import Line, QueueLine, Stat
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


def _age(seconds: float | None) -> str:
    return "" if seconds is None or seconds < _SLOW else "late" if seconds < _STUCK else "bad"


def _tone(number: int, tone: str) -> str:
    return tone if number else ""


def runs(seen: Snapshot) -> dict[str, Any]:
    """What happened in the last hour."""
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


def queues(seen: Snapshot) -> dict[str, Any]:
    """What waits and runs on each, and what SQS has of it."""
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


def dead(seen: Snapshot) -> dict[str, Any]:
    """What was given up, and of what."""
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


def processes(seen: Snapshot) -> dict[str, Any]:
    """Who works."""
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


def trading(seen: Snapshot) -> dict[str, Any]:
    """Workers that trade for users."""
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


def ingestion(seen: Snapshot) -> dict[str, Any]:
    """How far behind instruments are that are followed."""
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


def denials(seen: Snapshot) -> dict[str, Any]:
    """Who was denied in the last hour."""
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


def orders(seen: Snapshot) -> dict[str, Any]:
    """Those that have not ended, or are not verified."""
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


def webhooks(seen: Snapshot) -> dict[str, Any]:
    """What became of deliveries."""
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


def emails(seen: Snapshot) -> dict[str, Any]:
    """What is still to be sent."""
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


def audit(seen: Snapshot) -> dict[str, Any]:
    """Whether its chain is sound."""
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


def backtests(seen: Snapshot) -> dict[str, Any]:
    """Those that are computed now."""
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
