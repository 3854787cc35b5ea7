"""Turning ticks into runs. Every process may do this at the same time as others.

Only the clock of the database counts: a beat whose own clock is wrong finds the same ticks.
"""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Min, QuerySet
from django.db.models.functions import Now

from apps.core import context
from apps.tasks import conf
from apps.tasks.models import PeriodicTask
from apps.tasks.periodic import misfire, services
from apps.tasks.periodic.misfire import Misfire

logger = logging.getLogger(__name__)

#: Seconds after which an entry that could not be served is tried again, unless it is edited before.
_RETRY_AFTER = 10.0


def served() -> QuerySet[PeriodicTask]:
    """The entries that beat serves."""
    return PeriodicTask.objects.filter(enabled=True, retired_at__isnull=True, look_at__isnull=False)


def serve_due() -> list[uuid.UUID]:
    """Request the runs of all entries whose time has come; returns the ids of the runs.

    Each entry is served in a transaction of its own, so one that cannot be served stops no other: its
    error is logged and kept on its row. Raises database errors only where the connection was lost.
    """
    due = served().filter(look_at__lte=Now()).annotate(now=Now()).order_by("look_at")
    requested = []
    for entry in due:
        try:
            requested += _serve(entry, entry.now)
        except Exception as exc:
            if _connection_lost(exc):
                raise
            _note(entry, exc)
    return requested


def seconds_until_due() -> float | None:
    """How long until an entry's time has come; negative where it has passed, None where there is none."""
    wait = ExpressionWrapper(Min(F("look_at")) - Now(), output_field=DurationField())
    found: timedelta | None = served().aggregate(wait=wait)["wait"]
    return None if found is None else found.total_seconds()


def _serve(entry: PeriodicTask, now: datetime) -> list[uuid.UUID]:
    """Deal with an entry's ticks up to *now*; returns the runs requested for them.

    The conditional update draws the line between two beats: one of them finds the row as it read it,
    and requests in the same transaction; the other finds another last tick, or another revision, and
    does nothing.
    """
    policy = Misfire(entry.misfire)
    plan = misfire.plan(
        entry.schedule,
        since=entry.since,
        now=now,
        policy=policy,
        grace=entry.misfire_grace,
        limit=conf.misfire_limit(),
    )
    with transaction.atomic():
        ours = PeriodicTask.objects.filter(
            pk=entry.pk,
            revision=entry.revision,
            enabled=True,
            retired_at__isnull=True,
            last_tick_at=entry.last_tick_at,
        ).update(
            last_tick_at=plan.last_tick or entry.last_tick_at,
            next_tick_at=plan.next_tick,
            look_at=plan.next_tick,
            left_out=F("left_out") + plan.left_out,
            last_error="" if plan.runs else F("last_error"),
            last_error_at=None if plan.runs else F("last_error_at"),
        )
        if not ours:
            return []
        runs = [_request(entry, tick) for tick in plan.runs]
        if runs:
            PeriodicTask.objects.filter(pk=entry.pk).update(last_run=runs[-1])
    if plan.left_out:
        logger.warning(
            "periodic entry %s: %d ticks up to %s got no run (misfire policy %s, at most %d runs at a time)",
            entry.name, plan.left_out, plan.last_tick, policy.value, conf.misfire_limit(),
        )  # fmt: skip
    return runs


def _connection_lost(exc: Exception) -> bool:
    """Whether the server is away or stopping. Asking the connection is no use: Django has opened another."""
    if not isinstance(exc, OperationalError | InterfaceError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P"))


def _request(entry: PeriodicTask, tick: datetime) -> uuid.UUID:
    with context.bind(actor=f"beat:{entry.name}", scheduled_for=tick.astimezone(UTC).isoformat()):
        run_id = services.request(entry=entry, tick=tick)
    logger.info("periodic entry %s: requested run %s of %s for %s", entry.name, run_id, entry.task, tick)
    return run_id


def _note(entry: PeriodicTask, exc: Exception) -> None:
    """Keep why an entry could not be served, and leave it alone for a while. Its ticks stay outstanding."""
    error = f"{type(exc).__name__}: {exc}"
    if error != entry.last_error:
        logger.error("periodic entry %s cannot be served: %s", entry.name, error, exc_info=exc)
    PeriodicTask.objects.filter(pk=entry.pk, revision=entry.revision).update(
        last_error=error,
        last_error_at=Now(),
        look_at=ExpressionWrapper(Now() + timedelta(seconds=_RETRY_AFTER), output_field=DateTimeField()),
    )
