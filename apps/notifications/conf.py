"""The settings of this app."""

from __future__ import annotations

from datetime import timedelta

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
