"""Readers of all events skip none, whatever commits when."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.events import registry
from apps.events.followers import Place, catch_up, follow, read_after, restart
from apps.events.models import Cursor
from apps.events.records import NewEvent
from apps.events.registry import EventType
from apps.events.selectors import estimated_events, lags, oldest_writer_age
from apps.events.services import append
from tests.events.helpers import manage, other_connection
from tests.support import settle, wait_until

registry.register(EventType(name="tick.tock", meaning="A tick of a test."))
TICK = NewEvent(type="tick.tock")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


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
    settle()
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
    settle()
    events = read_after(Place())
    assert [event.stream for event in events] == ["tick:early", "tick:late"]
    assert positions(events) == sorted(positions(events), reverse=True)
    settle()
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
    settle()
    assert [event.xid for event in read_after(Place())] == [9, 10, 100]
    settle()
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
        settle()
        follow("test", fail)
    seen = []
    settle()
    assert follow("test", seen.extend) == 2
    settle()
    assert follow("test", seen.extend) == 0
    assert len(seen) == 2
    assert int(Cursor.objects.get(follower="test").xid) == seen[-1].xid


def test_rolled_back_events_are_never_read():
    with pytest.raises(RuntimeError), transaction.atomic():
        append(stream="tick:never", after=0, events=[TICK])
        raise RuntimeError
    settle()
    assert read_after(Place()) == []


def test_a_follower_catches_up_batch_by_batch():
    append(stream="tick:many", after=0, events=[TICK] * 25)
    batches = []
    settle()
    assert catch_up("test", batches.append, limit=10) == 25
    assert [len(batch) for batch in batches] == [10, 10, 5]
    settle()
    assert catch_up("test", batches.append) == 0


def test_lag_is_counted_from_the_place_of_each_follower():
    append(stream="tick:a", after=0, events=[TICK] * 4)
    settle()
    catch_up("behind", lambda batch: None)
    settle()
    follow("new", lambda batch: None, limit=1)
    append(stream="tick:b", after=0, events=[TICK] * 3)
    settle()
    catch_up("abreast", lambda batch: None)
    found = {lag.follower: lag for lag in lags()}
    assert {name: lag.events for name, lag in found.items()} == {"abreast": 0, "behind": 3, "new": 6}
    assert found["abreast"].seconds == 0
    assert found["new"].seconds >= found["behind"].seconds > 0
    (bounded,) = lags(follower="new", at_most=5)
    assert (bounded.events, bounded.more) == (5, True)


def test_what_waits_for_a_slow_writer_counts_as_lag():
    settle()
    follow("test", lambda batch: None)
    with other_connection() as slow:
        slow.execute("SELECT pg_current_xact_id()")
        append(stream="tick:a", after=0, events=[TICK])
        assert follow("test", lambda batch: None) == 0
        assert [lag.events for lag in lags()] == [1]


def test_a_follower_can_begin_again():
    append(stream="tick:a", after=0, events=[TICK] * 3)
    settle()
    catch_up("test", lambda batch: None)
    restart("test")
    settle()
    assert catch_up("test", lambda batch: None) == 3
    with pytest.raises(Cursor.DoesNotExist, match="nobody"):
        restart("nobody")


def test_the_number_of_events_is_estimated_by_statistics():
    append(stream="tick:a", after=0, events=[TICK] * 30)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE events_event")
    assert estimated_events() == 30


def test_the_command_shows_followers_and_lets_one_begin_again():
    append(stream="tick:a", after=0, events=[TICK] * 3)
    settle()
    catch_up("mirror", lambda batch: None)
    append(stream="tick:a", after=3, events=[TICK])
    line, writer = manage("events", "followers")[0].splitlines()
    assert line.startswith("mirror: 1 events and ")
    assert writer.startswith("the oldest writer began ")
    assert manage("events", "followers", "--restart", "mirror")[0].startswith("mirror: 4 events and ")
    assert manage("events", "followers", "--restart", "nobody")[0] == "there is no follower nobody"
