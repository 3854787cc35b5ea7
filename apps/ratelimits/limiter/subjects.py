"""Who is counted: names that no input can make meet."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from functools import lru_cache

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]{1,64}")
_HASHED = "~"
#: Of names whose subjects are kept: longer ones would fill the memory.
_LONGEST_KEPT = 256


def subject(kind: str, name: str) -> str:
    """``<kind>:<name>``, where the name can be read if it is short and plain, and is hashed otherwise.

    Two subjects are equal only if kind and name are: a hashed name begins with ``~``, which no plain one
    does. Raises `ValueError` for an empty name, which would be everybody's whose name is not known, and for a
    kind that is not lower-case letters, digits and dashes.
    """
    return _kept(kind, name) if len(name) <= _LONGEST_KEPT else _subject(kind, name)


def _subject(kind: str, name: str) -> str:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of subject")
    if not name:
        raise ValueError(f"a subject of kind {kind} needs a name")
    if _PLAIN.fullmatch(name):
        return f"{kind}:{name}"
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=18).digest()
    return f"{kind}:{_HASHED}{urlsafe_b64encode(digest).decode()}"


_kept = lru_cache(maxsize=16_384)(_subject)
