"""Events as values: to be stored, and as stored."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.events import registry

#: A kind and a name within it, as ``task:018f…``: no white space, and no kind of two spellings.
STREAM_NAME = re.compile(r"[a-z][a-z0-9_.-]*:[^\s:]\S*")


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """Something to record. Its type must be registered and its data complete."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewEvents:
    """Events to record at the end of one stream, which the caller has seen at version *after*."""

    stream: str
    after: int
    events: tuple[NewEvent, ...]


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """Something recorded."""

    position: int
    stream: str
    version: int
    type: str
    schema_version: int
    data: dict[str, Any]
    meta: dict[str, Any]
    recorded_at: datetime
    #: The transaction that recorded it; 0 for an event that came back from the archive.
    xid: int

    def current_data(self) -> dict[str, Any]:
        """The data at the type's current schema version; raises `registry.UnknownEventType`."""
        return registry.current_data(self.type, self.schema_version, self.data)
