"""The population of trading workers: one for each user that has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from apps.core.resources import sql
from apps.liveness import conf, services
from apps.liveness.leases import LeaseSet, Mark
from apps.liveness.leases.leaseset import Holder
from apps.liveness.marks import worker_leases
from apps.liveness.models import WorkerSession
from apps.liveness.populations import Description, Orphan, Outcome, work_of_users
from apps.liveness.states import SessionState

_SLICE = 1000
#: Seconds of silence of a session's row after which a scan writes down when Redis has heard of the worker.
SEEN_EVERY = 60.0


def _user(member: str) -> int | None:
    return int(member) if member.isascii() and member.isdigit() and len(member) < 19 else None


def _array(numbers: Iterable[float | None]) -> str:
    """As PostgreSQL reads it: thousands of numbers are written so in a tenth of the driver's time."""
    return "{" + ",".join(map(str, numbers)) + "}"


class TradingWorkers:
    """Active sessions and their marks. An orphan's session is ended; its user and operators are told."""

    name = "workers"
    title = "Trading workers"
    consequence = (
        "The session ends. Should the worker be alive, its next beat and all of its writes from now on are"
        " refused; another may begin at once."
    )
    lag = 0.0
    held_by = ""

    @property
    def leases(self) -> LeaseSet:
        return worker_leases()

    def holders(self) -> Iterator[Sequence[Holder]]:
        yield from _slices(WorkerSession.objects.filter(state=SessionState.ACTIVE))

    def overdue(self) -> Iterator[Sequence[Holder]]:
        timing = self.leases.timing
        yield from _slices(
            WorkerSession.objects.filter(
                state=SessionState.ACTIVE,
                last_seen_at__lt=Now() - timedelta(seconds=timing.orphan_after),
                started_at__lt=Now() - timedelta(seconds=timing.start_grace),
            )
        )

    def unheard(self) -> Iterator[Sequence[Holder]]:
        unheard = timedelta(seconds=conf.fallback_after())
        yield from _slices(
            WorkerSession.objects.filter(state=SessionState.ACTIVE, last_seen_at__lt=Now() - unheard)
        )

    def current(self, members: Sequence[str]) -> Mapping[str, int]:
        users = [user for user in map(_user, members) if user is not None]
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "current.sql"), {"users": _array(users)})
            return {str(user): token for user, token in cursor.fetchall()}

    def seen(self, marks: Sequence[Mark]) -> None:
        ages = {mark.token: mark.age for mark in marks}
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "unseen.sql"), {"tokens": _array(ages), "every": SEEN_EVERY})
            due = [token for token, silence in cursor.fetchall() if silence - ages[token] > SEEN_EVERY]
            if due:
                parameters: dict[str, Any] = {
                    "tokens": _array(due),
                    "ages": _array(round(ages[token], 3) for token in due),
                }
                cursor.execute(sql(__package__, "seen.sql"), parameters)

    def judge(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        tokens = [one.token for one in orphans if one.token is not None]
        sessions = WorkerSession.objects.filter(token__in=tokens, state=SessionState.ACTIVE)
        return self._outcomes(orphans, {session.token: session for session in sessions})

    def _outcomes(self, orphans: Sequence[Orphan], sessions: Mapping[int, WorkerSession]) -> list[Outcome]:
        now, timing = _now(), self.leases.timing
        outcomes = []
        for orphan in orphans:
            session = None if orphan.token is None else sessions.get(orphan.token)
            if session is None or session.user_id != _user(orphan.member):
                outcomes.append(Outcome.UNKNOWN)
                continue
            heard = session.last_seen_at > now - timedelta(seconds=timing.orphan_after)
            young = session.started_at > now - timedelta(seconds=timing.start_grace)
            outcomes.append(Outcome.ALIVE if heard or young else Outcome.ENDED)
        return outcomes

    @transaction.atomic
    def end(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        seeming = self.judge(orphans)
        tokens = [
            one.token
            for one, outcome in zip(orphans, seeming, strict=True)
            if outcome is Outcome.ENDED and one.token is not None
        ]
        # One that a guarded write holds at this moment, or another ends, is looked at again.
        sessions = WorkerSession.objects.select_for_update(skip_locked=True, no_key=True)
        locked = {one.token: one for one in sessions.filter(token__in=tokens, state=SessionState.ACTIVE)}
        outcomes = [
            Outcome.BUSY
            if before is Outcome.ENDED and now is Outcome.UNKNOWN
            else now
            if before is Outcome.ENDED
            else before
            for before, now in zip(seeming, self._outcomes(orphans, locked), strict=True)
        ]
        for orphan, outcome in zip(orphans, outcomes, strict=True):
            if outcome is Outcome.ENDED and orphan.token is not None:
                services.session_orphaned(
                    session=locked[orphan.token], kind=orphan.kind, silence=orphan.silence
                )
        return outcomes

    def declare_dead(self, member: str, reason: str) -> bool:
        user = _user(member)
        session = WorkerSession.objects.filter(user=user, state=SessionState.ACTIVE).first() if user else None
        return session is not None and services.session_declare_dead(session_id=session.pk, reason=reason)

    def describe(self, members: Sequence[str]) -> Mapping[str, Description]:
        users = [user for user in map(_user, members) if user is not None]
        work = work_of_users(users)
        sessions = WorkerSession.objects.filter(state=SessionState.ACTIVE, user__in=users)
        names = get_user_model()._default_manager.in_bulk(users)
        return {
            str(session.user_id): Description(
                label=names[session.user_id].get_username()
                if session.user_id in names
                else f"user {session.user_id} (deleted)",
                url=reverse("admin:liveness_workersession_change", args=[session.pk]),
                detail=session.worker,
                work=work[session.user_id],
            )
            for session in sessions
        }


def _now() -> datetime:
    """The database's time: it wrote what is compared with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def _slices(sessions: QuerySet[WorkerSession]) -> Iterator[Sequence[Holder]]:
    last = 0
    while part := list(
        sessions.filter(token__gt=last).order_by("token").values_list("user_id", "token")[:_SLICE]
    ):
        yield [(str(user), token) for user, token in part]
        last = part[-1][1]
