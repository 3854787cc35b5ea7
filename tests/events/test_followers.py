"""Readers of all events skip none, whatever commits when."""

from __future__ import annotations

import threading
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from apps.events import registry
from apps.events.followers import Place, follow, read_after
from apps.events.models import Cursor
from apps.events.records import NewEvent
from apps.events.registry import EventType
from apps.events.selectors import oldest_writer_age
from apps.events.services import append
from tests.support import wait_until

registry.register(EventType(name="tick.tock", meaning="A tick of a test."))
TICK = NewEvent(type="tick.tock")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def other_connection() -> psycopg.Connection:
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    return psycopg.connect(**parameters)


INSERT = (
    "INSERT INTO events_event (stream, version, type, schema_version, data, meta)"
    " VALUES (%s, 1, 'tick.tock', 1, '{}', '{}')"
)


def positions(events):
    return [event.position for event in events]


def test_an_event_of_a_slow_transaction_is_not_skipped():
    """The slow writer draws the lower number, and commits after the faster one was there to be read."""
    with other_connection() as slow:
        slow.execute(INSERT, ["tick:slow"])
        append(stream="tick:fast", after=0, events=[TICK])
        early = read_after(Place())
        assert early == []
        assert oldest_writer_age() > 0
        slow.commit()
    late = read_after(Place())
    assert {event.stream for event in late} == {"tick:slow", "tick:fast"}


def test_what_began_earlier_and_wrote_later_comes_in_its_place():
    """A transaction that got its id first but draws its number last sorts before what it delayed."""
    with other_connection() as early, other_connection() as late:
        early.execute("SELECT pg_current_xact_id()")
        late.execute(INSERT, ["tick:late"])
        late.commit()
        assert read_after(Place()) == []
        early.execute(INSERT, ["tick:early"])
        early.commit()
    events = read_after(Place())
    assert [event.stream for event in events] == ["tick:early", "tick:late"]
    assert positions(events) == sorted(positions(events), reverse=True)
    assert [event.stream for event in read_after(Place(xid=events[0].xid, position=events[0].position))] == [
        "tick:late"
    ]


def test_transactions_are_ordered_by_number():
    """Not as text, in which 10 comes before 9."""
    with connection.cursor() as cursor:
        for xid in ("9", "10", "100"):
            cursor.execute(
                "INSERT INTO events_event (stream, version, type, schema_version, data, meta, xid)"
                " VALUES (%s, 1, 'tick.tock', 1, '{}', '{}', %s::text::xid8)",
                [f"tick:{xid}", xid],
            )
    assert [event.xid for event in read_after(Place())] == [9, 10, 100]
    assert [event.xid for event in read_after(Place(xid=9, position=2**62))] == [10, 100]


def test_a_follower_misses_nothing_while_writers_hold_commit_and_roll_back():
    writers, each = 4, 150
    seen: list[int] = []
    finished = threading.Event()

    def write(number: int) -> None:
        with other_connection() as mine:
            for index in range(each):
                mine.execute(INSERT, [f"tick:{number}:{index}"])
                if index % 10 == 3:
                    mine.execute("SELECT pg_sleep(0.01)")
                if index % 17 == 5:
                    mine.rollback()
                else:
                    mine.commit()

    def read() -> None:
        try:
            while not finished.is_set():
                follow("test", lambda batch: seen.extend(positions(batch)), limit=37)
        finally:
            connection.close()

    reader = threading.Thread(target=read)
    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    reader.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connection.cursor() as cursor:
        cursor.execute("SELECT position FROM events_event")
        written = {position for (position,) in cursor.fetchall()}
    # Any other writer of the server, such as an autovacuum, may hold the reader back for a while.
    wait_until(lambda: len(seen) >= len(written), what="the follower to catch up")
    finished.set()
    reader.join()
    assert len(written) == writers * (each - len([i for i in range(each) if i % 17 == 5]))
    assert len(seen) == len(set(seen))
    assert set(seen) == written


def test_a_follower_whose_handler_fails_reads_the_same_again():
    append(stream=f"tick:{uuid4()}", after=0, events=[TICK, TICK])

    def fail(batch):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        follow("test", fail)
    seen = []
    assert follow("test", seen.extend) == 2
    assert follow("test", seen.extend) == 0
    assert len(seen) == 2
    assert int(Cursor.objects.get(follower="test").xid) == seen[-1].xid


def test_rolled_back_events_are_never_read():
    with pytest.raises(RuntimeError), transaction.atomic():
        append(stream="tick:never", after=0, events=[TICK])
        raise RuntimeError
    assert read_after(Place()) == []
