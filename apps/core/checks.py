"""Settings that nothing can be done with, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's)
from django.core.exceptions import ImproperlyConfigured

from apps.core import conf
from apps.core.addresses import network_of
from apps.core.forwarding import HEADERS, is_unix
from apps.core.keyring import keys_of


def check_public_url(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The links in e-mails lead somewhere."""
    fault = conf.public_url_fault()
    return [Error(f"{fault}.", id="core.E001")] if fault else []


def check_encryption_keys(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The keys that secrets are sealed under are keys. Without any, nothing is sealed, which may be meant."""
    return key_errors("ENCRYPTION_KEYS", id="core.E002")


def check_proxies(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Those who are believed about the addresses of clients are networks, and the header is a known one."""
    return list(_proxy_faults())


def _proxy_faults() -> Iterator[CheckMessage]:
    for entry in conf.trusted_proxies():
        if is_unix(entry):
            continue
        try:
            network = network_of(entry)
        except ValueError as exc:
            fault = f"TRUSTED_PROXIES has {entry!r}, which is neither a network nor unix: {exc}."
            yield Error(fault, id="core.E003")
            continue
        if not network.prefixlen:
            yield Warning(
                f"TRUSTED_PROXIES has {entry!r}: anybody may claim any address.",
                hint="Name the networks that your proxies connect from.",
                id="core.W001",
            )
    if conf.forwarded_header() not in HEADERS:
        known = " or ".join(HEADERS)
        yield Error(f"FORWARDED_HEADER must be {known}, not {settings.FORWARDED_HEADER!r}.", id="core.E004")


def key_errors(setting: str, *, longer: bool = False, id: str) -> Sequence[CheckMessage]:  # noqa: A002 (Django's)
    """What is wrong with the keys that *setting* lists; see `keyring.keys_of`."""
    try:
        keys_of(setting, tuple(getattr(settings, setting)), longer=longer)
    except ImproperlyConfigured as exc:
        return [Error(f"{exc}.", id=id)]
    return []
