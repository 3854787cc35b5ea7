"""E-mails that were asked for, and who does not get which."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.core.ids import uuid7
from apps.notifications.states import EmailState


class Email(models.Model):
    """One row is one e-mail to one person about one thing.

    Its run says when it is tried and what an attempt came to; the state says what became of it.
    """

    State = EmailState

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.TextField(help_text="A registered kind; its templates have this name.")
    recipient = models.EmailField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Whom it is for; null for operators, who are told by their addresses.",
    )
    #: What its template was given, as JSON.
    context = models.JSONField(default=dict)
    #: Rendered when it was asked for; all empty where the template could not be rendered yet.
    subject = models.TextField()
    body = models.TextField()
    html = models.TextField(default="")
    #: What the mail is about: a second request about the same thing to the same person is the first.
    about = models.TextField()
    state = models.TextField(choices=EmailState, default=EmailState.REQUESTED)
    #: Why it is in its state, or why the last attempt failed.
    reason = models.TextField(default="")
    unanswered = models.PositiveSmallIntegerField(
        default=0,
        help_text="How often the mail server had the whole mail and did not say whether it takes it.",
    )
    changed_at = models.DateTimeField(db_default=Now(), help_text="When it came into its state.")
    #: Mails like it that were held back before it.
    held_back = models.PositiveIntegerField(default=0)
    task_run = models.UUIDField(null=True, help_text="The run that sends it; null: it was not to be sent.")
    #: What the provider calls it, where the backend says so.
    provider_id = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)
    emptied_at = models.DateTimeField(
        null=True, help_text="When what it says was deleted, since it is kept for a time only."
    )

    class Meta:
        db_table = "notifications_email"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="notifications_email_once", fields=["kind", "about", "recipient"]),
            models.CheckConstraint(
                name="notifications_email_state", condition=Q(state__in=EmailState.values)
            ),
        ]
        indexes = [
            models.Index(name="notifications_email_kind", fields=["kind", "-created_at"]),
            models.Index(name="notifications_email_user", fields=["user", "-id"]),
            models.Index(name="notifications_email_run", fields=["task_run"]),
            models.Index(
                name="notifications_email_provider", fields=["provider_id"], condition=~Q(provider_id="")
            ),
            models.Index(
                name="notifications_email_unsent",
                fields=["created_at"],
                condition=Q(state=EmailState.REQUESTED),
            ),
            models.Index(
                name="notifications_email_kept",
                fields=["created_at"],
                condition=Q(emptied_at=None) & ~Q(state=EmailState.REQUESTED),
            ),
            # What the metrics read.
            models.Index(name="notifications_email_recent", fields=["created_at"], include=["kind", "state"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"


class Throttle(models.Model):
    """One row is the time in which one recipient gets no other mail of one kind and key."""

    pk = models.CompositePrimaryKey("recipient", "kind", "key")
    recipient = models.TextField()
    kind = models.TextField()
    key = models.TextField()
    #: The mail with which it began, and when that was.
    email_id = models.UUIDField()
    opened_at = models.DateTimeField()
    #: Mails held back since then, and those before, of which that mail tells.
    held_back = models.PositiveIntegerField()
    told = models.PositiveIntegerField()

    class Meta:
        db_table = "notifications_throttle"

    def __str__(self) -> str:
        return f"{self.kind} {self.key} to {self.recipient}: {self.held_back} held back"


class Preference(models.Model):
    """One row is one user's decision on whether to get mails of one kind. Without it: they do."""

    class Source(models.TextChoices):
        API = "api", "API: by a request of the user"
        LINK = "link", "Link: by the link in a mail"
        ADMIN = "admin", "Admin: by an operator"

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    kind = models.TextField()
    enabled = models.BooleanField()
    source = models.TextField(choices=Source)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "notifications_preference"
        ordering = ["user", "kind"]
        constraints = [
            models.UniqueConstraint(name="notifications_preference_once", fields=["user", "kind"]),
            models.CheckConstraint(
                name="notifications_preference_source", condition=Q(source__in=["api", "link", "admin"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {'on' if self.enabled else 'off'} for user {self.user_id}"


class SuppressedAddress(models.Model):
    """One row is one address to which nothing is sent, from a bounce until an operator lifts it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    address = models.TextField(help_text="In lower case.")
    reason = models.TextField()
    email = models.ForeignKey(
        Email, models.SET_NULL, null=True, related_name="+", help_text="The mail that came back, if known."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.TextField(default="", help_text="The actor, as events name them.")

    class Meta:
        db_table = "notifications_suppressed_address"
        ordering = ["-id"]
        verbose_name_plural = "suppressed addresses"
        constraints = [
            models.UniqueConstraint(
                name="notifications_suppressed_once", fields=["address"], condition=Q(lifted_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.address
