"""Reading how workers stand."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from apps.events.records import StoredEvent
from apps.events.selectors import read_stream
from apps.liveness import populations
from apps.liveness.leases import Counts, Timing, Unavailable
from apps.liveness.marks import worker_leases
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.populations import Description
from apps.liveness.states import SessionState


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a session stands: alive, stale, orphaned or unmarked while it is active, else its state."""

    condition: str
    #: When its worker was heard of last.
    seen_at: datetime


def sessions(*, user: Any = None) -> QuerySet[WorkerSession]:
    """Sessions, newest first: those of *user*, or all for staff and where no user is given."""
    found = WorkerSession.objects.order_by("-id")
    return found if user is None or user.is_staff else found.filter(user_id=user.pk)


def standings(found: Iterable[WorkerSession]) -> dict[uuid.UUID, Standing]:
    """How sessions stand, in one request to Redis; what Redis does not say is told by the database."""
    listed = list(found)
    active = [one for one in listed if one.state == SessionState.ACTIVE]
    leases = worker_leases()
    now = timezone.now()
    marks: Mapping[int, float] = {}
    try:
        looks = leases.look([(str(one.user_id), one.token) for one in active])
        marks = {
            one.token: mark.age
            for one, (mark, _) in zip(active, looks, strict=True)
            if mark is not None and mark.token == one.token
        }
        unmarked = "unmarked"
    except Unavailable:
        unmarked = ""
    standing = {}
    for one in listed:
        if one.state != SessionState.ACTIVE:
            standing[one.pk] = Standing(condition=one.state, seen_at=one.last_seen_at)
            continue
        silence = (now - one.last_seen_at).total_seconds()
        age = min(marks.get(one.token, silence), silence)
        heard = one.token in marks or not unmarked or silence <= leases.timing.stale_after
        standing[one.pk] = Standing(
            condition=condition(leases.timing, age) if heard else unmarked,
            seen_at=now - timedelta(seconds=age),
        )
    return standing


def condition(timing: Timing, age: float) -> str:
    """alive, stale or orphaned: what so many seconds without a beat mean."""
    if age <= timing.stale_after:
        return "alive"
    return "stale" if age <= timing.orphan_after else "orphaned"


def timeline(session: WorkerSession) -> Sequence[StoredEvent]:
    """What happened to a session, in order."""
    return read_stream(session.stream)


def scans() -> QuerySet[Scan]:
    """Looks for orphans, newest first."""
    return Scan.objects.order_by("-id")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of a population, as people are shown it."""

    member: str
    #: alive, stale, orphaned, or unmarked.
    condition: str
    #: Seconds since the last beat; None: there is no mark.
    age: float | None
    description: Description


@dataclass(frozen=True, kw_only=True)
class Roll:
    """A population now."""

    name: str
    #: None: Redis does not answer.
    counts: Counts | None
    #: The first of them by how long they have not beaten; those without a mark before all.
    members: Sequence[Member]


def rolls(*, limit: int = 50) -> list[Roll]:
    """All populations, with the *limit* members of each that have not beaten for longest."""
    return [_roll(one, limit) for one in populations.everyone()]


def _roll(population: populations.Population, limit: int) -> Roll:
    leases = population.leases
    try:
        counts = leases.counts()
        oldest = leases.stale(limit=limit, seconds=0.0)
        unmarked: list[str] = []
        for part in population.overdue():
            looks = leases.look(part)
            unmarked += [
                holder[0]
                for holder, (mark, claimed) in zip(part, looks, strict=True)
                if mark is None and not claimed
            ]
            if len(unmarked) >= limit:
                break
        ages = {
            mark.member: mark.age for mark, _ in leases.look([(one, 0) for one in oldest]) if mark is not None
        }
    except Unavailable:
        return Roll(name=population.name, counts=None, members=())
    described = population.describe([*unmarked[:limit], *ages])
    unknown = Description(label="", detail="the database does not know it")
    return Roll(
        name=population.name,
        counts=counts,
        members=[
            Member(
                member=member,
                condition=condition(leases.timing, ages[member]) if member in ages else "unmarked",
                age=ages.get(member),
                description=described.get(member, unknown),
            )
            for member in [*unmarked[:limit], *ages][:limit]
        ],
    )
