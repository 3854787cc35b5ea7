"""The event types that exist, their schema versions, and how old data is read.

A type is registered once, at import. Data written under an earlier schema version is brought to the
current one on reading, version by version; what is stored never changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownEventType(LookupError):
    """An event's type, or the schema version of its data, is not known to this code."""


@dataclass(frozen=True, kw_only=True)
class EventType:
    """A kind of event: its dotted name, what it means, and the keys its data always has."""

    name: str
    meaning: str
    fields: frozenset[str] = frozenset()
    version: int = 1


_types: dict[str, EventType] = {}
_upcasters: dict[tuple[str, int], Upcaster] = {}


def register(event_type: EventType) -> EventType:
    """Make *event_type* known. Registering another type under the same name is refused."""
    known = _types.get(event_type.name)
    if known is not None and known != event_type:
        raise ValueError(f"event type {event_type.name} is registered already")
    _types[event_type.name] = event_type
    return event_type


def upcast(name: str, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register the decorated function as the step from *from_version* to the next."""

    def add(function: Upcaster) -> Upcaster:
        if (name, from_version) in _upcasters:
            raise ValueError(f"{name} has an upcaster from version {from_version} already")
        _upcasters[name, from_version] = function
        return function

    return add


def event_type(name: str) -> EventType:
    """The registered type of that name; raises `UnknownEventType`."""
    try:
        return _types[name]
    except KeyError:
        raise UnknownEventType(f"no event type {name!r} is registered") from None


def all_types() -> list[EventType]:
    """Every registered type, by name."""
    return [_types[name] for name in sorted(_types)]


def check(name: str, data: dict[str, Any]) -> EventType:
    """The type *name*, if *data* has its shape: named values, among them all of its fields.

    Raises `ValueError` otherwise, and `UnknownEventType`.
    """
    kind = event_type(name)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ValueError(f"the data of {name} must be a dict whose keys are strings")
    missing = kind.fields - data.keys()
    if missing:
        raise ValueError(f"{name} lacks {', '.join(sorted(missing))}")
    return kind


def current_data(name: str, schema_version: int, data: dict[str, Any]) -> dict[str, Any]:
    """*data* at the type's current schema version; raises `UnknownEventType`."""
    kind = event_type(name)
    if schema_version > kind.version:
        raise UnknownEventType(f"{name} is at version {kind.version} here, the event has {schema_version}")
    while schema_version < kind.version:
        step = _upcasters.get((name, schema_version))
        if step is None:
            raise UnknownEventType(f"{name} cannot be read at version {schema_version}: no upcaster")
        data = step(dict(data))
        schema_version += 1
    return data
