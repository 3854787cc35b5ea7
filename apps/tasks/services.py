"""Changes to runs by those who request them. Each is one statement: row and event, or neither."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, connection, transaction

from apps.core import context
from apps.core.resources import sql
from apps.tasks.models import TaskRun
from apps.tasks.states import ACTIVE, State


class WrongState(Exception):
    """The run is not in a state in which this can be done to it."""


def request(
    *,
    run_id: uuid.UUID,
    task: str,
    queue: str,
    args: list[Any],
    kwargs: dict[str, Any],
    max_attempts: int,
    run_at: datetime | None = None,
    countdown: float = 0.0,
    priority: int = 0,
    group_key: str = "",
    unique_key: str | None = None,
) -> uuid.UUID:
    """Request a run, and return its id.

    The request is part of the caller's transaction: rolled back with it, never lost after it. A
    *run_id* that exists, or a *unique_key* whose run has not ended, requests nothing; the id of the
    run that is there is returned.
    """
    parameters: dict[str, Any] = {
        "id": run_id,
        "task": task,
        "queue": queue,
        "args": json.dumps(args),
        "kwargs": json.dumps(kwargs),
        "priority": priority,
        "group_key": group_key,
        "unique_key": unique_key,
        "max_attempts": max_attempts,
        "run_at": run_at,
        "countdown": countdown,
        "meta": json.dumps(context.current().as_meta()),
    }
    # A second round only where the run that held the unique key ended between the two statements.
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "request.sql"), parameters)
            row = cursor.fetchone()
        if row is not None:
            return uuid.UUID(str(row[0]))
        if TaskRun.objects.filter(pk=run_id).exists():
            return run_id
        holder = TaskRun.objects.filter(unique_key=unique_key, state__in=ACTIVE).values_list("pk", flat=True)
        existing = holder.first()
        if existing is not None:
            return existing


def cancel(*, run_id: uuid.UUID | str, actor: str = "") -> State:
    """Cancel a run: for good where it has not started, on its next progress report where it runs.

    Returns the state it is left in. Raises `WrongState` when it has ended, and `TaskRun.DoesNotExist`.
    """
    with _acting(actor), connection.cursor() as cursor:
        cursor.execute(sql(__package__, "cancel.sql"), {"id": run_id, "meta": _meta()})
        row = cursor.fetchone()
    if row is None:
        state = TaskRun.objects.values_list("state", flat=True).get(pk=run_id)
        if state == State.RUNNING:
            return State.RUNNING
        raise WrongState(f"run {run_id} has ended: it is {state}")
    return State(row[0])


def redrive(*, run_id: uuid.UUID | str, actor: str = "") -> None:
    """Send a dead or cancelled run on its way again, in the same stream, with fresh attempts.

    Raises `WrongState` when it has not ended or has succeeded, or when another run has taken its
    unique key; and `TaskRun.DoesNotExist`.
    """
    try:
        with _acting(actor), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql(__package__, "redrive.sql"), {"id": run_id, "meta": _meta()})
            row = cursor.fetchone()
    except IntegrityError:
        raise WrongState(f"another run with the unique key of run {run_id} has not ended") from None
    if row is None:
        state = TaskRun.objects.values_list("state", flat=True).get(pk=run_id)
        raise WrongState(f"only dead and cancelled runs can be redriven: run {run_id} is {state}")


def _acting(actor: str) -> Any:
    return context.bind(**({"actor": actor} if actor else {}))


def _meta() -> str:
    return json.dumps(context.current().as_meta(), cls=DjangoJSONEncoder)
