"""Settings of what is shown of the installation."""

from __future__ import annotations

from django.conf import settings

#: Seconds between two looks of an open page.
REFRESH = 5


def status_public() -> bool:
    """``STATUS_PUBLIC``: whether everybody sees how the servers and processes stand, and not only staff."""
    return bool(settings.STATUS_PUBLIC)
