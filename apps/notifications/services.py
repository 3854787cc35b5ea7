"""Asking for e-mails."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import F

from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.notifications import conf, rendering, selectors, sending
from apps.notifications.kinds import Kind, kind_of
from apps.notifications.models import Email, Throttle
from apps.notifications.plain import plain
from apps.notifications.sending import TEST
from apps.notifications.states import OVER, EmailState
from apps.tasks.models import TaskRun
from apps.tasks.services import WrongState, redrive

logger = logging.getLogger(__name__)

#: Characters of a throttle key.
_KEY = 200
#: Mails that are emptied in one transaction.
_BATCH = 5000


class CannotResend(Exception):
    """The mail is not one that was given up."""


@transaction.atomic
def email_request(
    *,
    kind: str,
    about: str,
    context: Mapping[str, Any],
    recipient: str = "",
    user: AbstractBaseUser | None = None,
    throttle_key: str = "",
) -> Email | None:
    """Ask for an e-mail, in the caller's transaction. None: there is nobody to tell, or it is held back.

    *kind* is a registered kind, and *context* has its fields. It is for a *user*, who may have turned the
    kind off, or whose address bounces: then a row says that, and nothing is sent. Who is not active or has no
    address is told nothing.
    Or it is for the *recipient* at an address. *about* names the thing it is about (``backtest:<id>``); asked
    for twice, it is sent once.

    Of a kind with a throttle, one recipient gets one mail with the same *throttle_key* in its time; what is
    held back is counted, and the next mail says how many. Their transactions wait for each other: whoever
    asks for several in one transaction asks in the order of their keys.

    What is not to be sent begins no such time; one such mail in it leaves a trace.

    A template that cannot be rendered is no error here, nor is a ``PUBLIC_URL`` that is no address: the
    mail's run fails then.

    Raises `LookupError` for an unknown kind, and `ValueError` for a context that does not fit it.
    """
    if (user is None) == (not recipient):
        raise ValueError("an e-mail is either for a user or for the recipient at an address")
    if len(throttle_key) > _KEY:
        raise ValueError(f"a throttle key has at most {_KEY} characters")
    of_kind = kind_of(kind)
    of_kind.check(context)
    given = plain(context)
    beside = _count(given.pop("held_back", 0)) if "held_back" in of_kind.optional else 0
    if user is not None:
        recipient = getattr(user, "email", "") if user.is_active else ""
        if not recipient:
            return None
    email = Email(
        kind=kind,
        about=about,
        recipient=recipient,
        user_id=None if user is None else user.pk,
        context=given,
        held_back=beside,
    )
    if (found := _same(email)) is not None:
        return found
    reason = sending.TURNED_OFF if sending.turned_off(email) else sending.bounce_before(email)
    if reason:
        email.state, email.reason = EmailState.SUPPRESSED, reason
        return None if _traced(email, of_kind) else _record(email)
    if of_kind.throttle:
        opened, before = _throttle(of_kind, email, throttle_key)
        # The transaction that was waited for may have asked for this very mail.
        if not opened and (found := _same(email)) is not None:
            return found
        if not opened:
            Throttle.objects.filter(recipient=recipient, kind=kind, key=throttle_key).update(
                held_back=F("held_back") + 1 + beside
            )
            return None
        email.held_back += before
    return _record(email)


@transaction.atomic
def email_test(*, kind: str, recipient: str) -> Email:
    """Ask for an e-mail of this kind about nothing, made of its sample. Neither held back nor turned off.

    Raises `LookupError` for an unknown kind.
    """
    context = plain(kind_of(kind).sample)
    held_back = context.pop("held_back", 0)
    about = f"{TEST}{uuid7()}"
    return _record(Email(kind=kind, about=about, recipient=recipient, context=context, held_back=held_back))


@transaction.atomic
def email_resend(*, email: Email, actor: str = "") -> None:
    """Send an e-mail on its way again that was given up. Raises `CannotResend`.

    What keeps it from being sent is looked at anew when it is sent: what its user has turned off stays so.
    """
    if email.state in OVER or email.emptied_at is not None:
        raise CannotResend(
            "what it said is not kept any more" if email.emptied_at else f"it is {email.state}"
        )
    try:
        if email.task_run is not None:
            redrive(run_id=email.task_run, actor=actor)
        elif not _send_after_all(email):
            raise CannotResend("it is on its way already")
    except (WrongState, TaskRun.DoesNotExist) as exc:
        raise CannotResend(str(exc)) from None
    sending.email_move(email=email, to=EmailState.REQUESTED, reason="")


def emails_settle() -> int:
    """Say of e-mails whose runs were given up that they have failed, or that they are sent if they were.

    Returns how many those are.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "settle.sql"))
        return int(cursor.rowcount)


def emails_empty() -> int:
    """Delete what mails say that have been over for long, some thousands at a time. Returns how many.

    Their rows stay: what a mail was about is not told a second time.
    """
    kept = conf.emails_kept()
    total = 0
    while kept is not None:
        parameters = {"days": kept / timedelta(days=1), "limit": _BATCH}
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "empty.sql"), parameters)
            emptied = int(cursor.rowcount)
        total += emptied
        if emptied < _BATCH:
            break
    return total


def _same(email: Email) -> Email | None:
    """The mail of the kind, about the same and to the same address, that is there."""
    return Email.objects.filter(kind=email.kind, about=email.about, recipient=email.recipient).first()


def _traced(email: Email, kind: Kind) -> bool:
    """Whether there is a trace of a mail like this that was not sent, in the time of the kind's throttle."""
    recent = selectors.recent(kind.name, timedelta(seconds=kind.throttle))
    return recent.filter(recipient=email.recipient, state=EmailState.SUPPRESSED).exists()


def _send_after_all(email: Email) -> bool:
    """Request a run for *email*, which has none. False: it has one by now."""
    from apps.notifications.tasks import send_email

    run_id = uuid7()
    if not Email.objects.filter(pk=email.pk, task_run=None).update(task_run=run_id):
        return False
    send_email.apply_async(kwargs={"email_id": str(email.pk)}, task_id=str(run_id))
    return True


def _record(email: Email) -> Email:
    """Keep the e-mail and, if it is to be sent, request its run; or the one that is there about the same."""
    from apps.notifications.tasks import send_email

    try:
        sending.email_render(email)
    except rendering.CannotRender:
        # Whoever asks must not fail for it. The run does, and can be redriven once the template is mended.
        logger.exception("an e-mail cannot be rendered yet")
    run_id = uuid7() if email.state == EmailState.REQUESTED else None
    names = ("id", "user_id", "context", "subject", "body", "html", "state", "reason", "held_back")
    kept, created = Email.objects.get_or_create(
        kind=email.kind,
        about=email.about,
        recipient=email.recipient,
        defaults={name: getattr(email, name) for name in names} | {"task_run": run_id},
    )
    if created and run_id is not None:
        send_email.apply_async(kwargs={"email_id": str(kept.pk)}, task_id=str(run_id))
    return kept


def _throttle(kind: Kind, email: Email, key: str) -> tuple[bool, int]:
    """Whether the mail may be sent by now, and how many were held back before. Others wait from here on."""
    parameters: dict[str, str | float | uuid.UUID] = {
        "recipient": email.recipient,
        "kind": kind.name,
        "key": key,
        "email": email.pk,
        "seconds": kind.throttle,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "throttle.sql"), parameters)
        opened, told = cursor.fetchone()
    return opened, told


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"held_back is a count, not {value!r}")
    return value
