"""Settings that nothing can be done with, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from apps.core import conf
from apps.core.keyring import keys_of


def check_public_url(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The links in e-mails lead somewhere."""
    fault = conf.public_url_fault()
    return [Error(f"{fault}.", id="core.E001")] if fault else []


def check_encryption_keys(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The keys that secrets are sealed under are keys. Without any, nothing is sealed, which may be meant."""
    return key_errors("ENCRYPTION_KEYS", id="core.E002")


def key_errors(setting: str, *, longer: bool = False, id: str) -> Sequence[CheckMessage]:  # noqa: A002 (Django's)
    """What is wrong with the keys that *setting* lists; see `keyring.keys_of`."""
    try:
        keys_of(setting, tuple(getattr(settings, setting)), longer=longer)
    except ImproperlyConfigured as exc:
        return [Error(f"{exc}.", id=id)]
    return []
