"""How fast events are recorded: the store, and COPY into its table without it."""

from __future__ import annotations

import json
import time
from typing import Any

from django.db import connection, transaction

from apps.core.ids import uuid7
from apps.events import registry, services
from apps.events.records import NewEvent
from tests.benchmarks import database
from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_SIZE = 100
_TYPE = registry.register(
    registry.EventType(
        name="benchmark.happened", meaning="Something to be recorded.", fields=frozenset({"number", "text"})
    )
)


def _data(number: int) -> dict[str, Any]:
    return {"number": number, "text": "what happened, in some fifty characters of text", "price": "23140.48"}


class Appending(Experiment):
    """Batches of a hundred events, each batch a stream and a transaction of its own.

    Both begin with the same Python values and end with the commit.
    """

    figures = (
        Figure(
            name="append",
            what=f"events recorded in batches of {_SIZE}",
            unit="events/s",
            peer="COPY into the same table, without the store",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=0.7),
        ),
    )

    def prepare(self) -> None:
        database.drop("events")
        database.copy("events")
        with database.using("events"):
            self._append(5)
            self._copy(5)

    def _append(self, batches: int) -> float:
        began = time.perf_counter()
        for _ in range(batches):
            events = [NewEvent(type=_TYPE.name, data=_data(number)) for number in range(_SIZE)]
            services.append(stream=f"benchmark:{uuid7()}", after=0, events=events)
        return batches * _SIZE / (time.perf_counter() - began)

    def _copy(self, batches: int) -> float:
        began = time.perf_counter()
        for _ in range(batches):
            stream = f"benchmark:{uuid7()}"
            with (
                transaction.atomic(),
                connection.cursor() as cursor,
                cursor.copy(
                    "COPY events_event (stream, version, type, schema_version, data, meta) FROM STDIN"
                ) as copy,
            ):
                for number in range(_SIZE):
                    copy.write_row((stream, number + 1, _TYPE.name, 1, json.dumps(_data(number)), "{}"))
        return batches * _SIZE / (time.perf_counter() - began)

    def measure(self, turn: int) -> Samples:
        batches = self.bench.size(200, 5)
        with database.using("events"):
            return {"append": self.in_turns(turn, lambda: self._append(batches), lambda: self._copy(batches))}
