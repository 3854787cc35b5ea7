"""Recording events."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from apps.core import context
from apps.events import registry
from apps.events.records import STREAM_NAME, NewEvent, NewEvents, StoredEvent
from apps.events.store import LazyEvents

_encode = DjangoJSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
#: An escaped NUL, and not an escaped backslash before an innocent u0000.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class StreamConflict(Exception):
    """The stream was not at the expected version: somebody else wrote first. Nothing was recorded."""


def append(*, stream: str, after: int, events: Sequence[NewEvent]) -> Sequence[StoredEvent]:
    """Record *events* as versions ``after + 1`` and up of *stream*: all of them or none.

    *after* is the version that the caller has seen (0: the stream does not exist yet). In a
    transaction of the caller's the events are recorded with it and vanish if it rolls back.

    Raises `StreamConflict` when the stream stands at another version, without spoiling the caller's
    transaction; `registry.UnknownEventType` and `ValueError` for events that are not well-formed.
    """
    return append_many([NewEvents(stream=stream, after=after, events=tuple(events))])[0]


def append_many(batches: Sequence[NewEvents]) -> list[Sequence[StoredEvent]]:
    """Record events of several streams at once, as `append` does each: all of them or none.

    Returns what was recorded, batch by batch. Raises what `append` raises, and `ValueError` for a
    stream that is named twice.
    """
    # In one order whatever the caller's, so that two calls that share streams cannot wait for each other.
    ordered = sorted((batch for batch in batches if batch.events), key=lambda batch: batch.stream)
    document = _document(ordered)
    meta = context.current().as_meta()
    recorded: dict[str, Sequence[StoredEvent]] = {}
    if ordered:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT conflict, positions, recorded_at, xid::text FROM events_append(%s::jsonb, %s::jsonb)",
                [document, json.dumps(meta)],
            )
            conflict, positions, now, xid = cursor.fetchone()
        if conflict is not None:
            raise StreamConflict(f"somebody else wrote first: {conflict}")
        recorded = _recorded(ordered, document, positions, meta=meta, recorded_at=now, xid=int(xid))
    return [recorded.get(batch.stream, []) for batch in batches]


def _document(batches: Sequence[NewEvents]) -> str:
    """What ``events_append`` takes; raises where something is not well-formed."""
    for before, batch in zip([None, *batches], batches, strict=False):
        if not STREAM_NAME.fullmatch(batch.stream):
            raise ValueError(f"{batch.stream!r} is no name of a stream: kind:name is")
        if before is not None and before.stream == batch.stream:
            raise ValueError(f"{batch.stream} is named twice")
    content: list[Any] = [
        (
            batch.stream,
            batch.after,
            [
                (event.type, registry.check(event.type, event.data).version, event.data)
                for event in batch.events
            ],
        )
        for batch in batches
    ]
    try:
        return _text(content)
    except ValueError:
        for batch in batches:
            for event in batch.events:
                try:
                    _text(event.data)
                except ValueError as exc:
                    raise ValueError(f"the data of {event.type} cannot be stored: {exc}") from None
        raise


def _text(value: Any) -> str:
    """JSON that jsonb holds; raises `ValueError`."""
    try:
        text = _encode(value)
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is no text") from None
    except TypeError as exc:
        raise ValueError(str(exc)) from None
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("PostgreSQL's text holds no NUL character")
    return text


def _recorded(
    batches: Sequence[NewEvents],
    document: str,
    positions: Sequence[int],
    *,
    meta: dict[str, str],
    recorded_at: datetime,
    xid: int,
) -> dict[str, Sequence[StoredEvent]]:
    """What was stored, by stream, as reading it would give it."""

    @cache
    def content() -> Any:
        return json.loads(document)

    def make(index: int, at: int) -> list[StoredEvent]:
        stream, after, events = content()[index]
        return [
            StoredEvent(
                position=positions[at + place],
                stream=stream,
                version=after + 1 + place,
                type=type_,
                schema_version=schema_version,
                data=data,
                meta=meta,
                recorded_at=recorded_at,
                xid=xid,
            )
            for place, (type_, schema_version, data) in enumerate(events)
        ]

    recorded: dict[str, Sequence[StoredEvent]] = {}
    at = 0
    for index, batch in enumerate(batches):
        recorded[batch.stream] = LazyEvents(len(batch.events), partial(make, index, at))
        at += len(batch.events)
    return recorded
