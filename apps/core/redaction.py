"""Taking secrets out of what is stored as an error or shown to somebody.

What is secret is told by its key: the name of a field, a header, a query parameter or a variable.
A key is compared word by word (``apiKey``, ``X-Api-Key`` and ``API_KEY`` are the same two words), so
``token`` hides ``refresh_token`` and leaves ``tokens_left`` alone. The setting ``REDACT_KEYS`` adds
patterns to `WORDS`. Beside keys, the forms of credentials that have none are known: passwords in
URLs, ``Bearer`` and ``Basic`` credentials, JSON Web Tokens, private keys in PEM, and this product's own keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

#: What stands in the place of a secret.
MASK = "***"

#: What the keys and login tokens of this product's API begin with.
KEY_PREFIX = "chd_"

#: Words, joined by underscores where there are several, that make a key secret. Regular expressions.
WORDS = (
    "pass(?:word|wd|phrase|code)s?", "pwd", "secrets?", "token", "api_?keys?", "api_?secret",
    "(?:access|private|secret|signing|encryption|master)_?keys?", "auth(?:orization)?", "credentials?",
    "(?:set_)?cookies?", "signature", "session_?id", "csrf(?:_?token)?", "jwt", "otp", "pin", "cvv", "cvc",
)  # fmt: skip

#: Deeper nesting than this is not shown.
_DEEPEST = 32

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_A_WORD = re.compile(r"[^A-Za-z0-9]+")

# What others send is searched with these: none takes more than in proportion to its length.
_SCHEME = r"(?:Bearer|Basic|Digest|Negotiate|Token)"
#: What comes before a value, as in URLs, headers, JSON, JSON inside JSON, and Python's reprs.
_KEY = re.compile(r"""(?<![\w.-])(?P<key>[A-Za-z_][\w.-]{0,80})\\*["']?\s*(?:=>|[=:])\s*""")
#: A value, quoted or not. Unquoted, it ends at what ends an argument, a parameter or a word.
_VALUE = re.compile(
    rf"""
        (?P<escaped>\\+)" .{{0,4096}}? (?P=escaped)"
      | [bru]{{0,2}} " (?: \\. | [^"\\] )* (?: " | $ )
      | [bru]{{0,2}} ' (?: \\. | [^'\\] )* (?: ' | $ )
      | {_SCHEME} [ ]+ [^\s,;"'<>]+
      | [^\s,;&"'<>()\[\]{{}}\\]+
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_USERINFO = re.compile(r"(?P<start>\b[a-z][a-z0-9+.-]{0,20}://[^\s:/?#@\"']*):[^\s/?#@\"']+@", re.IGNORECASE)
_CREDENTIALS = re.compile(rf"\b(?P<scheme>{_SCHEME})[ ]+[A-Za-z0-9._~+/=-]{{12,}}", re.IGNORECASE)
#: Looked for from where its first part may begin, once it is known where that ends: not from each ``eyJ``.
_JWT = re.compile(
    r"""
    (?<![A-Za-z0-9_-]) (?= [A-Za-z0-9_-]++ \. [A-Za-z0-9_-]{6,}+ \. )
    (?P<before> (?: [A-Za-z0-9_]*+ - )*? )
    eyJ[A-Za-z0-9_-]{6,} \. [A-Za-z0-9_-]{6,} \. [A-Za-z0-9_-]*
    """,
    re.VERBOSE,
)
_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----.*?(?:-----END (?P=kind)-----|\Z)", re.DOTALL)
_KEY_OF_OURS = re.compile(rf"(?<![A-Za-z0-9]){KEY_PREFIX}[0-9a-f]{{16,}}")

#: The fewest characters of a credential that is known by its form: a JSON Web Token's.
_SHORTEST = 17


@lru_cache(maxsize=8)
def _words(more: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{'|'.join((*WORDS, *more))})(?:_|$)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _is_secret(key: str, more: tuple[str, ...]) -> bool:
    words = _NOT_A_WORD.sub("_", _CAMEL.sub("_", key)).strip("_")
    return _words(more).search(words) is not None


def is_secret(key: str) -> bool:
    """Whether what stands under *key* must not be shown."""
    return _is_secret(key, tuple(settings.REDACT_KEYS))


def text(value: str) -> str:
    """*value* with the secrets in it masked; everything else is left as it is."""
    if _harmless(value):
        return value
    value = _PEM.sub(MASK, value)
    value = _USERINFO.sub(rf"\g<start>:{MASK}@", value)
    value = _pairs(value)
    value = _CREDENTIALS.sub(rf"\g<scheme> {MASK}", value)
    value = _KEY_OF_OURS.sub(MASK, value)
    return _JWT.sub(rf"\g<before>{MASK}", value)


def _harmless(value: str) -> bool:
    """Whether *value* is seen at a glance to hold no secret: most ids, names, numbers and codes are."""
    if "=" in value or ":" in value:
        return False
    return len(value) < _SHORTEST or (" " not in value and "eyJ" not in value and KEY_PREFIX not in value)


def _pairs(value: str) -> str:
    """*value* with what follows secret keys masked. What follows other keys is searched in its turn."""
    parts, copied, place = [], 0, 0
    while key := _KEY.search(value, place):
        place = key.end()
        if is_secret(key["key"]) and (secret := _VALUE.match(value, place)):
            parts += [value[copied:place], _masked(secret[0], secret["escaped"] or "")]
            copied = place = secret.end()
    return "".join([*parts, value[copied:]])


def _masked(value: str, escape: str) -> str:
    """The mask in the quotes that the value had, so that JSON stays JSON."""
    if escape:
        return f'{escape}"{MASK}{escape}"'
    for quote in "\"'":
        before, found, _ = value.partition(quote)
        if found and len(before) <= 2:
            return f"{before}{quote}{MASK}{quote}"
    return MASK


def redact(value: Any, *, _depth: int = 0) -> Any:
    """A JSON value with its secrets masked, by the keys of its objects and in its strings.

    The value that was given is not changed. Under a secret key everything is masked but null.
    """
    if isinstance(value, str):
        return text(value)
    if _depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            key: MASK if item is not None and is_secret(str(key)) else redact(item, _depth=_depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item, _depth=_depth + 1) for item in value]
    return value
