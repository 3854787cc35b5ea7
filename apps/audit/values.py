"""Making values fit to be kept: JSON that the database takes, without secrets, and not too long."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from apps.core import redaction

#: Characters of a text column, of an object's key, and of a name in a list.
TEXT_LIMIT = 500
#: Stands where something was cut.
CUT = "…"

#: Deeper nesting than this is not kept.
_DEEPEST = 32
#: Less room than this is not worth to be filled with a part of a value.
_SHORTEST = 64
#: Characters of JSON that a character comes to at most.
_LONGEST_ESCAPE = 6
#: Beside a key and its value: quotes, colon, comma, or the digits of a number below `_LARGE`.
_AROUND = 16
_LARGE = 10**9

_encoder = DjangoJSONEncoder()
_PLAIN = frozenset({int, bool, type(None)})


def line(value: object, limit: int = TEXT_LIMIT) -> str:
    """*value* as text for a column: cut to *limit* characters."""
    text = value if type(value) is str else "" if value is None else str(value)
    if not text.isprintable():
        text = _storable(text)
    return text if len(text) <= limit else text[: limit - 1] + CUT


def kept(value: Any, limit: int) -> Any:
    """*value* as it is kept: a JSON value whose secrets are masked, of at most *limit* characters of JSON.

    Strings that are too long are cut, and of what does not fit the rest is left out; `CUT` stands there.
    Decimals, times, dates and UUIDs become strings. Raises `TypeError` for what is no JSON otherwise.
    """
    if value is None:
        return None
    clean = _clean(value, 0)
    if _surely_fits(clean, limit) or _length(clean) <= limit:
        return clean
    return _shortened(clean, max(limit, _SHORTEST))


def _storable(text: str) -> str:
    """*text* without what PostgreSQL does not take: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _clean(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        if not value.isprintable():
            value = _storable(value)
        return redaction.text(value)
    if kind in _PLAIN:
        return value
    if depth > _DEEPEST:
        return CUT
    if isinstance(value, Mapping):
        return {
            line(key): redaction.MASK
            if item is not None and redaction.is_secret(str(key))
            else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(item, depth + 1) for item in value]
    return _other(value, depth)


def _other(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    # Members of enumerations among them.
    if isinstance(value, str):
        return _clean(str.__str__(value), depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Set):
        return [_clean(item, depth + 1) for item in sorted(value, key=str)]
    try:
        return _clean(_encoder.default(value), depth)
    except TypeError:
        raise TypeError(f"an audit entry cannot hold a {type(value).__name__}: it is not JSON") from None


def _surely_fits(value: Any, limit: int) -> bool:
    """Whether *value* is seen at a glance to be short enough: most are short objects of short values."""
    if type(value) is not dict:
        return False
    size = 0
    for key, item in value.items():
        if type(item) is str:
            size += len(item)
        elif type(item) not in _PLAIN or (item is not None and not -_LARGE < item < _LARGE):
            return False
        size += len(key) + _AROUND
    return size * _LONGEST_ESCAPE <= limit


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))


def _shortened(value: Any, room: int) -> Any:
    """As much of *value* as *room* characters of JSON hold."""
    if isinstance(value, str):
        return _shortened_text(value, room)
    if isinstance(value, dict):
        some: dict[str, Any] = {}
        room -= len('{, "…": "99999999 more"}')
        for key, item in value.items():
            room -= _length(key) + len(": , ")
            length = _length(item)
            if length > room:
                if room >= _SHORTEST:
                    some[key] = _shortened(item, room)
                if len(some) < len(value):
                    some[CUT] = f"{len(value) - len(some)} more"
                return some
            some[key] = item
            room -= length
        return some
    if isinstance(value, list):
        items: list[Any] = []
        room -= len('[, "… 99999999 more"]')
        for item in value:
            length = _length(item) + len(", ")
            if length > room:
                if room >= _SHORTEST:
                    items.append(_shortened(item, room))
                if len(items) < len(value):
                    items.append(f"{CUT} {len(value) - len(items)} more")
                return items
            items.append(item)
            room -= length
        return items
    return CUT


def _shortened_text(value: str, room: int) -> str:
    room -= len('"…"')
    text = value[:room]
    # What JSON writes with several characters counts as these.
    while (length := _length(text) - len('""')) > room:
        text = text[: len(text) * room // length]
    return text + CUT
