"""Celery's result backend over the table of runs.

It reads: `AsyncResult` and `GroupResult` of durable tasks tell what the run says. What Celery's worker would
write is dropped, because the run has recorded its end by itself; and so the results of tasks that are not
durable are not kept. It records chords, as batches.
"""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Iterable
from typing import Any

from celery import current_app, states
from celery.backends.base import BaseBackend
from celery.canvas import Signature
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import ResultSet
from django.db import transaction

from apps.tasks import batches, canvas, claims, errors, requests
from apps.tasks.batchstates import BatchState
from apps.tasks.models import Batch, TaskRun
from apps.tasks.newrun import NewRun
from apps.tasks.states import State

#: What Celery calls the state of a run in its first attempt.
_NAMES = {
    State.SCHEDULED: states.PENDING,
    State.QUEUED: states.PENDING,
    State.RUNNING: states.STARTED,
    State.SUCCEEDED: states.SUCCESS,
    State.DEAD: states.FAILURE,
    State.CANCELLED: states.REVOKED,
}
_FIELDS = (
    "task", "args", "kwargs", "queue", "state", "attempt", "worker", "result", "error", "finished_at",
    "continuation",
)  # fmt: skip


class RunResults(BaseBackend):
    """The results of durable tasks."""

    def store_result(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing: the run's end was recorded with the run."""
        return None

    def _forget(self, task_id: str) -> None:
        """Nothing: runs are history, and are archived, not forgotten."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        run = _run(task_id)
        if run is None:
            return _never_requested(task_id)
        state = State(run.state)
        name = _NAMES[state]
        if name == states.PENDING and run.attempt > 0:
            name = states.RETRY
        meta = {
            "task_id": task_id,
            "status": name,
            "result": None,
            "traceback": None,
            "children": [],
            "date_done": run.finished_at,
            "name": run.task,
            "args": run.args,
            "kwargs": run.kwargs,
            "worker": run.worker,
            "retries": max(run.attempt - 1, 0),
            "queue": run.queue,
        }
        if state is State.SUCCEEDED:
            meta |= {"result": run.result, "children": _children(run.continuation)}
        elif state is State.CANCELLED:
            meta["result"] = TaskRevokedError("cancelled")
        elif name in (states.FAILURE, states.RETRY) and run.error:
            meta |= {"result": self._exception(run.error), "traceback": run.error.get("trace") or None}
        return meta

    def task_result_exists(self, task_id: str) -> bool:
        """Whether there is a run of that id, however it stands."""
        return _run(task_id) is not None

    def _exception(self, error: dict[str, str]) -> BaseException:
        """An exception like the recorded one: of its class where that is built in or the platform's own."""
        known = None
        for module in (builtins, errors):
            found = getattr(module, error["type"], None)
            if isinstance(found, type) and issubclass(found, Exception):
                known = module.__name__
        described = {"exc_type": error["type"], "exc_module": known, "exc_message": [error["message"]]}
        return self.exception_to_python(described)

    # Groups and chords -----------------------------------------------------------------------------

    def apply_chord(self, header_result_args: tuple[Any, Any], body: Signature[Any], **kwargs: Any) -> None:
        """Record a chord. Its header is requested by Celery after this; until all of it is, it cannot end."""
        group_id, results = header_result_args
        batches.chord_record(batch_id=uuid.UUID(group_id), members=_ids(results), body=body)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """The end of a task in a chord's header that is not durable: its result is recorded as a run's.

        Durable ones never come here.
        """
        batch_id = uuid.UUID(request.group)
        if state != states.SUCCESS:
            batches.incomplete(batch_id=batch_id, reason=f"{request.task} {request.id} failed: {result!r}")
            return
        run = NewRun(
            id=uuid.UUID(request.id),
            task=request.task,
            queue=current_app.conf.task_default_queue,
            args=list(request.args or ()),
            kwargs=dict(request.kwargs or {}),
            batch_id=batch_id,
            batch_index=request.group_index,
        )
        with transaction.atomic():
            requests.request(run)
            claimed = claims.claim(run_id=run.id, worker=request.hostname or "")
            if claimed is not None:
                claims.succeed(claimed, result)

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        """The results of a chord's header. Other groups are not recorded as such."""
        batch = Batch.objects.filter(pk=group_id, members__isnull=False).first()
        if batch is None:
            return None
        return {"result": current_app.GroupResult(group_id, _results(batch.members or []))}

    def _save_group(self, group_id: str, result: Any) -> Any:
        if not Batch.objects.filter(pk=group_id).exists():
            raise NotImplementedError("groups are not recorded: ask for a batch, or keep the results' ids")
        return result

    def _delete_group(self, group_id: str) -> None:
        """Nothing, as for single results."""


def _run(task_id: str) -> TaskRun | None:
    try:
        return TaskRun.objects.only(*_FIELDS).filter(pk=uuid.UUID(task_id)).first()
    except ValueError:
        return None


def _never_requested(task_id: str) -> dict[str, Any]:
    """There is no such run: it was not come to yet, or is the body of a chord whose header has failed."""
    chord = Batch.objects.filter(state=BatchState.INCOMPLETE, callback__options__task_id=task_id).first()
    return {
        "task_id": task_id,
        "status": states.PENDING if chord is None else states.FAILURE,
        "result": None if chord is None else ChordError(chord.reason),
        "traceback": None,
        "children": [],
    }


def _children(continuation: dict[str, Any] | None) -> list[Any]:
    """The results of what followed a run that has succeeded, as Celery keeps them: as tuples."""
    kept = continuation or {}
    return [
        canvas.signature(step).freeze().as_tuple()
        for step in (*kept.get("link", ()), *kept.get("chain", ())[-1:])
        if step["options"].get("task_id")
    ]


def _ids(results: Iterable[Any]) -> list[Any]:
    return [_ids(result.results or ()) if isinstance(result, ResultSet) else result.id for result in results]


def _results(members: list[Any]) -> list[Any]:
    return [
        current_app.GroupResult(None, _results(part))
        if isinstance(part, list)
        else current_app.AsyncResult(part)
        for part in members
    ]
