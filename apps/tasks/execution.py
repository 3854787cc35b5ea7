"""One attempt of one run: claim, handler, end."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from apps.core import context
from apps.tasks import claims
from apps.tasks.backoff import Backoff
from apps.tasks.errors import Cancelled, Fenced, PermanentError
from apps.tasks.handover import hand_over
from apps.tasks.run import Run, running
from apps.tasks.states import State

if TYPE_CHECKING:
    from apps.tasks.task import DurableTask

logger = logging.getLogger(__name__)

#: The longest wait that an exception's retry_after can ask for (seconds).
_RETRY_AFTER_LIMIT = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended. Without a state nothing was done, or the run was not ours any more."""

    state: State | None = None
    result: Any = None
    error: Exception | None = None
    #: Seconds until the next attempt is due, where there is one.
    delay: float = 0.0


def attempt(*, run_id: uuid.UUID, worker: str, task: DurableTask) -> Outcome:
    """Claim the run and execute *task*'s handler with its arguments.

    1. The claim is committed on its own. Without it, nothing happens.
    2. An *atomic* handler runs in one transaction with the event that says it succeeded.
    3. A handler that raised is rolled back, and the failure recorded in a transaction of its own.
    4. A run whose arguments are of a later version than this worker knows is handed back: in the middle
       of a deployment another worker is new enough.

    Database errors while the end is being recorded are raised: the lease then runs out, and the run
    is reconciled as an orphan.
    """
    with context.bind(worker=worker):
        claimed = claims.claim(run_id=run_id, worker=worker, repeatable=task.repeatable)
    if claimed is None:
        logger.info("run %s: nothing to claim, the message is a duplicate", run_id)
        return Outcome()
    if claimed.args_version > task.args_version:
        versions = f"version {claimed.args_version}, this worker knows {task.args_version}"
        if hand_over(claimed, worker, f"its arguments are of {versions}"):
            return Outcome()
    correlation = claimed.meta.get("correlation_id") or str(run_id)
    run = Run(claimed)
    with (
        context.bind(
            actor=f"task:{claimed.task}",
            worker=worker,
            correlation_id=correlation,
            causation_id=str(run_id),
            request_id="",
        ),
        running(run),
    ):
        try:
            result = _execute(run, claimed, task)
        except Cancelled:
            claims.cancelled(claimed)
            return Outcome(state=State.CANCELLED)
        except Fenced as exc:
            logger.warning("%s; its writes were rolled back", exc)
            return Outcome()
        except Exception as exc:
            return _fail(claimed, exc, claimed.backoff or task.backoff)
    return Outcome(state=State.SUCCEEDED, result=result)


def _execute(run: Run, claimed: claims.Claim, task: DurableTask) -> Any:
    args, kwargs = task.arguments_of(claimed)
    if task.atomic:
        with transaction.atomic():
            result = task.handle(args, kwargs)
            if not run.completed:
                claims.succeed(claimed, result)
        return result
    result = task.handle(args, kwargs)
    if not run.completed:
        claims.succeed(claimed, result)
    return result


def _fail(claimed: claims.Claim, exc: Exception, backoff: Backoff) -> Outcome:
    retry = not isinstance(exc, PermanentError)
    asked = getattr(exc, "retry_after", None)
    delay = (
        backoff.delay(claimed.attempt) if asked is None else min(max(float(asked), 0.0), _RETRY_AFTER_LIMIT)
    )
    state = claims.fail(claimed, exc, retry=retry, delay=delay)
    return Outcome(state=state, error=exc, delay=delay)
