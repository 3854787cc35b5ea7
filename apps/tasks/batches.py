"""Batches: runs asked for together, progress as one, and a callback when they have ended.

A batch is completed by whoever commits the end of its last run: after each commit of an end, one
statement looks whether all have ended, and the completion is conditional, so that it and its callback
happen once however many look at the same moment. No row is shared by the runs on their way. What a worker
leaves that dies between the commit and the look is completed by ``tasks.reconcile_orphans``.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from celery import current_app
from celery.canvas import Signature
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Count, QuerySet

from apps.core import context
from apps.core.database import execute
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.tasks import canvas, requests
from apps.tasks.batchstates import CompletesWhen
from apps.tasks.models import Batch, TaskRun
from apps.tasks.newrun import NewRun
from apps.tasks.operations import operate
from apps.tasks.states import ACTIVE, ENDED, Operation, State
from apps.tasks.task import DurableTask

logger = logging.getLogger(__name__)

#: How many failed runs a batch's progress names.
_FAILED_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a batch is."""

    total: int
    #: Runs by state; every state is there.
    counts: dict[str, int]
    #: The first of the runs that are dead or cancelled, by their place in the batch.
    failed_runs: list[TaskRun]

    @property
    def done(self) -> int:
        """How many runs have ended, whatever happened."""
        return sum(self.counts[state] for state in ENDED)

    @property
    def failed(self) -> int:
        """How many ended without success."""
        return self.counts[State.DEAD] + self.counts[State.CANCELLED]


def batch_request(
    runs: Iterable[NewRun | Signature[Any]],
    *,
    description: str = "",
    callback: Signature[Any] | None = None,
    when: CompletesWhen | str = CompletesWhen.ENDED,
) -> Batch:
    """Request runs together, in the caller's transaction and in one statement; in the order given.

    *runs* are signatures of durable tasks (with options that `DurableTask.new_run` takes, links included), or
    what `new_run` returns. The *callback*, any signature, is requested once: when all runs have *ended*,
    whatever happened to them, or when all have *succeeded*, which may be after redrives. Its first arguments,
    unless it is immutable, are the batch's id and the number of runs by state, with their ``total``.

    Raises `TypeError` for signatures that are not of one durable task each, and `ValueError` for runs that
    cannot be members: with a unique key, of another batch, or requested before.
    """
    when = CompletesWhen(when)
    batch_id = uuid7()
    members = [_member(run, batch_id, index) for index, run in enumerate(runs)]
    with transaction.atomic():
        _create(batch_id, description, len(members), when, callback)
        asked = requests.request_many(members)
        if not all(requested.created for requested in asked):
            raise ValueError("a run of that id exists already and cannot become a member of a batch")
        if not members:
            check_after_commit(batch_id)
    return Batch.objects.get(pk=batch_id)


def chord_record(*, batch_id: uuid.UUID, members: list[Any], body: Signature[Any]) -> None:
    """Record a chord, whose header is about to be requested.

    *members* are the ids of its runs, nested as their results are to be. Recording it again does nothing.
    """
    total = len(list(_leaves(members)))
    _create(batch_id, "chord", total, CompletesWhen.SUCCEEDED, body, members=members)


def batch_progress(batch_id: uuid.UUID | str) -> Progress:
    """How far a batch is. Raises `Batch.DoesNotExist`."""
    total = Batch.objects.values_list("total", flat=True).get(pk=batch_id)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM tasks_taskrun WHERE batch_id = %s GROUP BY state", [batch_id]
        )
        counts = {**dict.fromkeys(State.values, 0), **dict(cursor.fetchall())}
    failed = batch_runs(batch_id).filter(state__in=(State.DEAD, State.CANCELLED))
    return Progress(total=total, counts=counts, failed_runs=list(failed[:_FAILED_SHOWN]))


def batches_progress(batch_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[int, int, int]]:
    """Of each of these batches: how many runs, how many have ended, how many of them without success."""
    counted = dict.fromkeys(State.values, 0)
    found = {
        pk: (total, dict(counted))
        for pk, total in Batch.objects.filter(pk__in=list(batch_ids)).values_list("pk", "total")
    }
    rows = TaskRun.objects.filter(batch_id__in=found).order_by().values_list("batch_id", "state")
    for batch_id, state, number in rows.annotate(number=Count("pk")):
        found[batch_id][1][state] = number
    return {
        pk: (total, sum(counts[state] for state in ENDED), counts[State.DEAD] + counts[State.CANCELLED])
        for pk, (total, counts) in found.items()
    }


def batch_runs(batch_id: uuid.UUID | str) -> QuerySet[TaskRun]:
    """The runs of a batch, in order. One that ends a chain in a chord exists once the chain is there."""
    return TaskRun.objects.filter(batch_id=batch_id).order_by("batch_index", "seq")


def batch_cancel(*, batch_id: uuid.UUID | str, actor: str = "") -> int:
    """Cancel the runs of a batch that have not ended, and return how many those were.

    Those that run end on their next progress report. The batch then goes on by its own rule: one that waits
    for the success of all is incomplete until they are redriven. Raises `Batch.DoesNotExist`.
    """
    Batch.objects.values("pk").get(pk=batch_id)
    active = list(batch_runs(batch_id).filter(state__in=ACTIVE).values_list("pk", flat=True))
    with context.bind(**({"actor": actor} if actor else {})):
        return len(operate(operation=Operation.CANCEL, run_ids=active).done)


def check_after_commit(batch_id: uuid.UUID) -> None:
    """Complete the batch if its runs have ended, once the caller's transaction has committed.

    An error is logged: what has been committed stands, and the batch is completed later.
    """

    def look() -> None:
        check(batch_id)

    transaction.on_commit(look, robust=True)


def check(batch_id: uuid.UUID) -> bool:
    """Complete a batch if its runs have ended as it waits for. Returns whether this call did it."""
    return any(_complete(due) for due in _due(batch_id=batch_id))


def complete_due(*, limit: int = 200) -> int:
    """Complete batches whose runs have ended and that nobody completed; returns how many."""
    return sum(_complete(due) for due in _due(limit=limit))


def incomplete(*, batch_id: uuid.UUID, reason: str) -> None:
    """A run without which a batch cannot succeed is dead or cancelled.

    The first time, the error callbacks of a chord's body are requested, and chords that wait for the body
    are incomplete too. Batches that wait only for ends are not touched.
    """
    callback = _note_incomplete(batch_id, reason, failed_run=True)
    if callback is None:
        return
    request = {
        "id": callback["options"].get("task_id", ""),
        **{name: callback[name] for name in ("task", "args", "kwargs")},
    }
    error = {"type": "ChordError", "message": f"Dependency failed: {reason}", "trace": ""}
    canvas.start_errbacks(canvas.errbacks_of(callback), request=request, error=error)
    for outer in canvas.chords_of([callback]):
        if outer != str(batch_id):
            incomplete(batch_id=uuid.UUID(outer), reason=reason)


def _member(run: NewRun | Signature[Any], batch_id: uuid.UUID, index: int) -> NewRun:
    if isinstance(run, Signature):
        run = _run_of(run)
    if run.unique is not None or run.batch_id is not None:
        raise ValueError(f"{run.task}: a member of a batch has no unique key and is in no other batch")
    return replace(run, batch_id=batch_id, batch_index=index)


def _run_of(signature: Signature[Any]) -> NewRun:
    task = current_app.tasks.get(signature["task"])
    if signature.subtask_type or not isinstance(task, DurableTask):
        raise TypeError(f"{signature!r} is not the signature of one durable task")
    options = dict(signature.options)
    links = {name: options.pop(name, None) for name in ("chain", "link", "link_error")}
    options["continuation"] = canvas.continuation(**links)
    if "task_id" in options:
        options["id"] = uuid.UUID(options.pop("task_id"))
    if "eta" in options:
        options["run_at"] = options.pop("eta")
    return task.new_run(signature.args, signature.kwargs, **options)


def _create(
    batch_id: uuid.UUID,
    description: str,
    total: int,
    when: CompletesWhen,
    callback: Signature[Any] | None,
    members: list[Any] | None = None,
) -> None:
    packed = canvas.pack(callback) if callback is not None else None
    if packed is not None:
        canvas.check(packed)
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "batch_create.sql"),
            {
                "id": batch_id,
                "description": description,
                "total": total,
                "completes_when": when.value,
                "callback": json.dumps(packed) if packed is not None else None,
                "members": json.dumps(members) if members is not None else None,
                "meta": _meta(),
            },
        )


def _due(*, batch_id: uuid.UUID | None = None, limit: int = 1) -> list[uuid.UUID]:
    rows = execute(sql(__package__, "batch_due.sql"), {"id": batch_id, "limit": limit}).fetchall()
    return [row[0] for row in rows]


def _complete(batch_id: uuid.UUID) -> bool:
    """Complete a batch and request its callback: both or neither, and once."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(sql(__package__, "batch_complete.sql"), {"id": batch_id, "meta": _meta()})
                row = cursor.fetchone()
            if row is None:
                return False
            counts, callback, members, meta = map(canvas.from_database, row)
            if callback is not None:
                with _because_of(batch_id, meta):
                    canvas.start(callback, _arguments(batch_id, counts, members))
    except TypeError as exc:
        logger.error("the callback of batch %s cannot be requested: %s", batch_id, exc)
        _note_incomplete(batch_id, f"the callback cannot be requested: {exc}", failed_run=False)
        return False
    return True


def _arguments(batch_id: uuid.UUID, counts: dict[str, int], members: list[Any] | None) -> list[Any]:
    if members is None:
        none = dict.fromkeys((state.value for state in ENDED), 0)
        return [str(batch_id), {**none, **counts, "total": sum(counts.values())}]
    results = {str(pk): result for pk, result in batch_runs(batch_id).values_list("pk", "result")}
    return [_gathered(members, results)]


def _gathered(members: list[Any], results: dict[str, Any]) -> list[Any]:
    return [_gathered(part, results) if isinstance(part, list) else results[part] for part in members]


def _leaves(members: Sequence[Any]) -> Iterable[str]:
    for part in members:
        if isinstance(part, list):
            yield from _leaves(part)
        else:
            yield part


def _note_incomplete(batch_id: uuid.UUID, reason: str, *, failed_run: bool) -> dict[str, Any] | None:
    """Returns the callback that cannot be requested, where there is one and nobody had noted it before."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "batch_incomplete.sql"),
            {"id": batch_id, "reason": reason, "failed_run": failed_run, "meta": _meta()},
        )
        row = cursor.fetchone()
    callback: dict[str, Any] | None = canvas.from_database(row[0]) if row else None
    return callback


def _because_of(batch_id: uuid.UUID, meta: dict[str, str]) -> Any:
    correlation = meta.get("correlation_id") or str(batch_id)
    return context.bind(causation_id=f"batch:{batch_id}", correlation_id=correlation, request_id="")


def _meta() -> str:
    return json.dumps(context.current().as_meta(), cls=DjangoJSONEncoder)
