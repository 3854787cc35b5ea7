"""Settings with which nothing could be appended, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from apps.audit import keys


def check_keys(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The keys that rows are hashed under are keys."""
    try:
        keys.current()
    except ImproperlyConfigured as exc:
        return [Error(f"{exc}.", id="audit.E001")]
    return []
