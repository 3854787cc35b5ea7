"""Asking for e-mails."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction

from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.notifications import preferences, rendering, sending
from apps.notifications.kinds import Kind, kind_of
from apps.notifications.models import Email
from apps.notifications.plain import plain
from apps.notifications.sending import TEST
from apps.notifications.states import OVER, EmailState
from apps.tasks.models import TaskRun
from apps.tasks.services import WrongState, redrive

logger = logging.getLogger(__name__)

#: Characters of a throttle key.
_KEY = 200


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
    kind off: then a row says that, and nothing is sent; who is not active or has no address is told nothing.
    Or it is for the *recipient* at an address. *about* names the thing it is about (``backtest:<id>``); asked
    for twice, it is sent once.

    Of a kind with a throttle, one recipient gets one mail with the same *throttle_key* in its time; what is
    held back is counted, and the next mail says how many. Their transactions wait for each other: whoever
    asks for several in one transaction asks in the order of their keys.

    A template that cannot be rendered is no error here: the mail's run fails then.

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
    found = Email.objects.filter(kind=kind, about=about, recipient=recipient).first()
    if found is not None:
        return found
    email = Email(
        kind=kind,
        about=about,
        recipient=recipient,
        user_id=None if user is None else user.pk,
        context=given,
        held_back=beside,
    )
    if of_kind.throttle:
        opened, before = _throttle(of_kind, email, throttle_key, 1 + beside)
        if not opened:
            return None
        email.held_back += before
    if email.user_id is not None and not preferences.wants(email.user_id, of_kind):
        email.state, email.reason = EmailState.SUPPRESSED, "turned off by the user"
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
    """Send an e-mail on its way again that was given up. Raises `CannotResend`."""
    if email.task_run is None or email.state in OVER:
        raise CannotResend("it has no run" if email.task_run is None else f"it is {email.state}")
    try:
        redrive(run_id=email.task_run, actor=actor)
    except (WrongState, TaskRun.DoesNotExist) as exc:
        raise CannotResend(str(exc)) from None
    sending.email_move(email=email, to=EmailState.REQUESTED, reason="")


def emails_settle() -> int:
    """Say of e-mails whose runs were given up that they have failed. Returns how many those are."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "settle.sql"))
        return int(cursor.rowcount)


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


def _throttle(kind: Kind, email: Email, key: str, count: int) -> tuple[bool, int]:
    """Whether the mail may be sent by now, and how many were held back before; else *count* is added."""
    parameters: dict[str, str | float | uuid.UUID] = {
        "recipient": email.recipient,
        "kind": kind.name,
        "key": key,
        "email": email.pk,
        "seconds": kind.throttle,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "throttle.sql"), parameters)
        opened, told = cursor.fetchone()
    return opened, told


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"held_back is a count, not {value!r}")
    return value
