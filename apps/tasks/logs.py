"""Which of Celery's lines about runs are worth a line."""

from __future__ import annotations

import logging

from celery import current_app


class OtherThanRuns(logging.Filter):
    """Leaves out that a durable task raised an error: the line of its attempt says so, with the trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        from apps.tasks.task import DurableTask

        told = getattr(record, "data", None) or {}
        if told.get("description") not in ("raised unexpected", "raised expected"):
            return True
        return not isinstance(current_app.tasks.get(str(told.get("name"))), DurableTask)
