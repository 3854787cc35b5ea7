"""What lies in the dead-letter queues of SQS."""

from __future__ import annotations

from django.db import models

from apps.core.ids import uuid7


class DeadLetter(models.Model):
    """One row is one message that was seen in a dead-letter queue."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message_id = models.TextField(help_text="SQS's own id of the message.")
    queue = models.TextField(help_text="The logical queue that it belongs to, not the dead-letter queue.")
    run_id = models.UUIDField(null=True, help_text="The run that it is about; null for a stranger.")
    task = models.TextField(blank=True, default="", help_text="The task that it names.")
    body = models.TextField(blank=True, default="", help_text="Its beginning.")
    reason = models.TextField(help_text="Why it is there.")
    receives = models.IntegerField(help_text="How often it was received, looks at it included.")
    sent_at = models.DateTimeField(null=True, help_text="By SQS's clock.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    discard = models.BooleanField(default=False, help_text="To be deleted when it is next received.")
    gone_at = models.DateTimeField(null=True, help_text="It was deleted, or is not there any more.")

    class Meta:
        db_table = "tasks_deadletter"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="tasks_deadletter_message", fields=["queue", "message_id"]),
        ]
        indexes = [
            models.Index(fields=["queue"], name="tasks_deadletter_present", condition=models.Q(gone_at=None)),
            models.Index(fields=["run_id"], name="tasks_deadletter_run"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.message_id}"
