"""The settings of this app."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from apps.tasks import conf as tasks_conf


def value_limit() -> int:
    """Characters of JSON that each of before, after and detail may have.

    At most a quarter of what an entry on its way may have: three of them and the rest have to fit.
    """
    return min(int(settings.AUDIT_VALUE_LIMIT), tasks_conf.entry_limit() // 4)


def retention() -> timedelta | None:
    """How long entries stay in the database; None: for ever."""
    days = float(settings.AUDIT_RETENTION_DAYS)
    return timedelta(days=days) if days > 0 else None


def unaudited_routes() -> frozenset[str]:
    """The routes whose writes make no entry."""
    return frozenset(settings.AUDIT_UNAUDITED_ROUTES)
