"""Appending, reading one stream, types and their versions."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core import context
from apps.events import registry
from apps.events.records import NewEvent, NewEvents
from apps.events.registry import EventType, UnknownEventType
from apps.events.selectors import read_stream
from apps.events.services import StreamConflict, append, append_many
from tests.support import blocked, wait_until

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
def test_what_is_returned_is_what_is_read(stream):
    data = {
        "size": 1e22,
        "text": 'a\ttab, a \\ and a "quote", \\u0000, žluťoučký kůň 🐎\n',
        "deep": [{"a": [1, None, True, -0.5]}],
        "big": 2**70,
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "price": Decimal("1.10"),
    }
    stored = append(stream=stream, after=0, events=[NewEvent(type="thing.made", data=data), SEEN])
    assert list(stored) == read_stream(stream)
    assert stored == read_stream(stream)
    assert stored[0].data["price"] == "1.10"
    assert stored[-1:] == read_stream(stream, after=1)
    assert len(stored) == 2


@pytest.mark.django_db
def test_an_event_that_is_not_registered_is_refused(stream):
    with pytest.raises(UnknownEventType, match=r"thing\.gone"):
        append(stream=stream, after=0, events=[NewEvent(type="thing.gone")])
    assert read_stream(stream) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "lacks size"),
        ({"length": 1}, "lacks size"),
        (["size"], "must be a dict"),
        ({"size": 1, 2: 3}, "keys are strings"),
        ({"size": float("nan")}, "thing.made cannot be stored"),
        ({"size": {1, 2}}, "thing.made cannot be stored"),
        ({"size": "\\\0"}, "no NUL"),
        ({"size": "\ud83d"}, "surrogate"),
    ],
)
def test_data_of_another_shape_is_refused(stream, data, reason):
    with pytest.raises(ValueError, match=reason):
        append(stream=stream, after=0, events=[SEEN, NewEvent(type="thing.made", data=data)])
    assert read_stream(stream) == []


@pytest.mark.parametrize("name", ["thing", "thing:", "Thing:1", "thing:a b", "thing:1\n", ":1", "thing::1"])
def test_a_stream_has_a_kind_and_a_name(name):
    with pytest.raises(ValueError, match="no name of a stream"):
        append(stream=name, after=0, events=[SEEN])


@pytest.mark.django_db
def test_several_streams_are_appended_to_at_once(stream):
    append(stream=f"{stream}z", after=0, events=[SEEN])
    last, none, first = append_many(
        [
            NewEvents(stream=f"{stream}z", after=1, events=(MADE, SEEN)),
            NewEvents(stream=f"{stream}b", after=0, events=()),
            NewEvents(stream=f"{stream}a", after=0, events=(SEEN,)),
        ]
    )
    assert [event.version for event in last] == [2, 3]
    assert (list(none), [event.version for event in first]) == ([], [1])
    assert read_stream(f"{stream}z", after=1) == list(last)
    assert read_stream(f"{stream}a") == list(first)
    assert append_many([]) == []


@pytest.mark.django_db
def test_of_several_streams_all_are_recorded_or_none(stream):
    append(stream=f"{stream}b", after=0, events=[SEEN])
    with pytest.raises(StreamConflict, match=f"{stream}b"):
        append_many(
            [
                NewEvents(stream=f"{stream}a", after=0, events=(SEEN,)),
                NewEvents(stream=f"{stream}b", after=0, events=(SEEN,)),
            ]
        )
    assert read_stream(f"{stream}a") == []
    with pytest.raises(ValueError, match="named twice"):
        append_many([NewEvents(stream=stream, after=0, events=(SEEN,))] * 2)


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


@pytest.mark.django_db(transaction=True)
def test_a_writer_who_waited_for_another_loses_and_its_transaction_goes_on(committed, stream):
    append(stream=stream, after=0, events=[MADE])
    outcomes = []

    def write() -> None:
        try:
            with transaction.atomic():
                append(stream=f"{stream}-other", after=0, events=[SEEN])
                with pytest.raises(StreamConflict, match=stream):
                    append(stream=stream, after=1, events=[SEEN, SEEN])
                append(stream=f"{stream}-other", after=1, events=[SEEN])
            outcomes.append("went on")
        finally:
            connection.close()

    with transaction.atomic():
        append(stream=stream, after=1, events=[SEEN])
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: blocked() == 1, what="the other writer to wait")
    thread.join()
    assert outcomes == ["went on"]
    assert [event.version for event in read_stream(stream)] == [1, 2]
    assert len(read_stream(f"{stream}-other")) == 2


@pytest.mark.django_db(transaction=True)
def test_writers_of_the_same_streams_in_another_order_do_not_wait_for_each_other(committed, stream):
    rounds, outcomes, barrier = 25, [], threading.Barrier(2)

    def write(names: str) -> None:
        try:
            for index in range(rounds):
                barrier.wait()
                batches = [
                    NewEvents(stream=f"{stream}-{index}{name}", after=0, events=(SEEN,) * 20)
                    for name in names
                ]
                try:
                    append_many(batches)
                    outcomes.append("written")
                except StreamConflict:
                    outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(names,)) for names in ("abc", "cba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * rounds + ["written"] * rounds


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
