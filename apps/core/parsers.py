"""Bodies in JSON, refused where they hold what no database takes and no answer could show again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from apps.core.problems import ContentTooLarge

#: Digits of the longest whole number, with its sign: what 64 bits hold.
_DIGITS = 20
#: An escape of NUL, or of half a character beyond the Unicode plane that 16 bits reach.
_SUSPECT = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 (RFC 8259). Raises `ParseError` and `ContentTooLarge`.

    Refused are numbers beyond 64 bits and beyond floats, NaN, null characters, halves of surrogate pairs,
    what is nested deeper than Python reads, and more bytes than ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
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
    """What the bytes say. Raises `ParseError`."""
    try:
        body = json.loads(raw.decode(), parse_constant=_constant, parse_float=_number, parse_int=_integer)
        if _SUSPECT.search(raw):
            _check(body)
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8.") from None
    except ValueError as exc:
        raise ParseError(f"The body is not JSON: {exc}.") from None
    return body


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ParseError("The body holds a whole number of more than 64 bits.")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ParseError("The body holds a number that is too large.")
    return number


def _constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _check(value: Any) -> None:
    """Raises `ParseError` where a text in *value* is none."""
    if isinstance(value, str):
        if "\0" in value:
            raise ParseError("The body holds a null character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ParseError("The body holds half of a surrogate pair.") from None
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key)
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
