"""Another server counts transactions anew: dumps are re-based there, and archives come back there too.

The dumps are made and loaded by pg_dump and pg_restore.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connection, connections
from psycopg.conninfo import conninfo_to_dict

from apps.events import projections, rebasing
from apps.events.archive.export import archive
from apps.events.archive.restoring import restore
from apps.events.followers import catch_up, follow
from apps.events.models import Cursor
from apps.events.records import NewEvent, StoredEvent
from apps.events.services import append
from apps.stack import folders, privileges
from apps.stack.postgres import binaries
from apps.stack.testing import EmbeddedPostgres
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from tests.events.helpers import all_events, cancelled_runs, manage
from tests.support import database_url, settle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

TICK = NewEvent(type="gadget.scrapped")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[EmbeddedPostgres]:
    """A server that has seen few transactions so far."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture
def loaded(elsewhere: EmbeddedPostgres, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database over there, for `dump`."""
    with psycopg.connect(elsewhere.url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE loaded")
        yield elsewhere.url("loaded")
        admin.execute("DROP DATABASE loaded WITH (FORCE)")


def dump(address: str, folder: Path, *options: str) -> None:
    """Load this test's database there."""
    tools = binaries(privileges.for_checkout(folders.CHECKOUT))
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        if int(cursor.fetchone()[0]) >= 190000:
            pytest.skip("the server is newer than pg_dump")
    file = folder / "dump"
    for command in (
        [tools / "pg_dump", "--format=custom", *options, f"--file={file}", database_url()],
        [tools / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={address}", file],
    ):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr


@contextmanager
def over_there(address: str) -> Iterator[None]:
    """Everything inside is done to the database at *address*."""
    here = connections["default"]
    parts = conninfo_to_dict(address)
    place = {"HOST": parts["host"], "PORT": parts["port"], "USER": parts["user"], "NAME": parts["dbname"]}
    there = here.__class__({**here.settings_dict, **place, "PASSWORD": ""}, "default")
    connections["default"] = there
    try:
        yield
    finally:
        there.close()
        connections["default"] = here


def use_up_transactions(count: int) -> None:
    """Let this server's counter be ahead of the other's."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )


class Readers:
    """Followers and the positions that each has read, in its order."""

    def __init__(self, *names: str) -> None:
        self.seen: dict[str, list[int]] = {name: [] for name in names}

    def _add(self, name: str, batch: list[StoredEvent]) -> None:
        self.seen[name] += [event.position for event in batch]

    def some(self, name: str, limit: int) -> None:
        settle()
        follow(name, lambda batch: self._add(name, batch), limit=limit)

    def all(self) -> None:
        for name in self.seen:
            settle()
            catch_up(name, lambda batch, name=name: self._add(name, batch), limit=3)


def everything() -> list[int]:
    return [event[0] for event in all_events()]


def ticks(kind: str, count: int) -> None:
    for index in range(count):
        append(stream=f"gadget:{kind}{index}", after=0, events=[TICK, TICK])


def test_followers_go_on_where_they_were_after_a_dump_was_loaded(loaded, tmp_path):
    readers = Readers("done", "half", "new")
    use_up_transactions(5000)
    ticks("a", 6)
    readers.some("done", 100)
    readers.some("half", 5)
    dump(loaded, tmp_path)
    with over_there(loaded):
        assert "have to be re-based" in manage("events", "rebase-cursors", "--check")[0]
        assert manage("events", "rebase-cursors")[0] == "12 events and 2 followers re-based\n"
        assert manage("events", "rebase-cursors")[0] == "events and cursors fit this server\n"
        ticks("b", 2)
        readers.all()
        for name, seen in readers.seen.items():
            assert sorted(seen) == everything(), name
        assert readers.seen["done"][-4:] == everything()[-4:]


def test_without_rebasing_followers_would_miss_what_is_new(loaded, tmp_path):
    """What the step is for."""
    readers = Readers("done")
    use_up_transactions(5000)
    ticks("a", 1)
    readers.all()
    dump(loaded, tmp_path)
    with over_there(loaded):
        ticks("b", 1)
        readers.all()
        assert len(readers.seen["done"]) == 2
        rebasing.rebase()
        readers.all()
        assert sorted(readers.seen["done"]) == everything()


def test_an_archive_comes_back_on_another_server(loaded, tmp_path):
    readers = Readers("old", "new")
    cancelled_runs(7)
    events = all_events()
    readers.some("old", 100)
    (file,) = archive(TaskRuns(), older_than=timedelta(), folder=tmp_path).files
    cancelled_runs(1)
    dump(loaded, tmp_path)
    with over_there(loaded):
        rebasing.rebase()
        restore(file)
        assert all_events()[: len(events)] == events
        assert projections.check(TaskRuns()) == []
        readers.all()
        assert sorted(readers.seen["old"]) == sorted(readers.seen["new"]) == everything()
        assert readers.seen["old"][: len(events)] == [event[0] for event in events]


def test_an_archive_comes_back_into_an_empty_database(loaded, tmp_path):
    use_up_transactions(100)
    cancelled_runs(5)
    events = all_events()
    (file,) = archive(TaskRuns(), older_than=timedelta(), folder=tmp_path).files
    dump(loaded, tmp_path, "--schema-only")
    with over_there(loaded):
        restore(file)
        assert all_events() == events
        assert TaskRun.objects.count() == 5
        # New events come behind the restored ones, whose numbers this server never drew.
        (stored,) = append(stream="gadget:1", after=0, events=[TICK])
        assert stored.position > events[-1][0]
        readers = Readers("new")
        readers.all()
        assert readers.seen["new"] == everything()


# From here on simulated: events and cursors of transactions that are yet to come.


def ahead(stream: str, xid: int) -> int:
    """An event of a transaction that this server has still before it; its position."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta, xid)"
            " VALUES (%s, 1, 'gadget.scrapped', 1, '{}', '{}', %s::text::xid8) RETURNING position",
            [stream, 10**12 + xid],
        )
        return cursor.fetchone()[0]


def place(follower: str, xid: int, position: int) -> None:
    Cursor.objects.create(follower=follower, xid=10**12 + xid, position=position)


def test_what_each_follower_had_read_is_kept_exactly():
    """Positions and transactions do not ascend together: the order of the two is what counts."""
    events = [(ahead(f"gadget:{index}", xid), xid) for index, xid in enumerate((9, 3, 7, 1, 7, 5))]
    order = [position for position, _ in sorted(events, key=lambda event: (event[1], event[0]))]
    numbers = dict(events)
    readers = Readers(*(f"after{count}" for count in range(len(order) + 1)))
    for count in range(1, len(order) + 1):
        last = order[count - 1]
        place(f"after{count}", numbers[last], last)
    assert rebasing.needed()
    assert rebasing.rebase().events == len(order)
    readers.all()
    for count in range(len(order) + 1):
        assert sorted(readers.seen[f"after{count}"]) == sorted(order[count:])


def test_what_was_recorded_before_rebasing_is_new_to_all():
    first, second = ahead("gadget:1", 1), ahead("gadget:2", 2)
    place("half", 1, first)
    place("done", 2, second)
    ticks("new", 1)
    readers = Readers("half", "done", "begins")
    readers.some("half", 10)
    assert readers.seen["half"] == []
    rebasing.rebase()
    readers.all()
    assert readers.seen["done"] == everything()[2:]
    assert readers.seen["half"] == everything()[1:]
    assert readers.seen["begins"] == everything()


def test_a_follower_that_read_too_early_has_to_be_restarted():
    place("done", 1, ahead("gadget:1", 1))
    ticks("new", 1)
    readers = Readers("early", "done")
    readers.some("early", 10)
    assert readers.seen["early"] == everything()[1:]
    before = list(Cursor.objects.order_by("follower").values_list("xid", "position"))
    assert "early. They have to be restarted. Use --restart." in manage("events", "rebase-cursors")[0]
    assert list(Cursor.objects.order_by("follower").values_list("xid", "position")) == before
    assert "1 followers re-based" in manage("events", "rebase-cursors", "--restart", "early")[0]
    readers.seen["early"].clear()
    readers.all()
    assert readers.seen["early"] == everything()
    assert readers.seen["done"] == everything()[1:]


def test_a_cursor_that_is_ahead_of_an_empty_store_is_rebased_too():
    place("done", 5, 100)
    assert rebasing.rebase().followers == 1
    ticks("new", 1)
    readers = Readers("done")
    readers.all()
    assert readers.seen["done"] == everything()


def test_where_nothing_is_ahead_nothing_is_rewritten():
    ticks("a", 1)
    readers = Readers("done")
    readers.all()
    before = Cursor.objects.values_list("xid", "position").get()
    assert manage("events", "rebase-cursors", "--check")[0] == "events and cursors fit this server\n"
    assert rebasing.rebase() == rebasing.Rebased(events=0, followers=0)
    assert Cursor.objects.values_list("xid", "position").get() == before
