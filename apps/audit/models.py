"""The rows of the chain, and what verifying it came to."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """One row is one deed: who did what to which object, when and from where, and how that ended.

    Rows are appended by `chain.append` and by nothing else. The database refuses changes.
    """

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", "Succeeded: it was done"
        REFUSED = "refused", "Refused: it was not allowed, or asked for in a way that cannot be"
        FAILED = "failed", "Failed: an error kept it from being done"

    sequence = models.BigIntegerField(primary_key=True)
    id = models.UUIDField()
    encoding = models.SmallIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    actor = models.TextField()
    action = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    account = models.TextField()
    outcome = models.TextField(choices=Outcome)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField()
    request_id = models.TextField()
    correlation_id = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    detail = models.JSONField(null=True)
    key_id = models.TextField()
    previous_hash = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_entry"
        ordering = ["-sequence"]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"


class Verification(models.Model):
    """One row is one look at the chain, from some row up to its head."""

    first = models.BigIntegerField(help_text="The sequence of the first row that was looked at.")
    through = models.BigIntegerField(help_text="The head's sequence.")
    hash = models.BinaryField(help_text="The head's hash.")
    findings = models.BigIntegerField(help_text="How many things were wrong.")
    shown = models.JSONField(default=list, help_text="The first of them: text.")
    accepted = models.TextField(
        blank=True,
        default="",
        help_text="Why verifying goes on behind what is wrong, as somebody has decided.",
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        db_table = "audit_verification"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.first} to {self.through}: {self.findings} findings"
