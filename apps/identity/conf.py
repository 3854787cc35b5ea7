"""The settings of this app, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

#: Days for which a key is good where nobody says otherwise, unless fewer are allowed.
USUAL_DAYS = 90


def login_life() -> timedelta:
    """``LOGIN_TOKEN_HOURS``: for how long a login token is good (10 hours)."""
    return timedelta(hours=float(settings.LOGIN_TOKEN_HOURS))


def longest_days() -> int:
    """``API_KEYS_LONGEST_DAYS``: for how many days a key may be good (365)."""
    return int(settings.API_KEYS_LONGEST_DAYS)


def usual_days() -> int:
    """For how many days a key is good where nobody says otherwise."""
    return min(USUAL_DAYS, longest_days())


def kept() -> timedelta | None:
    """``API_KEYS_KEPT_DAYS``: for how long it is kept that a key was there (90 days); 0: for ever."""
    days = float(settings.API_KEYS_KEPT_DAYS)
    return timedelta(days=days) if days else None


def takes_passwords() -> bool:
    """``API_BASIC_AUTH``: whether requests may come with name and password, besides to sign in."""
    return bool(settings.API_BASIC_AUTH)
