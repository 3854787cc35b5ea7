"""E-mails that were asked for."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.core.ids import uuid7


class Email(models.Model):
    """One row is one e-mail to one person about one thing.

    Whether it is under way, sent or given up is said by its run; `sent_at` is written once the mail
    server has taken it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.TextField(help_text="The template's name.")
    recipient = models.EmailField()
    subject = models.TextField()
    body = models.TextField()
    #: What the mail is about: a second request about the same thing to the same person is the first.
    about = models.TextField()
    task_run = models.UUIDField(null=True, help_text="The run that sends it.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications_email"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="notifications_email_once", fields=["kind", "about", "recipient"]),
        ]
        indexes = [models.Index(name="notifications_email_kind", fields=["kind", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"
