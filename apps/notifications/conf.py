"""The settings of this app."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings


def operators() -> list[str]:
    """Who is told of dead letters."""
    return [address.strip() for address in settings.OPERATORS if address.strip()]


def alert_every() -> timedelta:
    """The shortest time between two e-mails about dead letters."""
    return timedelta(seconds=float(settings.ALERT_EVERY))


def public_url() -> str:
    """Where people reach this installation."""
    return str(settings.PUBLIC_URL).rstrip("/")


def bounces_token() -> str:
    """Whoever sends this as a bearer token may report bounces; empty: only staff may."""
    return str(settings.BOUNCES_TOKEN)


def backend_options() -> dict[str, Any]:
    """What the backend of e-mails is made with, beside what it finds in the settings."""
    return dict(settings.EMAIL_BACKEND_OPTIONS)


def sender_domain() -> str:
    """The domain of the sender's address."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
