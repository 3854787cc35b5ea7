"""Events that cannot be right are found, with their positions."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.events import integrity
from apps.events.progress import Progress
from apps.events.records import NewEvent
from apps.events.services import append
from tests.events.helpers import manage, tamper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gadgets")]

MADE = NewEvent(type="gadget.made", data={"size": 1})
INSERT = "INSERT INTO events_event (stream, version, type, schema_version, data, meta) VALUES "


@pytest.fixture
def positions() -> list[int]:
    """A sound stream of three events, beside another."""
    append(stream="gadget:1", after=0, events=[MADE])
    return [event.position for event in append(stream="gadget:2", after=0, events=[MADE] * 3)]


def test_nothing_is_found_where_nothing_is_wrong(positions):
    with connection.cursor() as cursor:
        cursor.execute(INSERT + "('gadget:3', 1, 'gadget.made', 1, '{\"length\": 2}', '{}')")
    assert manage("events", "verify") == ("5 events, nothing wrong\n", "")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM events_event WHERE position = %s", "version 2 is missing"),
        (
            "UPDATE events_event SET recorded_at = recorded_at - interval '6 s' WHERE position = %s",
            "recorded 6.0",
        ),
        (
            "UPDATE events_event SET type = 'gadget.stolen' WHERE position = %s",
            "no event type 'gadget.stolen'",
        ),
        ("UPDATE events_event SET schema_version = 3 WHERE position = %s", "at version 2 here"),
        ("UPDATE events_event SET schema_version = 0 WHERE position = %s", "no upcaster"),
        ("UPDATE events_event SET data = '{}' WHERE position = %s", "lacks size"),
        ("UPDATE events_event SET data = '[1]' WHERE position = %s", "must be a dict"),
        (
            "UPDATE events_event SET schema_version = 1 WHERE position = %s",
            "schema version 1 cannot be read: KeyError: 'length'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_position(positions, statement, what):
    tamper(statement, [positions[1]])
    message, details = manage("events", "verify")
    assert message == "1 findings in 3 events" if "DELETE" in statement else "1 findings in 4 events"
    place = positions[2] if "DELETE" in statement else positions[1]
    assert details.startswith(f"position {place}: gadget:2@")
    assert what in details


def test_a_stream_that_does_not_begin_at_its_beginning_is_found(positions):
    tamper("DELETE FROM events_event WHERE position < %s", [positions[2]])
    (found,) = integrity.verify()
    assert (found.position, found.what) == (positions[2], "versions 1 to 2 are missing")


def test_positions_that_do_not_ascend_are_found():
    with connection.cursor() as cursor:
        for version in (2, 1):
            cursor.execute(INSERT + "('gadget:2', %s, 'gadget.scrapped', 1, '{}', '{}')", [version])
    (found,) = integrity.verify(clock_tolerance=60)
    assert "which is later" in found.what


def test_a_malformed_name_is_found_once():
    with connection.cursor() as cursor:
        for version in (1, 2):
            cursor.execute(INSERT + "('no name', %s, 'gadget.scrapped', 1, '{}', '{}')", [version])
    assert [found.what for found in integrity.verify()] == ["the name of the stream is not well-formed"]


def test_time_may_go_back_within_the_tolerance_and_only_some_streams_be_looked_at(positions):
    tamper(
        "UPDATE events_event SET recorded_at = recorded_at - interval '6 s' WHERE position = %s",
        [positions[1]],
    )
    assert manage("events", "verify", "--clock-tolerance", "10")[0] == "4 events, nothing wrong\n"
    assert manage("events", "verify", "--prefix", "gadget:1")[0] == "1 events, nothing wrong\n"


def test_long_work_says_how_far_it_is(positions):
    said: list[str] = []
    assert list(integrity.verify(progress=Progress(said.append, "events", total=10, every=0))) == []
    assert said == ["events: 4 of about 10 after 0 s"]
