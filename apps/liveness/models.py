"""Trading workers' sessions, and what looks for orphans came to."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.core.ids import uuid7
from apps.liveness import states


class WorkerSession(models.Model):
    """One row is one trading worker's work for one user, from its start to its end.

    The stream ``worker:<id>`` explains how it came to be as it is. A user has one active session at most; its
    token, higher than those of all earlier sessions, guards every write of the worker.
    """

    State = states.SessionState

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # What happened outlives the account.
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="worker_sessions",
    )
    token = models.BigIntegerField(unique=True)
    worker = models.TextField(help_text="What the worker calls itself: host and process, or a task's ARN.")
    state = models.TextField(choices=states.SessionState)
    version = models.IntegerField(help_text="The version of the last event of the stream.")
    reason = models.TextField(default="", blank=True, help_text="Of the end.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    # Below: not events, but the upkeep of a session.
    last_seen_at = models.DateTimeField(
        help_text="Written now and then, and while Redis is away with every beat; Redis knows it exactly."
    )
    alert_due = models.BooleanField(
        default=False, help_text="Its user was not told yet that it is an orphan."
    )

    class Meta:
        db_table = "liveness_workersession"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="liveness_workersession_state", condition=Q(state__in=states.SessionState.values)
            ),
            models.UniqueConstraint(
                name="liveness_workersession_active", fields=["user"], condition=Q(state="active")
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="liveness_workersession_user"),
            models.Index(fields=["state", "-id"], name="liveness_workersession_state"),
            models.Index(fields=["id"], name="liveness_workersession_alert", condition=Q(alert_due=True)),
        ]

    def __str__(self) -> str:
        return f"worker {self.worker} of user {self.user_id}"

    @property
    def stream(self) -> str:
        """The event stream of this session."""
        return f"worker:{self.id}"


class Scan(models.Model):
    """One row is one look for orphans in all populations."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)
    duration = models.FloatField(help_text="Seconds.")
    members = models.IntegerField(help_text="Marks and what has none, in all populations.")
    found = models.IntegerField(help_text="Orphans of all kinds.")
    acted = models.IntegerField(help_text="Those of them that this look settled.")
    refused = models.TextField(default="", blank=True, help_text="Why it left a population alone.")
    populations = models.JSONField(
        default=dict, help_text="Of each population: members, found and acted by kind, verdict, some of them."
    )
    alert_due = models.BooleanField(default=False, help_text="Operators were not told of it yet.")

    class Meta:
        db_table = "liveness_scan"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], name="liveness_scan_alert", condition=Q(alert_due=True)),
            models.Index(fields=["-id"], name="liveness_scan_found", condition=Q(found__gt=0)),
        ]

    def __str__(self) -> str:
        return f"scan at {self.at}: {self.found} found"


class OrphanCount(models.Model):
    """One row is how many orphans of one kind were settled in one population, ever."""

    population = models.TextField()
    kind = models.TextField()
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "liveness_orphancount"
        constraints = [
            models.UniqueConstraint(name="liveness_orphancount_unique", fields=["population", "kind"]),
        ]

    def __str__(self) -> str:
        return f"{self.population} {self.kind}: {self.count}"
