"""The keys that rows of the chain are hashed under, from the environment.

``AUDIT_KEYS`` lists keys as ``id:key`` (32 bytes or more in base64). New rows are hashed under the first;
the others are there to verify older rows. Whoever can write to the database but has no key cannot make rows
that verify.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: The id of no key: the hash is a plain SHA-256.
NO_KEY = ""

_LEAST_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class UnknownKey(LookupError):
    """``AUDIT_KEYS`` has no key of that id."""


@lru_cache(maxsize=8)
def _parse(listed: tuple[str, ...]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for entry in listed:
        name, _, encoded = entry.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not _ID.fullmatch(name) or len(key) < _LEAST_BYTES:
            raise ImproperlyConfigured(
                f"AUDIT_KEYS: each entry must be id:key, with {_LEAST_BYTES} bytes or more in base64"
            )
        if name in keys:
            raise ImproperlyConfigured(f"AUDIT_KEYS: the id {name!r} stands there twice")
        keys[name] = key
    return keys


def current() -> str:
    """The id of the key that new rows are hashed under. Raises `ImproperlyConfigured`."""
    return next(iter(_parse(tuple(settings.AUDIT_KEYS))), NO_KEY)


def digest(key_id: str, content: bytes) -> bytes:
    """HMAC-SHA-256 of *content* under that key; SHA-256 under none. Raises `UnknownKey`."""
    if key_id == NO_KEY:
        return hashlib.sha256(content).digest()
    try:
        key = _parse(tuple(settings.AUDIT_KEYS))[key_id]
    except KeyError:
        raise UnknownKey(f"AUDIT_KEYS has no key {key_id!r}") from None
    return hmac.digest(key, content, "sha256")
