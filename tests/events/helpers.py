"""What tests of the event store share."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from apps.core.ids import uuid7
from apps.events.projections import Row
from apps.events.records import StoredEvent
from apps.events.registry import EventType, register, upcast
from apps.tasks.newrun import NewRun
from apps.tasks.requests import request_many
from tests.support import database_url


def other_connection() -> psycopg.Connection:
    """A connection of its own to this test's database."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    return psycopg.connect(**parameters)


def tamper(statement: str, parameters: Any = None) -> None:
    """Do to the event table what its guard refuses."""
    with connection.cursor() as cursor:
        cursor.execute("SET chandlery.events_maintenance = 'on'")
        cursor.execute(statement, parameters)
        cursor.execute("RESET chandlery.events_maintenance")


def manage(*arguments: str) -> tuple[str, str]:
    """What the command printed; or its error, and what it printed before it."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except CommandError as exc:
        return str(exc), out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def manage_process(*arguments: str) -> subprocess.Popen[bytes]:
    """The same as a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env={**os.environ, "DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run each on a connection of its own, all from the same moment; their results or exceptions."""
    barrier = threading.Barrier(len(actions))
    results: list[object] = [None] * len(actions)

    def run(index: int) -> None:
        try:
            barrier.wait()
            results[index] = actions[index]()
        except Exception as exc:
            results[index] = exc
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


#: What cancelling one by one does, for many at once.
_CANCEL = """
    WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
    run AS (
        UPDATE tasks_taskrun
        SET state = 'cancelled', version = version + 1, finished_at = now, cancel_requested = true
        FROM moment
        WHERE id = ANY(%s)
        RETURNING id, version, now
    )
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.cancelled', 2, '{"reason": "request"}', '{}', now FROM run
"""


def cancelled_runs(count: int) -> list[str]:
    """The streams of so many runs that were requested and cancelled, in order of their ids."""
    runs = [
        NewRun(id=uuid7(), task="workload.note", queue="default", args=["x"], kwargs={}, max_attempts=1)
        for _ in range(count)
    ]
    request_many(runs)
    with connection.cursor() as cursor:
        cursor.execute(_CANCEL, [[run.id for run in runs]])
    return sorted(f"task:{run.id}" for run in runs)


def all_events() -> list[tuple[Any, ...]]:
    """Every event with everything that restoring keeps."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, stream, version, type, schema_version, data::text, meta::text, recorded_at"
            " FROM events_event ORDER BY position"
        )
        return cursor.fetchall()


register(EventType(name="gadget.made", meaning="A gadget was made.", fields=frozenset({"size"}), version=2))
register(EventType(name="gadget.scrapped", meaning="A gadget was scrapped."))


@upcast("gadget.made", from_version=1)
def _inches_became_millimetres(data: dict[str, Any]) -> dict[str, Any]:
    return {"size": data["length"] * 25}


class Gadgets:
    """A second projection, with a key that is not a UUID; its table is made by the fixture ``gadgets``."""

    name = "gadgets"
    stream_prefix = "gadget:"
    table = "gadgets"
    key = "serial"
    columns = ("serial", "size", "scrapped_at")
    json_columns: frozenset[str] = frozenset()

    def defaults(self) -> Row:
        return {"note": ""}

    def finished(self) -> str:
        return "scrapped_at"

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        data = event.current_data()
        if row is None:
            serial = int(event.stream.removeprefix(self.stream_prefix))
            return {"serial": serial, "size": data["size"], "scrapped_at": None}
        if event.type == "gadget.scrapped":
            return {**row, "scrapped_at": event.recorded_at}
        return {**row, "size": data["size"]}
