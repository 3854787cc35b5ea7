"""Durable Celery tasks: the database holds the truth about every run, SQS carries only wake-ups.

@shared_task(base=DurableTask, queue="email", max_attempts=8, backoff=Backoff(base=5, maximum=900))
def send_email(*, message_id: str) -> None: ...

send_email.delay(message_id="...")   # recorded in the caller's transaction, published after it
"""

from __future__ import annotations

from apps.tasks.backoff import Backoff
from apps.tasks.errors import Cancelled, Fenced, PermanentError, RetryLater
from apps.tasks.microbatched import MicroBatchedTask
from apps.tasks.run import current_run
from apps.tasks.task import DurableTask

__all__ = [
    "Backoff",
    "Cancelled",
    "DurableTask",
    "Fenced",
    "MicroBatchedTask",
    "PermanentError",
    "RetryLater",
    "current_run",
]
