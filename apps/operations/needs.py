"""What needs a person, the worst first, each with where to deal with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.urls import reverse

from apps.candles import conf as candles_conf
from apps.operations.selectors import MOST_DEAD
from apps.operations.snapshot import Snapshot
from apps.orders.states import State as OrderState
from apps.tasks import wording
from apps.tasks.models import Process

BAD, LATE = "bad", "late"
#: Seconds from which on what waits is late: a run, an e-mail, and an entry of the audit.
_RUN_LATE, _EMAIL_LATE, _ENTRY_LATE = 300.0, 600.0, 300.0
_BOARD = "admin:tasks_taskrun_changelist"
_PROCESSES = "admin:tasks_process_changelist"
_NOW = "admin:liveness_workersession_now"
#: What stands still without them.
_WITHOUT = {
    Process.Kind.WORKER: "no run is executed",
    Process.Kind.RELAY: "no run is published",
    Process.Kind.BEAT: "no periodic task is requested",
}


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that needs a person."""

    #: `BAD`, or `LATE` for what may come right by itself.
    tone: str
    text: str
    #: What can be done there.
    deed: str = ""
    url: str = ""
    #: Who may know of it; empty: everybody who sees the dashboard.
    permission: str = ""


def needs(seen: Snapshot) -> list[Need]:
    """Everything that needs somebody, the worst first."""
    found = [one for look in _LOOKS for one in look(seen)]
    return sorted(found, key=lambda need: need.tone != BAD)


def _servers(seen: Snapshot) -> Iterator[Need]:
    for one in seen.servers:
        if not one.answers:
            yield Need(tone=BAD, text=one.reason)


def _processes(seen: Snapshot) -> Iterator[Need]:
    for kind, without in _WITHOUT.items():
        if seen.alive(kind) == 0:
            yield Need(
                tone=BAD,
                text=f"no {kind.value} alive: {without}",
                deed="processes",
                url=reverse(_PROCESSES, query={"kind__exact": kind.value}),
                permission="tasks.view_process",
            )
    for one in seen.processes.value or ():
        if one.troubles:
            yield Need(
                tone=LATE,
                text=f"{one.name}: {one.troubles[0]}",
                deed="processes",
                url=reverse(_PROCESSES, query={"kind__exact": one.name}),
                permission="tasks.view_process",
            )


def _runs(seen: Snapshot) -> Iterator[Need]:
    backlogs = seen.backlogs.value
    if backlogs is not None and backlogs.dead:
        yield Need(
            tone=BAD,
            text=f"{backlogs.dead:,} dead {_plural(backlogs.dead, 'run')}{_of_types(seen, backlogs.dead)}",
            deed="redrive",
            url=reverse(_BOARD, query={"state": "dead"}),
            permission="tasks.view_taskrun",
        )
    if seen.to_review.value:
        count = seen.to_review.value
        yield Need(
            tone=BAD,
            text=f"{count:,} {_plural(count, 'run')} {_plural(count, 'needs', 'need')} review",
            deed="look",
            url=reverse(_BOARD, query={"needs_review": "yes"}),
            permission="tasks.view_taskrun",
        )
    if backlogs is not None and backlogs.oldest is not None and backlogs.oldest > _RUN_LATE:
        yield Need(
            tone=LATE,
            text=f"a run has waited for {wording.age(backlogs.oldest)}",
            deed="queues",
            url=reverse("admin:tasks_taskrun_queues"),
            permission="tasks.view_taskrun",
        )


def _of_types(seen: Snapshot, dead: int) -> str:
    """The most frequent error, where there are so few that it is known of all."""
    types = seen.failures.value.types if seen.failures.value else ()
    return f", most of {types[0][0]}" if types and 1 < dead <= MOST_DEAD and types[0][1] > 1 else ""


def _orders(seen: Snapshot) -> Iterator[Need]:
    found = seen.orders.value or {}
    if OrderState.NEEDS_REVIEW in found:
        count = found[OrderState.NEEDS_REVIEW].count
        yield Need(
            tone=BAD,
            text=f"{count:,} {_plural(count, 'order')} {_plural(count, 'needs', 'need')} review",
            deed="resolve",
            url=reverse("admin:orders_order_changelist", query={"state": OrderState.NEEDS_REVIEW.value}),
            permission="orders.view_order",
        )


def _audit(seen: Snapshot) -> Iterator[Need]:
    health = seen.audit.value
    if health is None:
        return
    looks, entries = "admin:audit_verification_changelist", "admin:audit_entry_changelist"
    if not health.has_head:
        text = "audit chain broken: its end is missing"
        yield Need(tone=BAD, text=text, deed="look", url=reverse(looks), permission="audit.view_verification")
    if health.findings:
        text = f"audit chain broken: {health.findings:,} {_plural(health.findings, 'finding')}"
        yield Need(tone=BAD, text=text, deed="look", url=reverse(looks), permission="audit.view_verification")
    if health.lag > _ENTRY_LATE:
        text = f"an audit entry has waited for {wording.age(health.lag)}"
        yield Need(tone=LATE, text=text, deed="audit", url=reverse(entries), permission="audit.view_entry")


def _liveness(seen: Snapshot) -> Iterator[Need]:
    may = "liveness.view_workersession"
    for name in seen.left_alone.value or ():
        text = f"{name}: most were late at once, so their orphans are not settled"
        yield Need(tone=BAD, text=text, deed="decide", url=reverse(_NOW), permission=may)
    counts = None if seen.trading.value is None else seen.trading.value.counts
    if counts is not None and counts.orphaned:
        text = f"{counts.orphaned:,} trading {_plural(counts.orphaned, 'worker')} not heard of in time"
        yield Need(tone=LATE, text=text, deed="workers", url=reverse(_NOW), permission=may)


def _candles(seen: Snapshot) -> Iterator[Need]:
    bound = candles_conf.stale().total_seconds()
    late = [one for one in seen.following.value or () if one.lag is None or one.lag > bound]
    if late:
        yield Need(
            tone=LATE,
            text=f"{len(late):,} followed {_plural(len(late), 'instrument')} without candles of late",
            deed="instruments",
            url=reverse("admin:candles_instrument_changelist", query={"followed__exact": "1"}),
            permission="candles.view_instrument",
        )


def _emails(seen: Snapshot) -> Iterator[Need]:
    unsent = seen.unsent.value
    if unsent is not None and unsent.oldest > _EMAIL_LATE:
        yield Need(
            tone=LATE,
            text=f"an e-mail has waited for {wording.age(unsent.oldest)}",
            deed="e-mails",
            url=reverse("admin:notifications_email_changelist", query={"state": "requested"}),
            permission="notifications.view_email",
        )


def _plural(count: int, one: str, more: str = "") -> str:
    return one if count == 1 else more or f"{one}s"


_LOOKS: tuple[Callable[[Snapshot], Iterator[Need]], ...] = (
    _servers,
    _processes,
    _runs,
    _orders,
    _audit,
    _liveness,
    _candles,
    _emails,
)
