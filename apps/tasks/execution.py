"""One attempt of one run: claim, handler, end."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from prometheus_client import Histogram

from apps.core import context, logs, redaction, tracing
from apps.core.instruments import Instrument
from apps.tasks import claims
from apps.tasks.backoff import Backoff
from apps.tasks.errors import Cancelled, Fenced, PermanentError
from apps.tasks.handover import hand_over
from apps.tasks.run import Run, running
from apps.tasks.states import State

if TYPE_CHECKING:
    from apps.tasks.task import DurableTask

logger = logging.getLogger(__name__)

ATTEMPTS = Instrument(
    Histogram,
    "chandlery_worker_attempt_duration_seconds",
    "From the claim of a run to the end of the attempt",
    "task",
    "outcome",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)

#: Characters of an error that are logged.
_ERROR_LIMIT = 500
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

    @property
    def name(self) -> str:
        """In one word: succeeded, failed (and scheduled again), dead, cancelled, or lost (to another)."""
        if self.state is None:
            return "lost"
        return "failed" if self.state is State.SCHEDULED else self.state.value


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
    with (
        context.bind(
            actor=f"task:{claimed.task}",
            worker=worker,
            correlation_id=correlation,
            causation_id=str(run_id),
            request_id="",
            attempt=str(claimed.attempt),
        ),
        tracing.span(
            claimed.task,
            kind="CONSUMER",
            parent=claimed.meta.get("traceparent", ""),
            messaging__destination__name=claimed.queue,
            messaging__message__id=str(run_id),
        ) as span,
    ):
        logger.debug("attempt started", extra=logs.fields(queue=claimed.queue))
        begun = time.perf_counter()
        name, error = "interrupted", None
        try:
            outcome = _attempt(claimed, task)
            name, error = outcome.name, outcome.error
        finally:
            if error is not None:
                span.fail(error)
            _tell(claimed, name, error, time.perf_counter() - begun)
    return outcome


def _attempt(claimed: claims.Claim, task: DurableTask) -> Outcome:
    run = Run(claimed)
    with running(run):
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


def _tell(claimed: claims.Claim, outcome: str, error: Exception | None, seconds: float) -> None:
    """What became of the attempt. Of an error that will be tried again, its trace stays with the run."""
    ATTEMPTS.of(claimed.task, outcome).observe(seconds)
    dead = outcome == State.DEAD.value
    logger.log(
        logging.ERROR if dead else logging.INFO if error is None else logging.WARNING,
        "attempt ended",
        exc_info=error if dead else None,
        extra=logs.fields(
            queue=claimed.queue,
            outcome=outcome,
            error=None
            if error is None
            else redaction.text(f"{type(error).__name__}: {error}")[:_ERROR_LIMIT],
            duration_ms=round(seconds * 1000, 1),
            wait_ms=round(claimed.waited * 1000, 1),
        ),
    )


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
