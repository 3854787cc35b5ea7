"""What rate keys have spent lately."""

from __future__ import annotations

from django.db import models


class RateHit(models.Model):
    """One row is one start of a run that counts against the limit of its rate key.

    Upkeep, not history: rows older than the key's period mean nothing any more and are deleted.
    """

    key = models.TextField()
    at = models.DateTimeField()
    cost = models.IntegerField()
    expires_at = models.DateTimeField(help_text="From then on the hit counts no more.")

    class Meta:
        db_table = "tasks_ratehit"
        indexes = [
            models.Index(fields=["key", "at"], name="tasks_ratehit_key_at", include=["cost"]),
            models.Index(fields=["expires_at"], name="tasks_ratehit_expires"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.cost} at {self.at}"
