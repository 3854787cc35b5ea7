"""Appending to the chain."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from apps.audit import canonical, keys
from apps.audit.canonical import ABSENT, Row
from apps.audit.entries import NewEntry
from apps.core.resources import sql


class HeadMissing(Exception):
    """The row that holds the end of the chain is not there, or not what it was: somebody was at it."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """How far the chain has come, and how much of its beginning was pruned."""

    sequence: int
    hash: bytes
    pruned_through: int
    pruned_hash: bytes

    @property
    def mark(self) -> str:
        """``sequence:hash``: kept elsewhere, it proves later that the chain still has this row."""
        return f"{self.sequence}:{self.hash.hex()}"


def head() -> Head:
    """The present end of the chain. Raises `HeadMissing`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sequence, hash, pruned_through, pruned_hash FROM audit_head")
        row = cursor.fetchone()
    if row is None:
        raise HeadMissing("audit_head is empty")
    return Head(sequence=row[0], hash=bytes(row[1]), pruned_through=row[2], pruned_hash=bytes(row[3]))


def append(entries: Sequence[NewEntry]) -> int:
    """Append entries to the chain, in the order given; returns how many were not in it before.

    Part of the caller's transaction, which holds the end of the chain from here on: nobody else appends until
    it ends, so let this be among the last things that it does. Entries whose ids are in the chain are left
    out, and leave no hole. Works in transactions of the level READ COMMITTED. Raises `HeadMissing`.
    """
    if not entries:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql(__package__, "head.sql"))
        end = cursor.fetchone()
        if end is None:
            raise HeadMissing("audit_head is empty: nothing can be appended")
        sequence, previous, now = int(end[0]), bytes(end[1]), end[2]
        cursor.execute(sql(__package__, "present.sql"), {"ids": [entry.id for entry in entries]})
        known = {found for (found,) in cursor.fetchall()}
        new: dict[uuid.UUID, NewEntry] = {}
        for entry in entries:
            if entry.id not in known:
                new.setdefault(entry.id, entry)
        if not new:
            return 0
        batch = _Batch(sequence=sequence, previous=previous, recorded_at=now.astimezone(UTC))
        for entry in new.values():
            batch.add(entry)
        cursor.execute(sql(__package__, "append.sql"), batch.parameters())
        if cursor.rowcount != 1:
            raise HeadMissing("audit_head changed although it was held")
    return len(new)


class _Batch:
    """Rows that follow each other, column by column."""

    _TEXTS = (
        "actor", "action", "object_type", "object_id", "account", "outcome", "user_agent", "request_id",
        "correlation_id",
    )  # fmt: skip

    def __init__(self, *, sequence: int, previous: bytes, recorded_at: datetime) -> None:
        self._first, self._sequence, self._previous = sequence + 1, sequence, previous
        self._recorded_at, self._key_id = recorded_at, keys.current()
        columns = (
            "sequence",
            "id",
            "occurred_at",
            "address",
            "before",
            "after",
            "detail",
            "previous_hash",
            "hash",
        )
        self._columns: dict[str, list[Any]] = {name: [] for name in (*columns, *self._TEXTS)}

    def add(self, entry: NewEntry) -> None:
        """Let *entry* be the next row."""
        self._sequence += 1
        row = Row(
            sequence=self._sequence,
            id=str(entry.id),
            occurred_at=canonical.microseconds(entry.occurred_at),
            recorded_at=canonical.microseconds(self._recorded_at),
            actor=entry.actor,
            action=entry.action,
            object_type=entry.object_type,
            object_id=entry.object_id,
            account=entry.account,
            outcome=entry.outcome,
            address=entry.address or None,
            user_agent=entry.user_agent,
            request_id=entry.request_id,
            correlation_id=entry.correlation_id,
            before=_or_absent(entry.before),
            after=_or_absent(entry.after),
            detail=_or_absent(entry.detail),
            key_id=self._key_id,
            previous_hash=self._previous,
        )
        digest = keys.digest(self._key_id, canonical.encode(row))
        columns = self._columns
        for name in self._TEXTS:
            columns[name].append(getattr(entry, name))
        for name in ("before", "after", "detail"):
            columns[name].append(_json(getattr(entry, name)))
        columns["sequence"].append(self._sequence)
        columns["id"].append(entry.id)
        columns["occurred_at"].append(entry.occurred_at)
        columns["address"].append(entry.address or None)
        columns["previous_hash"].append(self._previous)
        columns["hash"].append(digest)
        self._previous = digest

    def parameters(self) -> dict[str, Any]:
        """What the statement takes."""
        return {
            **self._columns,
            "encoding": canonical.VERSION,
            "recorded_at": self._recorded_at,
            "key_id": self._key_id,
            "first": self._first,
            "last": self._sequence,
            "last_hash": self._previous,
        }


def _or_absent(value: Any) -> Any:
    return ABSENT if value is None else value


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)
