"""The keys that rows of the chain are hashed under, from the environment.

``AUDIT_KEYS`` lists keys as ``id:key`` (32 bytes or more in base64). New rows are hashed under the first;
the others are there to verify older rows. Whoever can write to the database but has no key cannot make rows
that verify after rows with one. A whole chain that is written anew without keys looks like one that was begun
before there were any: a hash that was kept elsewhere (``--expect``) tells them apart.
"""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings

from apps.core.keyring import keys_of

#: The id of no key: the hash is a plain SHA-256.
NO_KEY = ""


class UnknownKey(LookupError):
    """``AUDIT_KEYS`` has no key of that id."""


def _keys() -> dict[str, bytes]:
    return keys_of("AUDIT_KEYS", tuple(settings.AUDIT_KEYS), longer=True)


def current() -> str:
    """The id of the key that new rows are hashed under. Raises `ImproperlyConfigured`."""
    return next(iter(_keys()), NO_KEY)


def digest(key_id: str, content: bytes) -> bytes:
    """HMAC-SHA-256 of *content* under that key; SHA-256 under none. Raises `UnknownKey`."""
    if key_id == NO_KEY:
        return hashlib.sha256(content).digest()
    try:
        key = _keys()[key_id]
    except KeyError:
        raise UnknownKey(f"AUDIT_KEYS has no key {key_id!r}") from None
    return hmac.digest(key, content, "sha256")
