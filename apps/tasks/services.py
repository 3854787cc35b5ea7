"""Changes to runs by those who request them. Each is one statement: row and event, or neither."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, connection, transaction

from apps.core import context
from apps.core.resources import sql
from apps.tasks.models import TaskRun
from apps.tasks.states import State


class WrongState(Exception):
    """The run is not in a state in which this can be done to it."""


def cancel(*, run_id: uuid.UUID | str, actor: str = "") -> State:
    """Cancel a run: for good where it has not started, on its next progress report where it runs.

    Returns the state it is left in. Raises `WrongState` when it has ended, and `TaskRun.DoesNotExist`.
    """
    with _acting(actor), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "cancel.sql"), {"id": run_id, "meta": _meta()})
            row = cursor.fetchone()
        if row is not None and row[0] == State.CANCELLED and row[1]:
            from apps.tasks import continuations

            continuations.unsuccessful([uuid.UUID(str(run_id))])
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
