"""What operators do to runs: each operation as one statement over any number of runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, connection, transaction

from apps.core import context
from apps.core.resources import sql
from apps.tasks.models import TaskRun
from apps.tasks.states import Operation, State

_RULES = {
    Operation.REDRIVE: "only dead and cancelled runs can be redriven",
    Operation.RETRY: "only scheduled runs can be made due",
    Operation.RESCHEDULE: "only scheduled and queued runs can be rescheduled",
}
_UNIQUE_KEY_TAKEN = "cannot be redriven: another run with its unique key has not ended"
MISSING = "does not exist"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an operation did to each run that it was asked for."""

    #: The states that runs were left in.
    done: dict[uuid.UUID, State] = field(default_factory=dict)
    #: Why nothing was done to the others, as the end of a sentence about a run.
    refused: dict[uuid.UUID, str] = field(default_factory=dict)


def operate(*, operation: Operation, run_ids: Sequence[uuid.UUID], run_at: datetime | None = None) -> Outcome:
    """Do *operation* to each of the runs that is in a state for it, and say why not for the rest.

    One statement changes the rows and records the events, each by its own condition. *run_at* is when
    runs are to be due that are rescheduled.
    """
    if (run_at is None) is (operation is Operation.RESCHEDULE):
        raise TypeError(f"run_at belongs to {Operation.RESCHEDULE}, and only to it")
    ids = list(dict.fromkeys(run_ids))
    try:
        with transaction.atomic():
            done = _execute(operation, ids, run_at)
        refused = _reasons(operation, [run_id for run_id in ids if run_id not in done])
    except IntegrityError:
        # One of the runs gave its unique key away when it ended. Which one is found out one by one.
        done, refused = {}, {}
        for run_id in ids:
            try:
                with transaction.atomic():
                    one = _execute(operation, [run_id], run_at)
            except IntegrityError:
                refused[run_id] = _UNIQUE_KEY_TAKEN
            else:
                done |= one
                refused |= {} if one else _reasons(operation, [run_id])
    return Outcome(done=done, refused=refused)


def _execute(
    operation: Operation, ids: Sequence[uuid.UUID], run_at: datetime | None
) -> dict[uuid.UUID, State]:
    meta = json.dumps(context.current().as_meta())
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, f"{operation.value}.sql"), {"ids": list(ids), "run_at": run_at, "meta": meta}
        )
        rows = cursor.fetchall()
    done = {uuid.UUID(str(row[0])): State(row[1]) for row in rows}
    if operation is Operation.CANCEL:
        followed = [uuid.UUID(str(row[0])) for row in rows if row[2]]
        _tell_followers([run_id for run_id in followed if done[run_id] is State.CANCELLED])
    return done


def _tell_followers(cancelled: Sequence[uuid.UUID]) -> None:
    """What waits for the success of these runs waits in vain: in the transaction that cancelled them."""
    from apps.tasks import continuations

    continuations.unsuccessful(cancelled)


def _reasons(operation: Operation, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    if not ids:
        return {}
    states = dict(TaskRun.objects.filter(pk__in=ids).values_list("pk", "state"))
    return {run_id: _reason(operation, states.get(run_id)) for run_id in ids}


def _reason(operation: Operation, state: str | None) -> str:
    if state is None:
        return MISSING
    if operation is Operation.CANCEL:
        if state == State.RUNNING:
            return "is being cancelled already"
        return f"has ended: it is {state}"
    if operation is Operation.RETRY and state == State.SCHEDULED:
        return "is due already"
    return f"is {state}: {_RULES[operation]}"
