"""Settling messages whose runs this worker cannot bring to an end: lost on the way, or not known here."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from apps.tasks import claims
from apps.tasks.errors import UnknownTask
from apps.tasks.handover import hand_over
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.worker.mainloop import MainLoop
from apps.tasks.worker.requests import DurableRequest

logger = logging.getLogger(__name__)

#: Seconds for which the last transaction of a killed process is waited for.
_ROLLBACK_PATIENCE = 5.0
_LOOK_EVERY = 0.05


def settle_lost(request: DurableRequest, reason: str, worker: str, loop: MainLoop) -> None:
    """Record that the process which executed *request* is gone, and settle its message.

    A run that the process had claimed is orphaned, and its message deleted. One that it had not yet is as
    it was, and the message is given back: a message that kills every process goes to the dead-letter
    queue in the end.
    """
    assert request.run_id is not None
    deadline = time.monotonic() + _ROLLBACK_PATIENCE
    while True:
        orphan = claims.orphan(run_id=request.run_id, worker=worker, reason=reason)
        if orphan is not None:
            logger.warning("run %s was orphaned in attempt %d", orphan.run_id, orphan.attempt)
            break
        run = TaskRun.objects.filter(pk=request.run_id).values("state", "worker").first()
        if run is None or run["state"] in (State.SCHEDULED, State.QUEUED):
            loop.reject(request)
            return
        if run["state"] != State.RUNNING or run["worker"] != worker or time.monotonic() > deadline:
            break
        time.sleep(_LOOK_EVERY)
    loop.acknowledge(request)


def settle_unknown(message: Any, run_id: uuid.UUID, task: str, worker: str, loop: MainLoop) -> None:
    """Hand over a run whose task this worker does not know, and settle its message.

    When no worker that knows the task has come in time, the run ends dead. The message of a run that does
    not exist is left to the redrive policy.
    """
    claimed = claims.claim(run_id=run_id, worker=worker)
    if claimed is not None:
        if not hand_over(claimed, worker, f"this worker knows no task {task!r}"):
            error = UnknownTask(f"no worker that knows task {task!r} has come: {worker} does not, either")
            claims.fail(claimed, error, retry=False, delay=0.0)
            logger.error("run %s is dead: %s", run_id, error)
    elif not TaskRun.objects.filter(pk=run_id).exists():
        logger.error("a message names task %r and run %s: neither is known", task, run_id)
        leave(message, loop)
        return
    loop.call(lambda: message.ack_log_error(logger, ()))


def leave(message: Any, loop: MainLoop) -> None:
    """Leave a message to its queue's redrive policy."""
    loop.call(lambda: message.reject_log_error(logger, ()))
