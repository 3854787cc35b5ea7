"""The platform's own tasks."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery import shared_task
from django.db.models.functions import Now

from apps.core import idempotency
from apps.liveness import reconciling
from apps.tasks import batches, canvas, tally
from apps.tasks.bulk import perform
from apps.tasks.models import BulkOperation, RateHit
from apps.tasks.run import current_run
from apps.tasks.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(base=DurableTask, name="tasks.reconcile_orphans", max_attempts=1, atomic=False)
def reconcile_orphans() -> dict[str, Any]:
    """Settle orphans, complete batches that nobody completed, forget old starts; run by beat."""
    scan = reconciling.reconcile_orphans()
    for one in scan.populations:
        for orphan in one.orphans:
            logger.warning("%s: %s %s", one.name, orphan.kind.value, orphan.member)
        if one.refused:
            logger.warning("%s were left alone: %s", one.name, one.refused)
    # What rate keys spent so long ago that it counts no more.
    RateHit.objects.filter(expires_at__lt=Now()).delete()
    return {
        "members": scan.members,
        "found": scan.found,
        "acted": scan.acted,
        "batches": _complete_batches(),
    }


def _complete_batches() -> int:
    """What workers left that died between the end of a batch's last run and the look at the batch."""
    total = 0
    while completed := batches.complete_due():
        total += completed
    return total


@shared_task(base=DurableTask, name=canvas.DISPATCH)
def dispatch(signature: dict[str, Any], args: list[Any], options: dict[str, Any]) -> None:
    """Start a step of a canvas that holds tasks which are not durable; Celery sends their messages."""
    canvas.send(signature, args, options)


@shared_task(base=DurableTask, name="tasks.bulk", atomic=False)
def bulk_operation(*, bulk_id: str) -> dict[str, Any]:
    """Do an operation to many runs; stopped, it goes on where it was."""
    run = current_run()

    def report(bulk: BulkOperation) -> None:
        if bulk.finished_at is None:
            run.progress(bulk.dealt_with, bulk.bound, f"{bulk.done} done, {bulk.refused} refused")

    bulk = perform(uuid.UUID(bulk_id), report)
    return {"done": bulk.done, "refused": bulk.refused, "reasons": bulk.reasons, "more": bulk.more}


@shared_task(base=DurableTask, name="tasks.tally", max_attempts=1, atomic=False)
def tally_events() -> dict[str, int]:
    """Count what happened to runs, and forget old counts; run by beat, so that readers find little to do."""
    return {"counted": tally.catch_up(seconds=30), "forgotten": tally.forget_old()}


@shared_task(base=DurableTask, name="tasks.prune_answers", max_attempts=3, atomic=False)
def prune_answers() -> dict[str, int]:
    """Delete answers that nobody is given again any more; run by beat."""
    return {"deleted": idempotency.prune()}
