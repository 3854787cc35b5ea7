"""Settings that nothing can be done with, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from apps.core import conf, crypto


def check_public_url(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The links in e-mails lead somewhere."""
    fault = conf.public_url_fault()
    return [Error(f"{fault}.", id="core.E001")] if fault else []


def check_encryption_keys(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The keys that secrets are sealed under are keys. Without any, nothing is sealed, which may be meant."""
    try:
        crypto.keyring()
    except crypto.NoKey:
        return []
    except ImproperlyConfigured as exc:
        return [Error(f"{exc}.", id="core.E002")]
    return []
