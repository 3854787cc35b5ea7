"""Contexts of e-mails as plain values: what others wrote in them cannot break out of its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

#: Characters of one text; what is longer is cut.
LONGEST = 1000
#: Control characters, what changes the direction of writing, and halves of surrogate pairs.
_UNFIT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: A path of this installation, or an address of the web.
_URL = re.compile(r"(?:/(?!/)|https?://(?=[^/]))[^\s\x00-\x1f\x7f<>\"]{0,2000}")


def plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """*context* as JSON values, in which every text is one line of at most `LONGEST` characters.

    Times, decimals and UUIDs become text. What stands under ``url`` is a path of this installation, an
    absolute address, or empty. Raises `ValueError` for what is not JSON, or no address.
    """
    try:
        values = json.loads(json.dumps(context, cls=DjangoJSONEncoder, allow_nan=False))
    except (TypeError, ValueError) as exc:
        raise ValueError(f"a context holds JSON values only: {exc}") from None
    tidied: dict[str, Any] = _tidy(values)
    return tidied


def absolute(value: Any, *, base: str) -> Any:
    """A plain *value* in which paths under ``url`` are addresses that begin with *base*."""
    if isinstance(value, dict):
        return {
            name: f"{base}{item}"
            if name == "url" and isinstance(item, str) and item.startswith("/")
            else absolute(item, base=base)
            for name, item in value.items()
        }
    return [absolute(item, base=base) for item in value] if isinstance(value, list) else value


def one_line(text: str, longest: int = LONGEST) -> str:
    """*text* in one line, without characters that would not be seen."""
    line = " ".join(_UNFIT.sub("\ufffd", text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _tidy(value: Any, key: str = "") -> Any:
    if isinstance(value, str):
        return _address(value) if key == "url" else one_line(value)
    if isinstance(value, dict):
        return {one_line(name): _tidy(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _address(url: str) -> str:
    if url and not _URL.fullmatch(url):
        raise ValueError(f"not an address that a mail can link to: {url[:200]!r}")
    return url
