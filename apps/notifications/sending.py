"""Handing e-mails to the mail server."""

from __future__ import annotations

import logging

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import sanitize_address
from django.db import Error as DatabaseError
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from apps.notifications import addresses, conf, connections, preferences, rendering, unsubscribing
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.refusals import NothingSent, NotWritable, Unanswered, judge
from apps.notifications.states import OVER, EmailState, leading_to
from apps.tasks import Cancelled, Fenced, PermanentError
from apps.tasks.run import Run

logger = logging.getLogger(__name__)

#: Characters of a reason that are kept.
_REASON = 2000
#: How often a mail is handed over while the server does not say whether it takes it: so many copies may be
#: there.
COPIES = 3
#: What a mail that is a test is about begins so.
TEST = "test:"
#: Why a mail is suppressed that its user does not want.
TURNED_OFF = "turned off by the user"


class NotSent(Exception):
    """A mail was not sent, and may be later: after *retry_after* seconds, where the other side says so."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _TurnedOff(Exception):
    """The user does not want such mails."""


class _Bounced(Exception):
    """Nothing is sent to the address: *args* say why."""


def email_send(*, email: Email, run: Run) -> str | None:
    """Hand *email* to the mail server, unless that was done. Returns what the provider calls it, if it says.

    To be followed by `email_sent`. None: its user has turned such mails off meanwhile, and its state says so.

    Handing it over is a step of *run*: an attempt from which the run was taken does not begin it, and what is
    recorded as done is not done again. SMTP cannot take a message exactly once: a worker that dies between
    the server's answer and the record sends again. So does one that waited in vain for the answer, up to
    `COPIES` times in all. All copies carry the same Message-ID, made of the run's id.

    Raises `PermanentError` when the mail is not to be tried again: its state says so then, and why. `NotSent`
    may pass, and is kept as the reason.
    """
    if email.state in OVER:
        return email.provider_id
    if email.state != EmailState.REQUESTED:
        # It was given up, and its run was redriven from the board of tasks.
        email_move(email=email, to=EmailState.REQUESTED, reason="")
    try:
        return str(run.once("send", _hand_over, email, str(run.id or email.pk)))
    except (Cancelled, Fenced, DatabaseError):
        raise
    except _TurnedOff:
        email_move(email=email, to=EmailState.SUPPRESSED, reason=TURNED_OFF)
        return None
    except Exception as exc:
        # Raised anew without it: what servers say may hold what cannot be stored.
        logger.info("e-mail %s was not sent", email.pk, exc_info=True)
        failure = _failed(email, exc)
    raise failure


def email_sent(*, email: Email, provider_id: str = "") -> None:
    """Record that the mail server has taken *email*. One that has bounced meanwhile stays bounced."""
    found = Email.objects.filter(pk=email.pk)
    found.update(sent_at=Coalesce("sent_at", Now()), provider_id=provider_id)
    found.filter(state__in=leading_to(EmailState.SENT)).update(
        state=EmailState.SENT, reason="", changed_at=Now()
    )


def turned_off(email: Email) -> bool:
    """Whether the user for whom *email* is does not want such mails."""
    if email.user_id is None:
        return False
    try:
        return not preferences.wants(email.user_id, kind_of(email.kind))
    except LookupError:
        return False


def bounce_before(email: Email) -> str:
    """The bounce for which nothing is sent to the address of *email*; empty where there is none."""
    found = addresses.suppression_of(email.recipient)
    return "" if found is None else f"bounced on {found.created_at:%Y-%m-%d}: {found.reason}"


def email_move(*, email: Email, to: EmailState, reason: str) -> bool:
    """Change the state of *email*; False where no move leads there from its present one."""
    # What is on its way again has all its attempts again.
    begun = {"unanswered": 0} if to == EmailState.REQUESTED else {}
    found = Email.objects.filter(pk=email.pk, state__in=leading_to(to))
    return found.update(state=to, reason=reason[:_REASON], changed_at=Now(), **begun) == 1


def email_render(email: Email) -> None:
    """Write subject, text and HTML of *email*, if that was not possible yet. Raises `CannotRender`."""
    if email.body:
        return
    if email.emptied_at is not None:
        raise rendering.CannotRender("what it said is not kept any more")
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
    """The Message-ID of the mail that the run with this id sends."""
    return f"<{key}@{conf.sender_domain()}>"


def message_of(email: Email, key: str) -> EmailMultiAlternatives:
    """*email* as it is sent, in every attempt of the run with the id *key*. Raises `NotWritable`."""
    if not addresses.possible(email.recipient):
        raise NotWritable(f"{email.recipient!r} is not an e-mail address")
    message = EmailMultiAlternatives(
        subject=email.subject,
        body=email.body,
        to=[email.recipient],
        headers={
            "Message-ID": message_id(key),
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
    try:
        # As the envelope has it: the header takes more.
        sanitize_address(email.recipient, "utf-8")
    except Exception as exc:
        # Python's parser of addresses fails in many ways.
        raise NotWritable(f"{email.recipient!r} is not an e-mail address: {exc}") from exc
    return message


def _hand_over(email: Email, key: str) -> str:
    # Only here: of a mail that was handed over already, none of that matters any more.
    if turned_off(email):
        raise _TurnedOff
    if reason := bounce_before(email):
        raise _Bounced(reason)
    email_render(email)
    message = message_of(email, key)
    with connections.connection() as backend:
        message.connection = backend
        if message.send() == 0:
            raise NothingSent("the backend says that it has sent nothing")
    # What django-anymail tells of a message that it has sent.
    return str(getattr(getattr(message, "anymail_status", None), "message_id", None) or "")


def _failed(email: Email, exc: Exception) -> Exception:
    """Record why *email* was not sent. What to raise: it says whether it is tried again."""
    if isinstance(exc, _Bounced):
        return _given_up(email, EmailState.SUPPRESSED, str(exc))
    if isinstance(exc, rendering.CannotRender):
        return _given_up(email, EmailState.REFUSED, str(exc))
    verdict = judge(exc)
    if verdict.final:
        return _given_up(email, EmailState.REFUSED, verdict.reason)
    silent = int(isinstance(exc, Unanswered))
    Email.objects.filter(pk=email.pk).exclude(state__in=OVER).update(
        reason=verdict.reason[:_REASON], unanswered=F("unanswered") + silent
    )
    email.refresh_from_db(fields=["unanswered"])
    if email.unanswered >= COPIES:
        reason = f"it may have arrived: {email.unanswered} times {verdict.reason}"
        return _given_up(email, EmailState.FAILED, reason)
    return NotSent(verdict.reason, verdict.retry_after)


def _given_up(email: Email, state: EmailState, reason: str) -> PermanentError:
    email_move(email=email, to=state, reason=reason)
    return PermanentError(reason)


def _unsubscribe_url(email: Email) -> str:
    """The link that turns such mails off for whom this one is; empty where there is none."""
    try:
        kind = kind_of(email.kind)
    except LookupError:
        return ""
    return unsubscribing.unsubscribe_url(user_id=email.user_id, kind=kind) if email.user_id else ""
