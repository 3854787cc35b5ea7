"""What tests of several areas share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, transaction

#: Fixtures that tests ask for by name: real transactions, and those of a TestCase. The marks
#: have the database made, which is seen to before any test runs.
BOTH_TRANSACTIONS = (
    pytest.param("committed", marks=pytest.mark.django_db(transaction=True)),
    pytest.param("db", marks=pytest.mark.django_db),
)


def wait_until(
    condition: Callable[[], Any], *, seconds: float = 60.0, what: str = "", every: float = 0.05
) -> Any:
    """The first true value of *condition*; fails the test when there is none in time."""
    deadline = monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what or condition}")
        sleep(every)


def in_child(do: Callable[[], bool]) -> int:
    """Do it in a fork of this process, and return its exit status: 0 where it is true."""
    with warnings.catch_warnings():
        # Newer Pythons warn of threads. A child must wait for nothing that one of them may hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            status = 2
            try:
                status = 0 if do() else 1
            finally:
                os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def database_url() -> str:
    """The address of the database that this test uses, for processes started by it."""
    parts = connection.settings_dict
    host = quote(parts["HOST"], safe="")
    port = f":{parts['PORT']}" if parts["PORT"] else ""
    password = f":{quote(parts['PASSWORD'], safe='')}" if parts["PASSWORD"] else ""
    return f"postgres://{parts['USER']}{password}@{host}{port}/{parts['NAME']}"


def filled(*tables: str) -> list[str]:
    """Those of the tables that hold anything."""
    each = ", ".join(f"EXISTS (SELECT FROM {connection.ops.quote_name(table)})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {each}")
        return [table for table, any_rows in zip(tables, cursor.fetchone(), strict=True) if any_rows]


def forget_events() -> None:
    """Empty the event store, which refuses that unless asked in the right way."""
    if not filled("events_event"):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.events_maintenance = 'on'")
        cursor.execute("TRUNCATE events_event")


def forget_audit() -> None:
    """Let the audit's chain begin anew, which it refuses unless asked in the right way."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT sequence = 0 AND NOT EXISTS (SELECT FROM audit_entry) FROM audit_head")
        if cursor.fetchall() == [(True,)]:
            return
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'on'")
        cursor.execute("DELETE FROM audit_entry; DELETE FROM audit_head")
        cursor.execute("INSERT INTO audit_head VALUES (true, 0, %(none)s, 0, %(none)s)", {"none": bytes(32)})
        # In a test's own transaction it would stay on.
        cursor.execute("SET LOCAL chandlery.audit_maintenance = 'off'")


def settle() -> None:
    """Wait until followers may read everything that was committed before.

    They wait for every transaction of the server that was writing then, those of other tests included.
    """

    def past(number: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            return int(cursor.fetchone()[0]) >= number

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        now = int(cursor.fetchone()[0])
    wait_until(lambda: past(now), seconds=120, what="transactions of others to end")


def blocked() -> int:
    """How many connections to this database wait for a lock."""
    with connection.cursor() as cursor:
        # Within a transaction the first look would be remembered.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]
