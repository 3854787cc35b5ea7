"""Asking for e-mails and sending them."""

from __future__ import annotations

import smtplib
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from apps.notifications.models import Email
from apps.tasks import PermanentError


@transaction.atomic
def email_request(*, kind: str, recipient: str, about: str, context: dict[str, Any]) -> Email:
    """Ask for an e-mail, in the caller's transaction.

    The subject is the first line of the template ``notifications/<kind>.txt``, the body what follows.
    *about* names the thing it is about (``backtest:<id>``); asked for twice, it is sent once.
    """
    from apps.notifications.tasks import send_email

    subject, _, body = render_to_string(f"notifications/{kind}.txt", context).partition("\n")
    email, created = Email.objects.get_or_create(
        kind=kind,
        about=about,
        recipient=recipient,
        defaults={"subject": " ".join(subject.split()), "body": body.strip() + "\n"},
    )
    if created:
        email.task_run = send_email.delay(email_id=str(email.pk)).id
        email.save(update_fields=["task_run"])
    return email


def email_send(*, email: Email, idempotency_key: str) -> None:
    """Hand *email* to the mail server, unless that was done.

    SMTP cannot take a message exactly once: a worker that dies between the server's answer and its
    own commit sends again. Both copies then carry the same Message-ID, made of *idempotency_key*.

    Raises `PermanentError` when the server refuses the message for good.
    """
    if email.sent_at is not None:
        return
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMessage(
        subject=email.subject,
        body=email.body,
        to=[email.recipient],
        headers={"Message-ID": f"<{idempotency_key}@{domain}>"},
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as exc:
        if all(500 <= code < 600 for code, _ in exc.recipients.values()):
            raise PermanentError(f"the mail server refuses {email.recipient}: {exc.recipients}") from exc
        raise
    except smtplib.SMTPResponseException as exc:
        if 500 <= exc.smtp_code < 600:
            raise PermanentError(f"the mail server refuses the message: {exc}") from exc
        raise
    email.sent_at = timezone.now()
    email.save(update_fields=["sent_at"])
