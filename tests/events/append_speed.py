"""How fast the store appends, beside a bare COPY of the same events into the same table.

Used by the test beside it and by benchmarks: interleaved, on one connection, medians.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from time import perf_counter

from django.db import connection, transaction

from apps.core import context
from apps.core.ids import uuid7
from apps.events import registry
from apps.events.records import NewEvent
from apps.events.services import append

registry.register(
    registry.EventType(
        name="speed.measured", meaning="An event of a measurement.", fields=frozenset({"size", "name"})
    )
)
_META = {"actor": "user:1", "worker": "w1@host"}


def _events(count: int) -> list[NewEvent]:
    return [
        NewEvent(
            type="speed.measured",
            data={"size": i, "name": f"item {i}", "due_at": "2026-01-01T00:00:00+00:00", "parts": [i, i + 1]},
        )
        for i in range(count)
    ]


def _store(stream: str, events: list[NewEvent]) -> None:
    append(stream=stream, after=0, events=events)


def _copy(stream: str, events: list[NewEvent]) -> None:
    """What somebody without the store would write: no version check, no savepoint, nothing returned."""
    meta = json.dumps(_META)
    with (
        transaction.atomic(savepoint=False),
        connection.cursor() as cursor,
        cursor.copy(
            "COPY events_event (stream, version, type, schema_version, data, meta) FROM STDIN"
        ) as copy,
    ):
        for version, event in enumerate(events, 1):
            copy.write_row((stream, version, event.type, 1, json.dumps(event.data), meta))


def ratio(*, size: int = 100, rounds: int = 60, inside: bool = False) -> float:
    """Events a second of the store divided by those of COPY, in batches of *size*.

    *inside*: all in one transaction of the caller's instead of one transaction for each batch.
    """
    contenders: dict[str, Callable[[str, list[NewEvent]], None]] = {"store": _store, "copy": _copy}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    with context.bind(**_META), transaction.atomic() if inside else nullcontext():
        for _ in range(rounds):
            for name in random.sample(sorted(contenders), len(contenders)):
                stream, events = f"speed:{uuid7()}", _events(size)
                began = perf_counter()
                contenders[name](stream, events)
                taken[name].append(perf_counter() - began)
    return median(taken["copy"]) / median(taken["store"])
