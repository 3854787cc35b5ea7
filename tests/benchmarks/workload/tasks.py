from __future__ import annotations

import time

from celery import shared_task

from apps.tasks import DurableTask
from tests.benchmarks.workload.models import Note


@shared_task(base=DurableTask, name="benchmarks.note", queue="default")
def note(batch: str, number: int, sent: float, seconds: float = 0.0) -> None:
    """Leave a row, after some *seconds* of waiting."""
    waited = time.time() - sent
    if seconds:
        time.sleep(seconds)
    Note.objects.create(batch=batch, number=number, waited=waited)
