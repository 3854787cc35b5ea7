"""The settings of this app."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.conf import settings


def archive_after() -> timedelta | None:
    """How long ago a stream must have finished to be archived; None: somebody has to say so each time."""
    days = float(settings.EVENTS_ARCHIVE_AFTER)
    return timedelta(days=days) if days > 0 else None


def archive_dir() -> Path | None:
    """Where archive files are written to; None: somebody has to say so each time."""
    return Path(settings.EVENTS_ARCHIVE_DIR) if settings.EVENTS_ARCHIVE_DIR else None
