"""Operations on many runs, and how far they have come."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.core.ids import uuid7
from apps.tasks.states import Operation


class BulkOperation(models.Model):
    """One row is one operation that somebody ordered on all runs of a selection.

    It is done in chunks, each in the transaction that moves `after` on, so nothing is done twice
    whoever goes on with it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation = models.TextField(choices=Operation.choices)
    selection = models.JSONField(encoder=DjangoJSONEncoder, help_text="The filter, as JSON.")
    run_at = models.DateTimeField(null=True, help_text="When rescheduled runs are to be due.")
    bound = models.PositiveIntegerField(help_text="To be done to at most so many runs.")
    actor = models.TextField(blank=True, default="")
    run_id = models.UUIDField(null=True, help_text="The run that does it in the background.")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    after = models.UUIDField(null=True, help_text="Runs up to this id have been dealt with.")
    done = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    reasons = models.JSONField(default=dict, help_text="Why not, and for how many runs.")
    more = models.BooleanField(default=False, help_text="More runs match by now than were to be dealt with.")

    class Meta:
        db_table = "tasks_bulkoperation"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="tasks_bulkoperation_operation", condition=Q(operation__in=Operation.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} of {self.bound} runs"

    @property
    def dealt_with(self) -> int:
        """How many runs it has come to."""
        return self.done + self.refused
