"""Bodies in JSON, refused where they hold what no database takes and no answer could show again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser

from apps.core.problems import ContentTooLarge

#: Levels of lists and objects within each other.
_DEEPEST = 100
#: What 64 bits hold.
_LEAST, _MOST = -(2**63), 2**63 - 1
#: What bodies are looked through for: an escape of NUL or of half a character, and long numbers.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|[0-9]{19}|[eE]\+?[0-9]{3}")


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 (RFC 8259).

    Raises `ParseError`, `ContentTooLarge`, and `ValidationError` naming the place.
    Refused are whole numbers beyond 64 bits, numbers beyond floats, NaN, null characters, halves of surrogate
    pairs, what is nested deeper than `_DEEPEST`, and more bytes than ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw: bytes = stream.read(limit + 1)
        if len(raw) > limit:
            raise ContentTooLarge(f"A body has at most {limit:,} bytes here.")
        return parsed(raw)


def parsed(raw: bytes) -> Any:
    """What the bytes say. Raises as `StrictJSONParser`, but for their number."""
    try:
        body = json.loads(raw.decode(), parse_constant=_constant)
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8.") from None
    except ValueError as exc:
        raise ParseError(f"The body is not JSON: {exc}.") from None
    # Nearly all bodies are seen at a glance to hold nothing of that.
    if _SUSPECT.search(raw) or raw.count(b"[") + raw.count(b"{") > _DEEPEST:
        for path, value in _walked(body):
            if fault := _fault(value):
                raise ValidationError({path or "non_field_errors": [fault]})
    return body


def _constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _walked(body: Any) -> Iterator[tuple[str, Any]]:
    """Each text and number in *body* with its path. Raises `ParseError` where it is nested too deeply."""
    rest = [("", body, 0)]
    while rest:
        path, value, depth = rest.pop()
        if depth > _DEEPEST:
            raise ParseError(f"The body is nested more than {_DEEPEST} levels deep.")
        if isinstance(value, dict):
            for name, inner in value.items():
                yield path, name
                rest.append((f"{path}.{name}".lstrip("."), inner, depth + 1))
        elif isinstance(value, list):
            rest += [(f"{path}.{place}".lstrip("."), inner, depth + 1) for place, inner in enumerate(value)]
        else:
            yield path, value


def _fault(value: Any) -> str:
    """Why the value cannot be taken; empty where it can."""
    if isinstance(value, str):
        if "\0" in value:
            return "Null characters are not allowed."
        try:
            value.encode()
        except UnicodeEncodeError:
            return "Half of a surrogate pair is no character."
    elif isinstance(value, int):
        return "" if _LEAST <= value <= _MOST else "A whole number may have 64 bits at most."
    elif isinstance(value, float) and math.isinf(value):
        return "The number is too large."
    return ""
