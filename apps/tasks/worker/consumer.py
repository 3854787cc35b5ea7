"""Celery's consumer of messages, which does not leave runs of unknown tasks to chance."""

from __future__ import annotations

import uuid
from typing import Any

from celery.worker.consumer import Consumer

from apps.tasks.worker.agent import current_agent


class DurableConsumer(Consumer):
    """Has an attempt of a run fail that names a task which is not known here."""

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        agent = current_agent()
        try:
            run_id = uuid.UUID(message.headers["id"])
        except (KeyError, ValueError, TypeError, AttributeError):
            super().on_unknown_task(body, message, exc)
            return
        if agent is None:
            super().on_unknown_task(body, message, exc)
        else:
            agent.unknown(message, run_id, str(message.headers.get("task")))
