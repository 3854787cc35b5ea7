"""Keys from the environment, as settings list them: ``id:key``, the key in base64, the current one first."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from django.core.exceptions import ImproperlyConfigured

#: Bytes of a key. Ciphers take exactly so many; for an HMAC more do no harm.
KEY_BYTES = 32

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


@lru_cache(maxsize=8)
def keys_of(setting: str, listed: tuple[str, ...], *, longer: bool = False) -> dict[str, bytes]:
    """The keys by id, in their order. Raises `ImproperlyConfigured`, which names the setting and no key."""
    keys: dict[str, bytes] = {}
    for entry in listed:
        name, _, encoded = entry.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not _ID.fullmatch(name) or len(key) < KEY_BYTES or (len(key) > KEY_BYTES and not longer):
            size = f"{KEY_BYTES} bytes{' or more' if longer else ''}"
            raise ImproperlyConfigured(f"{setting}: each entry must be id:key, with {size} in base64")
        if name in keys:
            raise ImproperlyConfigured(f"{setting}: the id {name!r} stands there twice")
        keys[name] = key
    return keys
