from __future__ import annotations

from typing import TYPE_CHECKING

from celery import shared_task

from apps.tasks import Backoff, DurableTask, MicroBatchedTask

if TYPE_CHECKING:
    from apps.tasks.models import Entry


@shared_task(
    base=MicroBatchedTask,
    name="webhooks.log_delivery",
    queue="audit",
    batch_size=500,
    linger=0.2,
    max_attempts=20,
    backoff=Backoff(base=1, factor=2, maximum=300),
)
def log_delivery(entries: list[Entry]) -> None:
    """Write deliveries to the log and to the audit."""
    from apps.webhooks import log

    log.deliveries_log(entries)


@shared_task(base=DurableTask, name="webhooks.prune", max_attempts=3, atomic=False)
def prune() -> dict[str, int]:
    """Delete old receipts and deliveries; run by beat."""
    from apps.webhooks import pruning

    pruned = pruning.prune()
    return {"receipts": pruned.receipts, "deliveries": pruned.deliveries}
