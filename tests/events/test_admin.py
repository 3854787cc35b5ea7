"""Operators look at events and followers in the admin, however many events there are."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import context
from apps.core.admin.paging import BoundedPaginator
from apps.core.ids import uuid7
from apps.events.followers import follow
from apps.events.models import Event
from apps.events.records import NewEvent
from apps.events.services import append
from tests.support import settle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

LIST = reverse("admin:events_event_changelist")
MADE = NewEvent(type="gadget.made", data={"size": 1})
SCRAPPED = NewEvent(type="gadget.scrapped")


def shown(client, **query) -> list[tuple[str, int]]:
    """Streams and versions on a page, as they are shown."""
    page = client.get(LIST, query)
    assert page.status_code == 200, page.url
    return [(event.stream, event.version) for event in page.context["cl"].result_list]


def test_events_are_listed_newest_first_with_who_did_it(admin_client):
    with context.bind(actor="user:7"):
        append(stream="gadget:1", after=0, events=[MADE, SCRAPPED])
    assert shown(admin_client) == [("gadget:1", 2), ("gadget:1", 1)]
    page = admin_client.get(LIST).content.decode()
    assert "user:7" in page
    assert '<a href="?q=gadget%3A1">gadget:1</a>' in page


def test_a_stream_is_found_by_its_name_and_by_the_part_behind_the_colon(admin_client):
    pk = uuid7()
    append(stream=f"task:{pk}", after=0, events=[SCRAPPED])
    append(stream="gadget:1", after=0, events=[MADE])
    assert shown(admin_client, q=str(pk)) == [(f"task:{pk}", 1)]
    assert shown(admin_client, q=" gadget:1 ") == [("gadget:1", 1)]
    assert shown(admin_client, q="gadget") == []


def test_events_of_one_type_are_found_among_the_newest(admin_client, monkeypatch):
    append(stream="gadget:1", after=0, events=[SCRAPPED, MADE, MADE, SCRAPPED])
    assert shown(admin_client, type="gadget.scrapped") == [("gadget:1", 4), ("gadget:1", 1)]
    monkeypatch.setattr("apps.events.admin.events._TYPE_WINDOW", 3)
    assert shown(admin_client, type="gadget.scrapped") == [("gadget:1", 4)]


def test_no_page_counts_the_table(admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 120)
    append(stream="gadget:1", after=0, events=[MADE] * 300)
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(LIST)
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 120" in count for count in counts)
    assert page.context["cl"].result_count == 120


def test_what_is_older_is_reached_by_key(admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 60)
    append(stream="gadget:1", after=0, events=[MADE] * 130)
    seen, address = [], LIST
    while address:
        page = admin_client.get(address)
        seen += [event.version for event in page.context["cl"].result_list]
        older = page.context["cl"].older_url
        assert ("Older than these" in page.content.decode()) == bool(older)
        address = LIST + older if older else ""
    assert seen == list(range(130, 0, -1))


def test_an_event_is_shown_and_cannot_be_changed(admin_client):
    (event,) = append(stream="gadget:1", after=0, events=[MADE])
    address = reverse("admin:events_event_change", args=[event.position])
    page = admin_client.get(address).content.decode()
    assert "gadget:1" in page
    assert 'name="stream"' not in page
    assert admin_client.post(address, {"stream": "gadget:2"}).status_code == 403
    assert admin_client.get(reverse("admin:events_event_add")).status_code == 403
    assert admin_client.post(reverse("admin:events_event_delete", args=[event.position])).status_code == 403
    assert Event.objects.count() == 1


def test_followers_are_shown_with_their_lag(admin_client):
    append(stream="gadget:1", after=0, events=[MADE] * 5)
    settle()
    follow("mirror", lambda batch: None, limit=2)
    page = admin_client.get(reverse("admin:events_cursor_changelist")).content.decode()
    assert "mirror" in page
    assert "3 events, " in page
    address = reverse("admin:events_cursor_change", args=["mirror"])
    assert admin_client.post(address, {"position": 0}).status_code == 403
