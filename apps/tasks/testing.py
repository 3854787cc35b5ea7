"""For tests of code that requests runs: execute them here, through the real claims."""

from __future__ import annotations

import uuid

from celery import current_app
from django.db import connection
from django.db.models.functions import Now

from apps.tasks import batches, microbatches
from apps.tasks.execution import attempt
from apps.tasks.models import TaskRun
from apps.tasks.run import reporting_on
from apps.tasks.states import State
from apps.tasks.task import DurableTask


def run_pending(*, limit: int = 1000) -> list[uuid.UUID]:
    """Execute every run that is due, in this process and without SQS, until none is.

    Entries that wait are collected. Runs that those request are executed too, and so is what follows them: the steps of a chain, callbacks,
    the bodies of chords and the callbacks of batches. Returns the ids in the order of execution. Raises
    `RuntimeError` after *limit* attempts, `LookupError` for a task that is not registered.
    """
    with reporting_on(connection):
        return _run_pending(limit)


def _run_pending(limit: int) -> list[uuid.UUID]:
    done: list[uuid.UUID] = []
    while len(done) < limit:
        run = (
            TaskRun.objects.filter(state__in=(State.SCHEDULED, State.QUEUED), due_at__lte=Now())
            .order_by("-priority", "due_at", "pk")
            .first()
        )
        if run is None:
            # In a test's own transaction nothing commits, and batches are completed after commits.
            if batches.complete_due() or microbatches.collect_all():
                continue
            return done
        task = current_app.tasks.get(run.task)
        if not isinstance(task, DurableTask):
            raise LookupError(f"no durable task {run.task!r} is registered")
        attempt(run_id=run.pk, worker="run_pending", task=task)
        done.append(run.pk)
    raise RuntimeError(f"runs are still due after {limit} attempts")
