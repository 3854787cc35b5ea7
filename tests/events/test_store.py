"""Appending, reading one stream, types and their versions."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core import context
from apps.events import registry
from apps.events.records import NewEvent
from apps.events.registry import EventType, UnknownEventType
from apps.events.selectors import read_stream
from apps.events.services import StreamConflict, append

registry.register(
    EventType(name="thing.made", meaning="A thing was made.", fields=frozenset({"size"}), version=3)
)
registry.register(EventType(name="thing.seen", meaning="A thing was seen."))


@registry.upcast("thing.made", from_version=1)
def _length_became_size(data):
    return {"size": data["length"], "unit": "inch"}


@registry.upcast("thing.made", from_version=2)
def _inches_became_millimetres(data):
    return {"size": round(data["size"] * 25.4, 1)}


MADE = NewEvent(type="thing.made", data={"size": 1})
SEEN = NewEvent(type="thing.seen")


@pytest.fixture
def stream() -> str:
    return f"thing:{uuid4()}"


@pytest.mark.django_db
def test_events_come_back_in_order_with_who_did_it(stream):
    with context.bind(actor="user:1", request_id="r1"):
        first, second = append(stream=stream, after=0, events=[MADE, SEEN])
    assert (first.version, second.version) == (1, 2)
    assert read_stream(stream) == [first, second]
    assert read_stream(stream, after=1) == [second]
    assert first.meta == {"actor": "user:1", "request_id": "r1"}
    assert first.recorded_at.tzinfo is not None


@pytest.mark.django_db
@pytest.mark.parametrize("after", [0, 2])
def test_a_writer_who_has_not_seen_the_latest_version_is_refused(stream, after):
    append(stream=stream, after=0, events=[MADE])
    with pytest.raises(StreamConflict):
        append(stream=stream, after=after, events=[SEEN, SEEN])
    # The transaction goes on, and nothing of the refused events is there.
    assert [event.version for event in read_stream(stream)] == [1]


@pytest.mark.django_db
def test_an_event_that_is_not_registered_or_not_complete_is_refused(stream):
    with pytest.raises(UnknownEventType, match=r"thing\.gone"):
        append(stream=stream, after=0, events=[NewEvent(type="thing.gone")])
    with pytest.raises(ValueError, match="size"):
        append(stream=stream, after=0, events=[NewEvent(type="thing.made")])
    assert read_stream(stream) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_writers_at_the_same_version_one_wins(committed, stream):
    append(stream=stream, after=0, events=[MADE])
    barrier, outcomes = threading.Barrier(2), []

    def write() -> None:
        try:
            with transaction.atomic():
                barrier.wait()
                append(stream=stream, after=1, events=[SEEN])
            outcomes.append("written")
        except StreamConflict:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "written"]
    assert [event.version for event in read_stream(stream)] == [1, 2]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events_event SET type = 'x'",
        "DELETE FROM events_event",
        "TRUNCATE events_event",
        "UPDATE events_event SET type = 'x' WHERE false",
    ],
)
def test_the_database_refuses_to_change_events(stream, statement):
    append(stream=stream, after=0, events=[MADE])
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert len(read_stream(stream)) == 1


@pytest.mark.django_db
def test_old_data_is_read_at_the_current_version(stream):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta) VALUES"
            " (%s, 1, 'thing.made', 1, '{\"length\": 2}', '{}'), (%s, 2, 'thing.made', 9, '{}', '{}')",
            [stream, stream],
        )
    old, future = read_stream(stream)
    assert old.current_data() == {"size": 50.8}
    assert old.data == {"length": 2}
    with pytest.raises(UnknownEventType, match="version 3 here, the event has 9"):
        future.current_data()


def test_a_type_cannot_be_registered_twice_with_another_meaning():
    registry.register(EventType(name="thing.seen", meaning="A thing was seen."))
    with pytest.raises(ValueError, match="registered already"):
        registry.register(EventType(name="thing.seen", meaning="Something else."))
    with pytest.raises(ValueError, match="upcaster"):
        registry.upcast("thing.made", from_version=1)(lambda data: data)


def test_a_version_without_upcaster_is_an_error():
    registry.register(EventType(name="thing.lost", meaning="A thing was lost.", version=2))
    with pytest.raises(UnknownEventType, match="no upcaster"):
        registry.current_data("thing.lost", 1, {})
