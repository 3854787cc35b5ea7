"""Events as values: to be stored, and as stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.events import registry


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """Something to record. Its type must be registered and its data complete."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


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
    #: The transaction that recorded it.
    xid: int

    def current_data(self) -> dict[str, Any]:
        """The data at the type's current schema version; raises `registry.UnknownEventType`."""
        return registry.current_data(self.type, self.schema_version, self.data)
