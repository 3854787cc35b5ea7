"""One operation on all runs of a selection: first looked at, then done in chunks."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from apps.core import context
from apps.tasks.filters import RunFilter
from apps.tasks.models import BulkOperation, TaskRun
from apps.tasks.operations import operate
from apps.tasks.states import FOUND_IN, Operation, State

#: Runs that are dealt with in one transaction.
CHUNK = 200
#: Operations on more runs than this are done by a durable task.
INLINE = 500
_SAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an operation would be done to, as of now."""

    operation: Operation
    selection: RunFilter
    count: int
    by_state: dict[State, int]
    #: The newest of them.
    sample: list[TaskRun]


def selected(operation: Operation, selection: RunFilter) -> QuerySet[TaskRun]:
    """The runs that *operation* is about.

    A selection that names neither states nor ids is of the runs to which it can be done; named ones
    are all looked at, and refused where it cannot.
    """
    if not (selection.states or selection.ids):
        selection = selection.narrowed(states=tuple(state.value for state in FOUND_IN[operation]))
    return selection.runs()


def preview(*, operation: Operation, selection: RunFilter) -> Preview:
    """Count what *operation* would be done to. Changes nothing."""
    runs = selected(operation, selection)
    counts = dict(runs.order_by("state").values_list("state").annotate(count=Count("pk")))
    return Preview(
        operation=operation,
        selection=selection,
        count=sum(counts.values()),
        by_state={State(state): count for state, count in counts.items()},
        sample=list(runs.defer("args", "kwargs", "result")[:_SAMPLE]),
    )


def order(
    *, operation: Operation, selection: RunFilter, bound: int, run_at: datetime | None = None
) -> BulkOperation:
    """Record that *operation* is to be done to the selection, but to no more than *bound* runs.

    *bound* is what the preview counted: whatever has come to match since is left alone, and said.
    """
    if (run_at is None) is (operation is Operation.RESCHEDULE):
        raise TypeError(f"run_at belongs to {Operation.RESCHEDULE.value}, and only to it")
    return BulkOperation.objects.create(
        operation=operation,
        selection=selection.as_json(),
        run_at=run_at,
        bound=bound,
        actor=context.current().actor,
    )


@transaction.atomic
def advance(bulk_id: uuid.UUID) -> BulkOperation:
    """Deal with the next chunk, the oldest ids first, and return how far it is then.

    What is done and how far it is commit together: each run is dealt with once.
    """
    bulk = BulkOperation.objects.select_for_update().get(pk=bulk_id)
    if bulk.finished_at is not None:
        return bulk
    operation = Operation(bulk.operation)
    rest = selected(operation, RunFilter.from_json(bulk.selection))
    if bulk.run_id is not None:
        # That is this operation itself.
        rest = rest.exclude(pk=bulk.run_id)
    if bulk.after is not None:
        rest = rest.filter(pk__gt=bulk.after)
    ids = rest.order_by("id").values_list("pk", flat=True)
    chunk = list(ids[: min(CHUNK, bulk.bound - bulk.dealt_with)])
    if chunk:
        with context.bind(**({"actor": bulk.actor} if bulk.actor else {})):
            outcome = operate(operation=operation, run_ids=chunk, run_at=bulk.run_at)
        bulk.after = chunk[-1]
        bulk.done += len(outcome.done)
        bulk.refused += len(outcome.refused)
        bulk.reasons = dict(Counter(bulk.reasons) + Counter(outcome.refused.values()))
    if not chunk or bulk.dealt_with >= bulk.bound:
        bulk.more = bulk.after is not None and ids.filter(pk__gt=bulk.after).exists()
        bulk.finished_at = Now()
    bulk.save()
    bulk.refresh_from_db(fields=["finished_at"])
    return bulk


def perform(bulk_id: uuid.UUID, report: Callable[[BulkOperation], Any] = lambda bulk: None) -> BulkOperation:
    """Deal with all of it, from where it stands; *report* is called after each chunk."""
    while True:
        bulk = advance(bulk_id)
        report(bulk)
        if bulk.finished_at is not None:
            return bulk


def submit(
    *, operation: Operation, selection: RunFilter, bound: int, run_at: datetime | None = None
) -> BulkOperation:
    """Do *operation* to the selection: here and now where it is small, in the background where it is not."""
    small = bound <= INLINE
    start = order if small else in_background
    bulk = start(operation=operation, selection=selection, bound=bound, run_at=run_at)
    return perform(bulk.pk) if small else bulk


@transaction.atomic
def in_background(
    *, operation: Operation, selection: RunFilter, bound: int, run_at: datetime | None = None
) -> BulkOperation:
    """Let a durable task do *operation* to the selection: `BulkOperation.run_id` is its run."""
    from apps.tasks.tasks import bulk_operation

    bulk = order(operation=operation, selection=selection, bound=bound, run_at=run_at)
    bulk.run_id = uuid.UUID(bulk_operation.delay(bulk_id=str(bulk.pk)).id)
    bulk.save(update_fields=["run_id"])
    return bulk
