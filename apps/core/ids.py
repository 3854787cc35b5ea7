"""UUIDv7 identifiers (RFC 9562): 48 bits of Unix milliseconds, then random or derived bits."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime


def _assemble(milliseconds: int, tail: int) -> uuid.UUID:
    """Lay out a UUIDv7 from 48 bits of milliseconds and 74 bits of tail."""
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((tail >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= tail & ((1 << 62) - 1)
    return uuid.UUID(int=value)


def uuid7() -> uuid.UUID:
    """A new identifier; later ones sort after earlier ones to the millisecond."""
    return _assemble(time.time_ns() // 1_000_000, secrets.randbits(74))


def uuid7_of(moment: datetime, name: str) -> uuid.UUID:
    """The same identifier for the same aware *moment* and *name*, everywhere.

    Two processes that act on the same occasion (two beats at one tick) thereby agree on one
    identifier, and the primary key lets only the first of them in.
    """
    milliseconds = int(moment.timestamp() * 1000)
    digest = hashlib.sha256(f"{milliseconds}:{name}".encode()).digest()
    return _assemble(milliseconds, int.from_bytes(digest[:10], "big") >> 6)


def first_of(moment: datetime) -> uuid.UUID:
    """The least identifier of an aware *moment*: those that are made then or later are not less."""
    return _assemble(int(moment.timestamp() * 1000), 0)


def moment_of(identifier: uuid.UUID) -> datetime:
    """The creation time carried by a UUIDv7, in UTC."""
    if identifier.version != 7:
        raise ValueError(f"{identifier} is not a version 7 UUID")
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
