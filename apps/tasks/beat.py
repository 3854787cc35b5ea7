"""Celery beat with ticks that are unique, so that two beats do no harm."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab
from celery.schedules import schedule as interval
from django.db import close_old_connections

from apps.core import context
from apps.core.ids import uuid7_of

logger = logging.getLogger(__name__)


def tick_of(entry: ScheduleEntry, now: datetime) -> datetime:
    """The scheduled time that *now* belongs to: the same in every beat that serves the entry.

    Intervals count from the Unix epoch, crontab entries from the full minute.
    """
    seconds = 60.0
    if isinstance(entry.schedule, interval) and not isinstance(entry.schedule, crontab):
        seconds = entry.schedule.run_every.total_seconds()  # type: ignore[attr-defined]
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, tz=UTC)


class DurableScheduler(Scheduler):
    """Requests a durable run for every tick; the run's id follows from entry and scheduled time.

    A second beat that serves the same tick finds the run there already. Nothing is kept in a file:
    the run of the last tick is the record of it.
    """

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Request the entry's run for the present tick."""
        close_old_connections()
        tick = tick_of(entry, datetime.now(UTC))
        if advance:
            self.reserve(entry)
        task = self.app.tasks[str(entry.task)]
        with context.bind(actor=f"beat:{entry.name}"):
            return task.apply_async(
                entry.args,
                entry.kwargs,
                task_id=str(uuid7_of(tick, f"beat:{entry.name}")),
                **(entry.options or {}),
            )
