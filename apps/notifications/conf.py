"""The settings of this app."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.utils.encoding import punycode


def operators() -> list[str]:
    """The addresses of those who are told of dead letters and orphans, without the names beside them.

    What can be no address is left as it is: a mail to it is refused in plain sight.
    """
    given = [one.strip() for one in settings.OPERATORS if one.strip()]
    return [parseaddr(one)[1] or one for one in given]


def alert_every() -> timedelta:
    """The shortest time between two e-mails about dead letters."""
    return timedelta(seconds=float(settings.ALERT_EVERY))


def bounces_token() -> str:
    """Whoever sends this as a bearer token may report bounces; empty: only staff may."""
    return str(settings.BOUNCES_TOKEN)


def backend_options() -> dict[str, Any]:
    """What the backend of e-mails is made with, beside what it finds in the settings."""
    return dict(settings.EMAIL_BACKEND_OPTIONS)


def emails_kept() -> timedelta | None:
    """``EMAILS_KEPT_DAYS``: for how long it is kept what mails said that are over (180 days); 0: for ever.

    A negative number is no time: nothing is deleted, either.
    """
    days = float(settings.EMAILS_KEPT_DAYS)
    return timedelta(days=days) if days > 0 else None


def sender() -> str:
    """``DEFAULT_FROM_EMAIL``: the address that mails come from, without the name beside it."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1]


def sender_domain() -> str:
    """The domain of the sender's address, in ASCII: in another form no Message-ID has it."""
    return punycode(sender().rpartition("@")[2]) or "localhost"
