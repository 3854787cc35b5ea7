"""Changes to runs by those who operate them. Each is one statement: row and event, or neither."""

from __future__ import annotations

import uuid
from datetime import datetime

from apps.core import context
from apps.tasks.models import TaskRun
from apps.tasks.operations import MISSING, Outcome, operate
from apps.tasks.states import Operation, State


class WrongState(Exception):
    """The run is not in a state in which this can be done to it."""


def cancel(*, run_id: uuid.UUID | str, actor: str = "") -> State:
    """Cancel a run: for good where it has not started, on its next progress report where it runs.

    Returns the state it is left in. Raises `WrongState` when it has ended, and `TaskRun.DoesNotExist`.
    """
    run_id = _uuid(run_id)
    outcome = _operate(Operation.CANCEL, run_id, actor)
    if run_id in outcome.refused and TaskRun.objects.filter(pk=run_id, state=State.RUNNING).exists():
        return State.RUNNING
    return _done(outcome, run_id)


def redrive(*, run_id: uuid.UUID | str, actor: str = "") -> None:
    """Send a dead or cancelled run on its way again, in the same stream, with fresh attempts.

    Raises `WrongState` when it has not ended or has succeeded, or when another run has taken its
    unique key; and `TaskRun.DoesNotExist`.
    """
    _done(_operate(Operation.REDRIVE, _uuid(run_id), actor), _uuid(run_id))


def retry_now(*, run_id: uuid.UUID | str, actor: str = "") -> None:
    """Let a scheduled run that waits for a later time be due now.

    Raises `WrongState` when it is due already or not scheduled, and `TaskRun.DoesNotExist`.
    """
    _done(_operate(Operation.RETRY, _uuid(run_id), actor), _uuid(run_id))


def reschedule(*, run_id: uuid.UUID | str, run_at: datetime, actor: str = "") -> None:
    """Let a run that has not started be due at the aware time *run_at*, which may be past.

    Raises `WrongState` when it has started, and `TaskRun.DoesNotExist`.
    """
    if run_at.utcoffset() is None:
        raise TypeError(f"run_at must be an aware time, {run_at!r} is not")
    _done(_operate(Operation.RESCHEDULE, _uuid(run_id), actor, run_at), _uuid(run_id))


def _uuid(run_id: uuid.UUID | str) -> uuid.UUID:
    return run_id if isinstance(run_id, uuid.UUID) else uuid.UUID(run_id)


def _operate(operation: Operation, run_id: uuid.UUID, actor: str, run_at: datetime | None = None) -> Outcome:
    with context.bind(**({"actor": actor} if actor else {})):
        return operate(operation=operation, run_ids=[run_id], run_at=run_at)


def _done(outcome: Outcome, run_id: uuid.UUID) -> State:
    reason = outcome.refused.get(run_id)
    if reason == MISSING:
        raise TaskRun.DoesNotExist(f"there is no run {run_id}")
    if reason is not None:
        raise WrongState(f"run {run_id} {reason}")
    return outcome.done[run_id]
