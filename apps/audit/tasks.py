from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery import shared_task

from apps.audit.entries import NewEntry
from apps.tasks import Backoff, DurableTask, MicroBatchedTask

if TYPE_CHECKING:
    from apps.tasks.models import Entry

logger = logging.getLogger(__name__)


@shared_task(
    base=MicroBatchedTask,
    name="audit.write",
    queue="audit",
    batch_size=500,
    linger=0.2,
    max_attempts=20,
    backoff=Backoff(base=1, factor=2, maximum=300),
)
def write_entries(entries: list[Entry]) -> None:
    """Append entries to the chain."""
    from apps.audit import chain

    chain.append([_new(entry) for entry in entries])


def _new(entry: Entry) -> NewEntry:
    """What was put, and the context in which it was; checked when it was put."""
    fields = dict(entry.payload)
    moment = fields.pop("occurred_at", None)
    for name in ("actor", "request_id", "correlation_id"):
        fields.setdefault(name, entry.meta.get(name, ""))
    fields["correlation_id"] = fields["correlation_id"] or fields["request_id"]
    return NewEntry(
        id=entry.pk,
        occurred_at=entry.requested_at if moment is None else datetime.fromisoformat(moment),
        **fields,
    )


@shared_task(base=DurableTask, name="audit.verify", atomic=False, max_attempts=3)
def verify() -> dict[str, Any]:
    """Verify what was appended to the chain since the last time; run by beat."""
    from apps.audit import verifying

    done = verifying.verify_new()
    return {"from": done.first, "through": done.through, "findings": done.findings}
