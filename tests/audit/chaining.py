"""Chains for tests, and what somebody who can write to the database does to them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from apps.audit import Action, canonical, keys, register, verifying
from apps.audit.chain import append
from apps.audit.entries import NewEntry, new_entry
from apps.audit.integrity import Examination
from apps.audit.models import Entry
from apps.audit.tasks import write_entries
from apps.core.ids import uuid7
from apps.tasks.models import Entry as Waiting
from apps.tasks.testing import run_pending

KEYS = {name: f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("new", "old")}
MOMENT = datetime(2026, 11, 27, 8, 30, 15, 123456, tzinfo=UTC)

TESTED = register(Action(name="test.done", label="Tested", object_type="test.thing"))


def entry(number: int = 1, **fields: Any) -> NewEntry:
    """An entry of the action `TESTED`, on the object of that number."""
    return new_entry(
        **{
            "id": uuid7(),
            "occurred_at": MOMENT + timedelta(seconds=number),
            "action": TESTED.name,
            "object_id": number,
            "actor": "user:7",
            "detail": {"number": number},
            **fields,
        }
    )


def grow(count: int) -> None:
    """Append so many entries."""
    append([entry(number) for number in range(1, count + 1)])


def written(**lookups: Any) -> list[Entry]:
    """Execute what is pending, and return the entries that are in the chain, oldest first."""
    run_pending()
    return list(Entry.objects.filter(**lookups).order_by("sequence"))


def waiting() -> list[dict[str, Any]]:
    """What was put and is not written, with the actor of its context."""
    return [
        {"actor": one.meta.get("actor", ""), **one.payload}
        for one in Waiting.objects.filter(task=write_entries.name)
    ]


def tamper(statement: str, parameters: Any = None) -> None:
    """Execute SQL as somebody who knows how to turn the guard off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'on'")
        cursor.execute(statement, parameters)
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'off'")


def findings(**options: Any) -> list[str]:
    """What is wrong with the chain."""
    return [str(finding) for finding in Examination(**options)]


def rehash(first: int) -> None:
    """Hash the rows from *first* on anew, and put the head behind them: as who has no key can."""
    rows = list(Entry.objects.filter(sequence__gte=first - 1).order_by("sequence"))
    previous = canonical.GENESIS if first == 1 else bytes(rows.pop(0).hash)
    for row in rows:
        fields = {name: getattr(row, name) for name in canonical.Row._fields}
        for name in ("before", "after", "detail"):
            fields[name] = canonical.ABSENT if fields[name] is None else fields[name]
        fields.update(
            id=str(row.id),
            occurred_at=canonical.microseconds(row.occurred_at),
            recorded_at=canonical.microseconds(row.recorded_at),
            key_id="",
            previous_hash=previous,
        )
        digest = keys.digest("", canonical.encode(canonical.Row(**fields)))
        tamper(
            "UPDATE audit_entry SET previous_hash = %s, hash = %s, key_id = '' WHERE sequence = %s",
            [previous, digest, row.sequence],
        )
        previous = digest
    tamper("UPDATE audit_head SET hash = %s, sequence = %s", [previous, rows[-1].sequence])


def sound_up_to() -> int:
    """How far the last sound verification came."""
    sound = verifying.last_sound()
    return sound.through if sound else 0
