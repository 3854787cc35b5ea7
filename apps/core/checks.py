"""Settings that nothing can be done with, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error

from apps.core import conf


def check_public_url(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The links in e-mails lead somewhere."""
    fault = conf.public_url_fault()
    return [Error(f"{fault}.", id="core.E001")] if fault else []
