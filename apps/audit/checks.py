"""Settings with which nothing could be appended, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage

from apps.core.checks import key_errors


def check_keys(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The keys that rows are hashed under are keys."""
    return key_errors("AUDIT_KEYS", longer=True, id="audit.E001")
