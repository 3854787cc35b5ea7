"""Handing e-mails to the mail server."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.db.models.functions import Now

from apps.notifications import addresses, conf, connections, rendering, unsubscribing
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.refusals import NothingSent, NotWritable, judge
from apps.notifications.states import OVER, EmailState, leading_to
from apps.tasks import PermanentError, RetryLater

#: Characters of a reason that are kept.
_REASON = 2000
#: What a mail that is a test is about begins so.
TEST = "test:"


def email_send(*, email: Email, idempotency_key: str) -> str:
    """Hand *email* to the mail server, unless that was done. Returns what the provider calls it, if it says.

    To be followed by `email_sent`. SMTP cannot take a message exactly once: a worker that dies between the
    server's answer and its own commit sends again, and so does one that gave up waiting for the answer. All
    copies then carry the same Message-ID, made of *idempotency_key*.

    Raises `PermanentError` when the mail is not to be tried again: its state says so then, and why. Any other
    error may pass, and is kept as the reason.
    """
    if email.state in OVER:
        return email.provider_id
    suppressed = addresses.suppression_of(email.recipient)
    if suppressed is not None:
        reason = f"bounced on {suppressed.created_at:%Y-%m-%d}: {suppressed.reason}"
        _give_up(email, EmailState.SUPPRESSED, reason)
        raise PermanentError(f"{email.recipient} {reason}")
    try:
        email_render(email)
        return _hand_over(email, idempotency_key)
    except rendering.CannotRender as exc:
        _give_up(email, EmailState.REFUSED, str(exc))
        raise PermanentError(str(exc)) from exc
    except Exception as exc:
        verdict = judge(exc)
        if verdict.final:
            _give_up(email, EmailState.REFUSED, verdict.reason)
            raise PermanentError(verdict.reason) from exc
        Email.objects.filter(pk=email.pk).exclude(state__in=OVER).update(reason=verdict.reason[:_REASON])
        if verdict.retry_after is not None:
            raise RetryLater(verdict.retry_after, verdict.reason) from exc
        raise


def email_sent(*, email: Email, provider_id: str = "") -> None:
    """Record that the mail server has taken *email*. One that has bounced meanwhile stays bounced."""
    changed = Email.objects.filter(pk=email.pk, state__in=leading_to(EmailState.SENT))
    changed.update(state=EmailState.SENT, reason="", sent_at=Now(), changed_at=Now(), provider_id=provider_id)


def email_move(*, email: Email, to: EmailState, reason: str) -> bool:
    """Change the state of *email*; False where no move leads there from its present one."""
    found = Email.objects.filter(pk=email.pk, state__in=leading_to(to))
    return found.update(state=to, reason=reason[:_REASON], changed_at=Now()) == 1


def email_render(email: Email) -> None:
    """Write subject, text and HTML of *email*, if that was not possible yet. Raises `CannotRender`."""
    if email.body:
        return
    try:
        kind = kind_of(email.kind)
    except LookupError as exc:
        raise rendering.CannotRender(str(exc)) from None
    rendered = rendering.render(
        kind,
        email.context,
        held_back=email.held_back,
        unsubscribe_url=_unsubscribe_url(email),
        test=email.about.startswith(TEST),
    )
    email.subject, email.body, email.html = rendered.subject, rendered.body, rendered.html
    if not email._state.adding:
        email.save(update_fields=["subject", "body", "html"])


def message_id(key: str) -> str:
    """The Message-ID of the mail with this idempotency key."""
    return f"<{key}@{conf.sender_domain()}>"


def message_of(email: Email, idempotency_key: str) -> EmailMultiAlternatives:
    """*email* as it is sent. Raises `NotWritable`."""
    try:
        validate_email(email.recipient)
    except ValidationError:
        raise NotWritable(f"{email.recipient!r} is not an e-mail address") from None
    message = EmailMultiAlternatives(
        subject=email.subject,
        body=email.body,
        to=[email.recipient],
        headers={
            "Message-ID": message_id(idempotency_key),
            # Nobody's absence note is to answer it (RFC 3834).
            "Auto-Submitted": "auto-generated",
            **unsubscribing.headers(_unsubscribe_url(email)),
        },
    )
    if email.html:
        message.attach_alternative(email.html, "text/html")
    try:
        message.message()
    except ValueError as exc:
        raise NotWritable(f"it cannot be written: {exc}") from exc
    return message


def _hand_over(email: Email, idempotency_key: str) -> str:
    message = message_of(email, idempotency_key)
    with connections.connection() as backend:
        message.connection = backend
        if message.send() == 0:
            raise NothingSent("the backend says that it has sent nothing")
    # What django-anymail tells of a message that it has sent.
    return str(getattr(getattr(message, "anymail_status", None), "message_id", None) or "")


def _unsubscribe_url(email: Email) -> str:
    """The link that turns such mails off for whom this one is; empty where there is none."""
    try:
        kind = kind_of(email.kind)
    except LookupError:
        return ""
    return unsubscribing.unsubscribe_url(user_id=email.user_id, kind=kind) if email.user_id else ""


def _give_up(email: Email, state: EmailState, reason: str) -> None:
    if not email_move(email=email, to=state, reason=reason) and email.state == state:
        Email.objects.filter(pk=email.pk, state=state).update(reason=reason[:_REASON])
