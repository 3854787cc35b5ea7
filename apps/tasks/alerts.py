"""Dead runs that operators are still to be told of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import QuerySet

from apps.core.resources import sql
from apps.tasks.models import TaskRun


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Runs of one task that died of one reason."""

    task: str
    queue: str
    #: Type and message of the last error, at most 500 characters.
    reason: str
    count: int
    #: When the last of them died, and which that is.
    latest_at: datetime
    latest: uuid.UUID


def pending() -> QuerySet[TaskRun]:
    """The dead runs that operators were not told of."""
    return TaskRun.objects.filter(alert_due=True)


def take() -> list[DeadLetters]:
    """All of these runs, which count as told with the caller's transaction.

    Grouped by task and reason; the task with the most of them first, and its commonest reason.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "take_alerts.sql"))
        rows = cursor.fetchall()
    return [
        DeadLetters(
            task=task,
            queue=queue,
            reason=reason,
            count=count,
            latest_at=latest_at,
            latest=uuid.UUID(str(latest)),
        )
        for task, queue, reason, count, latest_at, latest in rows
    ]


def dismiss(run_ids: Iterable[uuid.UUID] | None = None) -> int:
    """Tell nobody of these runs, or of any that died so far. Returns how many were still to be told of."""
    runs = pending() if run_ids is None else pending().filter(pk__in=list(run_ids))
    return runs.update(alert_due=False)
