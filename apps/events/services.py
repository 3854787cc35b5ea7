"""Recording events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from apps.core import context
from apps.core.resources import sql
from apps.events import registry
from apps.events.records import NewEvent, StoredEvent
from apps.events.store import from_row


class StreamConflict(Exception):
    """The stream was not at the expected version: somebody else wrote first. Nothing was recorded."""


@transaction.atomic
def append(*, stream: str, after: int, events: Sequence[NewEvent]) -> list[StoredEvent]:
    """Record *events* as versions ``after + 1`` and up of *stream*: all of them or none.

    *after* is the version that the caller has seen (0: the stream does not exist yet). In a
    transaction of the caller's the events are recorded with it and vanish if it rolls back.

    Raises `StreamConflict` when the stream stands at another version, without spoiling the caller's
    transaction; `registry.UnknownEventType` and `ValueError` for events that are not well-formed.
    """
    kinds = [registry.check(event.type, event.data) for event in events]
    if not kinds:
        return []
    parameters: dict[str, Any] = {
        "stream": stream,
        "after": after,
        "types": [kind.name for kind in kinds],
        "schema_versions": [kind.version for kind in kinds],
        "data": [json.dumps(event.data, cls=DjangoJSONEncoder) for event in events],
        "meta": json.dumps(context.current().as_meta()),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "append.sql"), parameters)
        stored = [from_row(row) for row in cursor.fetchall()]
    if len(stored) != len(kinds):
        raise StreamConflict(f"{stream} is not at version {after}")
    return sorted(stored, key=lambda event: event.version)
