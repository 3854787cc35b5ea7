"""Recording that mails came back."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from django.db import transaction

from apps.notifications import addresses
from apps.notifications.models import Email
from apps.notifications.plain import one_line
from apps.notifications.sending import email_move
from apps.notifications.states import EmailState

_OURS = re.compile(r"<?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>@\s]+>?", re.IGNORECASE)


class UnknownMail(Exception):
    """No mail of this installation has the Message-ID."""


@dataclass(frozen=True, kw_only=True)
class Bounce:
    """What a report came to."""

    #: The mail that came back, where it is known, and the address it was sent to.
    email: Email | None
    recipient: str
    reason: str
    #: Whether nothing is sent to the address any more.
    suppressed: bool


@transaction.atomic
def bounce_record(*, reason: str, permanent: bool, message_id: str = "", recipient: str = "") -> Bounce:
    """Record that the mail with *message_id*, or one to *recipient*, came back.

    The mail is bounced then, with the reason; told twice, it is once. If that is *permanent*, nothing is sent
    to the address to which the mail was sent, until an operator lifts that. Without a Message-ID no mail is
    bounced. Raises `UnknownMail` for a Message-ID that no mail has, unless a recipient is named as well.
    """
    email = email_with(message_id) if message_id else None
    if email is None and not recipient:
        raise UnknownMail(
            f"No mail of this installation has the Message-ID {message_id}."
            if message_id
            else "The report does not say of which mail it is."
        )
    reason = one_line(reason)
    if email is not None:
        recipient = email.recipient
        email_move(email=email, to=EmailState.BOUNCED, reason=reason)
    if permanent:
        addresses.address_suppress(address=recipient, reason=reason, email=email)
    return Bounce(email=email, recipient=recipient, reason=reason, suppressed=permanent)


def email_with(message_id: str) -> Email | None:
    """The mail that was sent with this Message-ID, or which its provider calls so."""
    ours = _OURS.fullmatch(message_id.strip())
    found = Email.objects.filter(task_run=uuid.UUID(ours[1])).first() if ours else None
    bare = message_id.strip().strip("<>")
    if found is None and bare:
        found = Email.objects.filter(provider_id__in=[bare, f"<{bare}>"]).first()
    return found
