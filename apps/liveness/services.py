"""What happens to trading workers: they start, beat, stop, and are declared dead."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.core.ids import uuid7
from apps.events.records import NewEvent
from apps.events.services import append
from apps.liveness.leases import Beat, Unavailable
from apps.liveness.marks import worker_leases
from apps.liveness.models import WorkerSession
from apps.liveness.populations import Kind
from apps.liveness.states import TRANSITIONS, SessionState

logger = logging.getLogger(__name__)

#: Seconds for which Redis is not asked for beats once it did not answer: each would wait for it.
_SPARED = 2.0
#: By address, until when (monotonic seconds) that is.
_spared_until: dict[str, float] = {}


@transaction.atomic
def session_start(*, user_id: int, worker: str = "") -> WorkerSession:
    """Begin a worker's session: its token is the user's from now on.

    An active session of another worker of the user is over then (`SessionState.REPLACED`), and that worker is
    fenced. The mark in Redis is made after the commit, or with the first beat where Redis is away.
    """
    with connection.cursor() as cursor:
        # Of two starts at once, the later one holds the later token.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"worker:{user_id}"])
        before = WorkerSession.objects.select_for_update(no_key=True).filter(
            user_id=user_id, state=SessionState.ACTIVE
        )
        cursor.execute("SELECT nextval('liveness_worker_token')")
        token = cursor.fetchone()[0]
    for session in before:
        _end(session, "worker.replaced", f"worker {worker or token} of the user began")
    id_ = uuid7()
    event = NewEvent(type="worker.started", data={"user_id": user_id, "token": token, "worker": worker})
    [started] = append(stream=f"worker:{id_}", after=0, events=[event])
    session = WorkerSession.objects.create(
        id=id_,
        user_id=user_id,
        token=token,
        worker=worker,
        state=SessionState.ACTIVE,
        version=1,
        started_at=started.recorded_at,
        last_seen_at=started.recorded_at,
    )
    transaction.on_commit(lambda: _register(user_id, token))
    return session


def session_beat(*, user_id: int, token: int) -> Beat:
    """Say that a worker is alive: `Beat.BEATING`, or `Beat.FENCED`: it is over, stop.

    One statement to Redis. Where Redis is away or does not know the worker, the database says whether the
    session is active, and hears of the beat.
    """
    leases, server = worker_leases(), settings.REDIS_URL
    if time.monotonic() < _spared_until.get(server, 0.0):
        return Beat.BEATING if _heard(user_id, token) else Beat.FENCED
    try:
        if leases.beat(str(user_id), token) is Beat.BEATING:
            return Beat.BEATING
        if not _heard(user_id, token):
            return Beat.FENCED
        return leases.register(str(user_id), token)
    except Unavailable as exc:
        logger.warning("beats go to the database: Redis does not answer: %s", exc)
        _spared_until[server] = time.monotonic() + _SPARED
    return Beat.BEATING if _heard(user_id, token) else Beat.FENCED


def _heard(user_id: int, token: int) -> bool:
    active = WorkerSession.objects.filter(user_id=user_id, token=token, state=SessionState.ACTIVE)
    return active.update(last_seen_at=Now()) == 1


def session_stop(*, user_id: int, token: int, reason: str = "stopped") -> bool:
    """End a worker's session by its own wish. False: it was over already."""
    with transaction.atomic():
        session = _locked(user_id=user_id, token=token)
        if session is None:
            return False
        _end(session, "worker.stopped", reason)
    return True


def session_declare_dead(*, session_id: uuid.UUID, reason: str) -> bool:
    """End a session although its worker may be alive: it is fenced. False: the session was over already."""
    with transaction.atomic():
        session = _locked(pk=session_id)
        if session is None:
            return False
        _end(session, "worker.declared_dead", reason)
    return True


def session_orphaned(*, session: WorkerSession, kind: Kind, silence: timedelta | None) -> None:
    """End a session whose worker was not heard of in time. The row is locked by the caller's transaction.

    *silence* is for how long Redis has not heard of it, where it knows that. The mark is the caller's to
    settle.
    """
    if silence is not None:
        session.last_seen_at = max(session.last_seen_at, timezone.now() - silence)
    quiet = (timezone.now() - session.last_seen_at).total_seconds()
    what = "has not beaten" if kind is Kind.STALE_MARK else "has no mark, and was not heard of"
    session.alert_due = True
    _close(session, "worker.orphaned", f"it {what} for {quiet:.0f} s", kind=kind.value)


def _locked(**which: object) -> WorkerSession | None:
    sessions = WorkerSession.objects.select_for_update(no_key=True)
    return sessions.filter(state=SessionState.ACTIVE, **which).first()


def _end(session: WorkerSession, event: str, reason: str) -> None:
    """End a session that is locked, and take its mark away after the commit."""
    _close(session, event, reason)
    member, token = str(session.user_id), session.token
    transaction.on_commit(lambda: _release(member, token))


def _close(session: WorkerSession, event: str, reason: str, **more: str) -> None:
    data = {"reason": reason, "last_seen_at": session.last_seen_at, **more}
    [ended] = append(stream=session.stream, after=session.version, events=[NewEvent(type=event, data=data)])
    session.state = TRANSITIONS[event][1]
    session.version += 1
    session.reason = reason
    session.ended_at = ended.recorded_at
    session.save(update_fields=["state", "version", "reason", "ended_at", "last_seen_at", "alert_due"])


def _register(user_id: int, token: int) -> None:
    try:
        worker_leases().register(str(user_id), token)
    except Unavailable as exc:
        logger.warning("no mark for user %s's worker yet: %s", user_id, exc)


def _release(member: str, token: int) -> None:
    try:
        worker_leases().release(member, token)
    except Unavailable as exc:
        # A mark without a session: the next look for orphans finds it.
        logger.warning("the mark of user %s's worker stays for now: %s", member, exc)
