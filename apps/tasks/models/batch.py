"""Runs that were asked for together: a projection of the batch's events."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.core.ids import uuid7
from apps.tasks import batchstates


class Batch(models.Model):
    """One row is a number of runs asked for together, with what is to happen when they have ended.

    The runs name it in their `batch_id`; how many stand where is counted, not kept. A Celery chord is one
    too: its header are the runs, its body is the callback. Rows are written by the SQL of this app in the
    statement that records the event.
    """

    State = batchstates.BatchState
    CompletesWhen = batchstates.CompletesWhen

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    description = models.TextField(default="", blank=True)
    state = models.TextField(choices=batchstates.BatchState)
    version = models.IntegerField(help_text="The version of the last event of the stream.")
    total = models.IntegerField(help_text="How many runs.")
    completes_when = models.TextField(choices=batchstates.CompletesWhen)
    callback = models.JSONField(null=True, help_text="A Celery signature.")
    members = models.JSONField(null=True, help_text="Ids of a chord's runs, in the order of their results.")
    counts = models.JSONField(null=True, help_text="Runs by state when it was completed.")
    reason = models.TextField(default="", blank=True, help_text="Why it is incomplete.")
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    meta = models.JSONField(default=dict, help_text="The context of the request.")

    class Meta:
        db_table = "tasks_batch"
        ordering = ["-id"]
        verbose_name_plural = "batches"
        constraints = [
            models.CheckConstraint(
                name="tasks_batch_state", condition=Q(state__in=batchstates.BatchState.values)
            ),
            models.CheckConstraint(name="tasks_batch_total", condition=Q(total__gte=0)),
        ]
        indexes = [
            models.Index(fields=["id"], name="tasks_batch_waiting", condition=~Q(state="completed")),
        ]

    def __str__(self) -> str:
        return f"{self.description or 'batch'} {self.id}"

    @property
    def stream(self) -> str:
        """The event stream of this batch."""
        return f"batch:{self.id}"
