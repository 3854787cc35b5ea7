"""The settings of this app."""

from __future__ import annotations

from django.conf import settings


def max_bars() -> int:
    """The most bars that one backtest may span: five years of minutes unless set."""
    return int(getattr(settings, "BACKTESTS_MAX_BARS", 5 * 366 * 1440))


def public_url() -> str:
    """Where people reach this installation, without a slash at the end."""
    return str(settings.PUBLIC_URL).rstrip("/")
