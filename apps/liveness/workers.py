"""The population of trading workers: one for each user that has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from apps.core.resources import sql
from apps.events.records import NewEvent, NewEvents
from apps.events.services import append_many
from apps.liveness import conf
from apps.liveness.leases import LeaseSet, Mark, Timing
from apps.liveness.leases.leaseset import Holder
from apps.liveness.models import WorkerSession
from apps.liveness.populations import Kind, Orphan, Outcome
from apps.liveness.redis import client, key
from apps.liveness.states import SessionState

_SLICE = 1000
#: Seconds of silence of a session's row after which a scan writes down when Redis has heard of the worker.
_SEEN_EVERY = 60.0


@cache
def _leases(name: str, timing: Timing) -> LeaseSet:
    return LeaseSet(name, timing, client)


def worker_leases() -> LeaseSet:
    """The marks of trading workers: ``worker:all``, whose members are user ids."""
    return _leases(key("worker:all"), conf.workers())


def _user(member: str) -> int | None:
    return int(member) if member.isascii() and member.isdigit() and len(member) < 19 else None


class TradingWorkers:
    """Active sessions and their marks. An orphan's session is ended; its user and operators are told."""

    name = "workers"
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
        active = WorkerSession.objects.filter(state=SessionState.ACTIVE, user__in=users)
        return {str(user): token for user, token in active.values_list("user_id", "token")}

    def seen(self, marks: Sequence[Mark]) -> None:
        tokens = [mark.token for mark in marks]
        ages = [mark.age for mark in marks]
        with connection.cursor() as cursor:
            cursor.execute(
                sql(__package__, "seen.sql"), {"tokens": tokens, "ages": ages, "every": _SEEN_EVERY}
            )

    def judge(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        tokens = [one.token for one in orphans if one.token is not None]
        sessions = WorkerSession.objects.filter(token__in=tokens, state=SessionState.ACTIVE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            now = cursor.fetchone()[0]
        found = {session.token: session for session in sessions}
        return [self._outcome(one, found, now) for one in orphans]

    def _outcome(self, orphan: Orphan, found: Mapping[int, WorkerSession], now: datetime) -> Outcome:
        session = found.get(orphan.token) if orphan.token is not None else None
        if session is None or session.user_id != _user(orphan.member):
            return Outcome.UNKNOWN
        timing = self.leases.timing
        heard = session.last_seen_at > now - timedelta(seconds=timing.orphan_after)
        young = session.started_at > now - timedelta(seconds=timing.start_grace)
        return Outcome.ALIVE if heard or young else Outcome.ENDED

    @transaction.atomic
    def end(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        outcomes = list(self.judge(orphans))
        dead = {one.token: one for one, outcome in zip(orphans, outcomes, strict=True) if outcome is Outcome.ENDED}
        # One that a guarded write holds at this moment, or another ends: it is looked at again.
        locked = {
            session.token: session
            for session in WorkerSession.objects.select_for_update(skip_locked=True, no_key=True).filter(
                token__in=dead, state=SessionState.ACTIVE
            )
        }
        # As it stands now that nobody else can change it.
        now = timezone.now()
        for index, orphan in enumerate(orphans):
            if outcomes[index] is Outcome.ENDED:
                assert orphan.token is not None
                outcomes[index] = self._outcome(orphan, locked, now) if orphan.token in locked else Outcome.BUSY
        ended = [one for one, outcome in zip(orphans, outcomes, strict=True) if outcome is Outcome.ENDED]
        _end(ended, locked)
        return outcomes


def _end(orphans: Sequence[Orphan], sessions: Mapping[int, WorkerSession]) -> None:
    batches = []
    for orphan in orphans:
        assert orphan.token is not None
        session = sessions[orphan.token]
        if orphan.silence is not None:
            # Redis knows it more exactly.
            session.last_seen_at = max(session.last_seen_at, timezone.now() - orphan.silence)
        data = {
            "kind": orphan.kind.value,
            "reason": _reason(orphan, session),
            "last_seen_at": session.last_seen_at,
        }
        event = NewEvent(type="worker.orphaned", data=data)
        batches.append(NewEvents(stream=session.stream, after=session.version, events=(event,)))
    for orphan, [event_] in zip(orphans, append_many(batches), strict=True):
        assert orphan.token is not None
        session = sessions[orphan.token]
        session.state = SessionState.ORPHANED
        session.version += 1
        session.reason = event_.data["reason"]
        session.ended_at = event_.recorded_at
        session.alert_due = True
    WorkerSession.objects.bulk_update(
        [sessions[one.token] for one in orphans if one.token is not None],
        ["state", "version", "reason", "ended_at", "alert_due", "last_seen_at"],
    )


def _reason(orphan: Orphan, session: WorkerSession) -> str:
    silence = (timezone.now() - session.last_seen_at).total_seconds()
    if orphan.kind is Kind.STALE_MARK:
        return f"it has not beaten for {silence:.0f} s"
    return f"it has no mark, and was last heard of {silence:.0f} s ago"


def _slices(sessions) -> Iterator[Sequence[Holder]]:  # type: ignore[no-untyped-def]
    last = 0
    while part := list(
        sessions.filter(token__gt=last).order_by("token").values_list("user_id", "token")[:_SLICE]
    ):
        yield [(str(user), token) for user, token in part]
        last = part[-1][1]
