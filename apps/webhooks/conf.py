"""The settings of this app, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings


def max_body() -> int:
    """``WEBHOOKS_MAX_BODY``: bytes of the largest body that is taken (16 KiB)."""
    return int(settings.WEBHOOKS_MAX_BODY)


def receipts_kept() -> timedelta:
    """``WEBHOOKS_RECEIPTS_DAYS``: for how long the answer to a key is remembered (7 days).

    It has to be longer than the longest window, or an old signal could come a second time.
    """
    return timedelta(days=max(1.0, float(settings.WEBHOOKS_RECEIPTS_DAYS)))


def log_kept() -> timedelta | None:
    """``WEBHOOKS_LOG_DAYS``: for how long deliveries are kept (90 days); 0: for ever."""
    days = float(settings.WEBHOOKS_LOG_DAYS)
    return timedelta(days=days) if days else None
