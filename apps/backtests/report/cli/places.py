"""Where in a JSON text a field stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def place(text: str, field: str) -> tuple[int, int] | None:
    """Line and column, from 1, of the field with this dotted path in a valid JSON *text*, or of the nearest
    one above it; None where not even that is there.
    """
    offsets = dict(_fields(text))
    while field:
        if field in offsets:
            before = text[: offsets[field]]
            return before.count("\n") + 1, len(before) - before.rfind("\n")
        field = field.rpartition(".")[0]
    return None


def _fields(text: str) -> Iterator[tuple[str, int]]:
    """Every field of every object, by its dotted path, and where its name begins."""
    path: list[str | int] = []
    opened: list[str] = []
    names = False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "{[":
            opened.append(mark)
            path.append(0)
            names = mark == "{"
        elif mark in "}]":
            opened.pop()
            path.pop()
            names = False
        elif mark == ",":
            names = opened[-1] == "{"
            if not names:
                path[-1] = int(path[-1]) + 1
        elif names and mark != ":":
            path[-1] = str(json.loads(mark))
            yield ".".join(map(str, path)), token.start()
            names = False
