"""The platform's own tasks."""

from __future__ import annotations

import logging

from celery import shared_task

from apps.tasks import claims
from apps.tasks.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(base=DurableTask, name="tasks.reconcile_orphans", max_attempts=1)
def reconcile_orphans() -> dict[str, int]:
    """End the leases that ran out; run by beat."""
    orphans: list[claims.Orphan] = []
    while found := claims.reconcile():
        orphans += found
    for orphan in orphans:
        logger.warning(
            "run %s (%s) was orphaned by %s in attempt %d: %s",
            orphan.run_id, orphan.task, orphan.worker, orphan.attempt, orphan.state.value,
        )  # fmt: skip
    return {"orphans": len(orphans)}
