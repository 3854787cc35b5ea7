"""What happened how often, and how long it took."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Resolution(models.TextChoices):
    """The span of time that a row counts."""

    MINUTE = "minute", "One minute; kept for two days"
    HOUR = "hour", "One hour; kept for 90 days"
    TOTAL = "total", "All time; never goes down"


class Statistic(models.Model):
    """One row is how many events of one type the runs of one task on one queue had in a span of time.

    For events that end a wait (``task.started``: since the run was due) or an execution
    (``task.succeeded``, ``task.attempt_failed``, ...: since its start) it also holds how long those
    were. Rows are written by the follower ``task_statistics``, and can be made again from events.
    """

    pk = models.CompositePrimaryKey("resolution", "starts_at", "queue", "task", "event")
    resolution = models.TextField(choices=Resolution.choices)
    starts_at = models.DateTimeField(help_text="Of the span; 1970 for all time.")
    queue = models.TextField()
    task = models.TextField()
    event = models.TextField()
    count = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="Sum of the durations.")
    histogram = ArrayField(
        models.BigIntegerField(), help_text="Durations up to each of `durations.BOUNDS`, and above."
    )

    class Meta:
        db_table = "tasks_statistic"

    def __str__(self) -> str:
        return f"{self.event} of {self.task} on {self.queue}: {self.count}"
