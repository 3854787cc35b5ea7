"""Rows of the event table to values; shared by reading and writing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from apps.events.records import StoredEvent


def from_row(row: Sequence[Any]) -> StoredEvent:
    """A row of position, stream, version, type, schema_version, data, meta, recorded_at, xid::text."""
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
