"""The processes of the platform, and what they do all together."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.ids import uuid7
from apps.tasks import conf
from apps.tasks.usage import REQUESTS


class Process(models.Model):
    """One row is one process of the platform, from its start to a day after its end.

    It writes the row itself, every few seconds; one that stops writing without having said that it ended
    has vanished.
    """

    class Kind(models.TextChoices):
        """What a process does."""

        WORKER = "worker", "Worker: executes runs"
        RELAY = "relay", "Relay: publishes runs"
        BEAT = "beat", "Beat: requests periodic runs"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.TextField(choices=Kind)
    name = models.TextField(help_text="As runs name their worker: node name and process number.")
    host = models.TextField()
    pid = models.IntegerField()
    version = models.TextField(help_text="Of the code that it runs.")
    queues = models.JSONField(default=list, help_text="The logical queues that it serves.")
    concurrency = models.IntegerField(default=0, help_text="How many runs it executes at a time.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="Of its last report.")
    ended_at = models.DateTimeField(null=True, help_text="Null: it runs, or has vanished.")
    lost_at = models.DateTimeField(null=True, help_text="When it was found to have vanished.")
    reason = models.TextField(default="", db_default="", blank=True, help_text="Why it counts as that.")
    condemned = models.BooleanField(
        db_default=False, help_text="Somebody declared it dead: it ends when it hears of that."
    )
    token = models.BigIntegerField(db_default=1, help_text="Of its mark; higher each time it comes back.")
    counts = models.JSONField(default=dict, help_text="What it has done since its start.")
    facts = models.JSONField(default=dict, help_text="How things stood at its last report.")

    class Meta:
        db_table = "tasks_process"
        ordering = ["-id"]
        verbose_name_plural = "processes"
        constraints = [
            models.CheckConstraint(
                name="tasks_process_kind", condition=Q(kind__in=["worker", "relay", "beat"])
            ),
        ]
        indexes = [
            models.Index(fields=["seen_at"], name="tasks_process_seen"),
            models.Index(fields=["name"], name="tasks_process_name"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def condition(self) -> str:
        """running, ended, vanished (it has not been heard of for six of its reports), or dead by decree."""
        if self.ended_at is not None:
            return "ended"
        if self.condemned:
            return "dead"
        if self.lost_at is not None:
            return "vanished"
        silence = timezone.now() - self.seen_at
        return "vanished" if silence > 6 * timedelta(seconds=conf.report_every()) else "running"

    @property
    def requests(self) -> int:
        """How many requests it has sent to SQS."""
        return sum(number for name, number in self.counts.items() if name.startswith(REQUESTS))


class UsageCount(models.Model):
    """One row is how often something happened in one minute, in all processes of one kind together.

    What is older than a day is kept by the day. Sums over rows never go down: they outlive the processes.
    """

    kind = models.TextField(choices=Process.Kind)
    name = models.TextField(help_text="What happened, such as requests.ReceiveMessage.")
    at = models.DateTimeField(help_text="The beginning of the minute or day.")
    count = models.BigIntegerField()

    class Meta:
        db_table = "tasks_usagecount"
        constraints = [
            models.UniqueConstraint(name="tasks_usagecount_unique", fields=["at", "kind", "name"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} at {self.at}: {self.count}"
