"""What goes back over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

JSON = "application/json;charset=UTF-8"
HTML = "text/html"

#: Open time (ms), open, high, low, close, volume, and what else an exchange tells of a bar.
Row = list[Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, a body and headers."""

    status: int = 200
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candles:
    """Candles in order of time, and how the exchange dresses them: a fault may spoil them in between."""

    rows: list[Row]
    dress: Callable[[list[Row]], Any]


def json_answer(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status=status, body=json.dumps(value, separators=(",", ":")).encode(), headers=headers)


def page(status: int, title: str) -> str:
    """The kind of page that a gateway sends."""
    return f"<html><head><title>{status} {title}</title></head><body>{status} {title}</body></html>"


def answer_of(status: int, content: Any, headers: Mapping[str, str]) -> Answer:
    """An answer of *content*: a text as it is, everything else as JSON."""
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    kind = HTML if body.startswith(b"<") else JSON
    return Answer(status=status, body=body, content_type=kind, headers=tuple(headers.items()))
