"""Rows of the event table to values; shared by reading and writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, overload

from apps.events.records import StoredEvent

#: What `from_row` expects, in its order.
COLUMNS = "position, stream, version, type, schema_version, data, meta, recorded_at, xid::text"


def from_row(row: Sequence[Any]) -> StoredEvent:
    """A row of `COLUMNS`."""
    position, stream, version, type_, schema_version, data, meta, recorded_at, xid = row
    return StoredEvent(
        position=position,
        stream=stream,
        version=version,
        type=type_,
        schema_version=schema_version,
        # A raw cursor of Django's hands jsonb over as text.
        data=json.loads(data) if isinstance(data, str) else data,
        meta=json.loads(meta) if isinstance(meta, str) else meta,
        recorded_at=recorded_at,
        xid=int(xid),
    )


class LazyEvents(Sequence[StoredEvent]):
    """Events that are made when somebody looks at the first of them; most writers never do."""

    def __init__(self, length: int, make: Callable[[], list[StoredEvent]]) -> None:
        self._length, self._make = length, make

    @cached_property
    def _events(self) -> list[StoredEvent]:
        return self._make()

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> StoredEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StoredEvent]: ...
    def __getitem__(self, index: int | slice) -> StoredEvent | Sequence[StoredEvent]:
        return self._events[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._events == list(other)

    def __repr__(self) -> str:
        return repr(self._events)
