"""Contexts of e-mails as plain values: what others wrote in them cannot break out of its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from apps.notifications import conf

#: Characters of one text; what is longer is cut.
LONGEST = 1000
#: Control characters, what changes the direction of writing, and halves of surrogate pairs.
_UNFIT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """*context* as JSON values, in which every text is one line of at most `LONGEST` characters.

    Times, decimals and UUIDs become text. What stands under ``url`` may be a path of this installation, and
    becomes an absolute address. Raises `ValueError` for what is not JSON, or no address.
    """
    try:
        values = json.loads(json.dumps(context, cls=DjangoJSONEncoder))
    except TypeError as exc:
        raise ValueError(f"a context holds JSON values only: {exc}") from None
    tidied: dict[str, Any] = _tidy(values)
    return tidied


def one_line(text: str, longest: int = LONGEST) -> str:
    """*text* in one line, without characters that would not be seen."""
    line = " ".join(_UNFIT.sub("\ufffd", text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _tidy(value: Any, key: str = "") -> Any:
    if isinstance(value, str):
        return _absolute(value) if key == "url" else one_line(value)
    if isinstance(value, dict):
        return {one_line(name): _tidy(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _absolute(url: str) -> str:
    if url.startswith("/") and not url.startswith("//"):
        url = f"{conf.public_url()}{url}"
    if not re.fullmatch(r"https?://[^\s\x00-\x1f\x7f<>\"]{1,2000}", url):
        raise ValueError(f"not an address that a mail can link to: {url[:200]!r}")
    return url
