"""The state of every run: a projection of its events."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.core.ids import uuid7
from apps.tasks import states


class TaskRun(models.Model):
    """One row is one requested execution of a task, through all of its attempts.

    The stream ``task:<id>`` explains how it came to be as it is. Rows are written by the SQL of this
    app in the statement that records the event, never through this model.
    """

    State = states.State

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task = models.TextField(help_text="The registered name of the task.")
    queue = models.TextField(help_text="The logical queue, without prefix.")
    state = models.TextField(choices=states.State)
    version = models.IntegerField(help_text="The version of the last event of the stream.")
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    priority = models.SmallIntegerField(default=0, help_text="Higher is published first.")
    group_key = models.TextField(default="", blank=True, help_text="The SQS message group.")
    unique_key = models.TextField(null=True, blank=True)  # noqa: DJ001 (null: not unique)
    attempt = models.IntegerField(default=0, help_text="Attempts started since the request or redrive.")
    max_attempts = models.IntegerField()
    fence = models.BigIntegerField(default=0, help_text="Counts claims; only the last claimant may finish.")
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Not published before.")
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.TextField(default="", blank=True, help_text="The last claimant.")
    cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    error = models.JSONField(null=True, help_text="Of the last failed attempt: type, message, trace.")
    meta = models.JSONField(default=dict, help_text="The context of the request.")
    # Below: not events, but the upkeep of a run that is under way.
    lease_until = models.DateTimeField(null=True, help_text="The claim holds until then unless renewed.")
    progress = models.JSONField(null=True, help_text="done, total, message; from the handler.")
    dead_letter_due = models.BooleanField(default=False, help_text="Still to be sent to the SQS DLQ.")

    class Meta:
        db_table = "tasks_taskrun"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="tasks_taskrun_state", condition=Q(state__in=states.State.values)),
            models.CheckConstraint(name="tasks_taskrun_attempts", condition=Q(max_attempts__gte=1)),
            models.UniqueConstraint(
                name="tasks_taskrun_unique_key",
                fields=["unique_key"],
                condition=Q(state__in=states.ACTIVE),
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "due_at"],
                name="tasks_taskrun_due",
                condition=Q(state="scheduled"),
            ),
            models.Index(
                fields=["queue", "published_at"], name="tasks_taskrun_queued", condition=Q(state="queued")
            ),
            models.Index(fields=["lease_until"], name="tasks_taskrun_leased", condition=Q(state="running")),
            models.Index(fields=["id"], name="tasks_taskrun_dead_letter", condition=Q(dead_letter_due=True)),
            models.Index(fields=["state", "-id"], name="tasks_taskrun_state_id"),
            models.Index(fields=["task", "-id"], name="tasks_taskrun_task_id"),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def stream(self) -> str:
        """The event stream of this run."""
        return f"task:{self.id}"
