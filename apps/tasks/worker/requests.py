"""Celery's request of one message, as the worker's main process sees it."""

from __future__ import annotations

import uuid
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request

from apps.tasks.usage import usage

#: The requests that the pool has accepted and that have not ended. Read by the agent's thread too.
in_hand: dict[DurableRequest, None] = {}


def run_ids() -> list[uuid.UUID]:
    """The ids of the runs in hand."""
    return [request.run_id for request in list(in_hand) if request.run_id is not None]


class DurableRequest(Request):
    """A request that tells the agent at once when its process was lost."""

    #: The run does not end with this request.
    goes_on = False

    @property
    def run_id(self) -> uuid.UUID | None:
        """The run's id; None for what cannot be one."""
        try:
            return uuid.UUID(self.id)
        except (ValueError, TypeError, AttributeError):
            return None

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        in_hand[self] = None
        super().on_accepted(pid, time_accepted)

    def acknowledge(self) -> None:
        in_hand.pop(self, None)
        if not self.acknowledged and not self.goes_on:
            usage.count("finished")
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        in_hand.pop(self, None)
        super().reject(requeue=requeue)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        in_hand.pop(self, None)
        super().terminate(pool, signal)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft:
            self._lost(TimeLimitExceeded(timeout))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        exc = exc_info.exception
        if isinstance(exc, ExceptionWithTraceback):
            exc = exc.exc
        if isinstance(exc, WorkerLostError | SystemExit | KeyboardInterrupt):
            if not (self._already_cancelled or self._already_revoked):  # type: ignore[attr-defined]
                worker_state.task_ready(self)
                self._lost(exc)
            return
        self.goes_on = isinstance(exc, Ignore | Retry)
        if isinstance(exc, Reject) and exc.requeue:  # type: ignore[attr-defined]
            from apps.tasks.worker.agent import current_agent

            agent = current_agent()
            if agent is not None:
                agent.database_away()
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _lost(self, exc: BaseException) -> None:
        from apps.tasks.worker.agent import current_agent

        in_hand.pop(self, None)
        agent = current_agent()
        if agent is None or self.run_id is None:
            self.reject(requeue=True)
        else:
            agent.lost(self, f"{type(exc).__name__}: {exc}")
