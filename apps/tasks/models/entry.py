"""Small pieces of work that are done many at a time."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.core.ids import uuid7


class Entry(models.Model):
    """One row is one entry of a micro-batched task that was put and is not written yet.

    Without a run it waits to be collected; with one it is written with that run, and deleted in the same
    transaction. Entries of runs that ended otherwise stay, so that the run can be redriven.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task = models.TextField(help_text="The registered name of the task.")
    payload = models.JSONField(encoder=DjangoJSONEncoder)
    requested_at = models.DateTimeField()
    meta = models.JSONField(default=dict, help_text="The context in which it was put.")
    run_id = models.UUIDField(null=True, blank=True, help_text="The run that is to write it.")

    class Meta:
        db_table = "tasks_entry"
        ordering = ["requested_at", "id"]
        verbose_name_plural = "entries"
        indexes = [
            models.Index(
                fields=["task", "requested_at"],
                name="tasks_entry_waiting",
                condition=Q(run_id__isnull=True),
            ),
            models.Index(fields=["run_id"], name="tasks_entry_run", condition=Q(run_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def actor(self) -> str:
        """Who acted when it was put; empty where that is not known."""
        return str(self.meta.get("actor", ""))

    @property
    def request_id(self) -> str:
        """The HTTP request in which it was put; empty outside of one."""
        return str(self.meta.get("request_id", ""))

    @property
    def correlation_id(self) -> str:
        """The first cause."""
        return str(self.meta.get("correlation_id", ""))
