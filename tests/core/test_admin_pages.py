"""Every list of the admin, and every page of its own: they open, ask little, search and filter."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from apps.candles.models import Instrument
from apps.core.admin.exporting import _cell
from apps.core.ids import first_of, uuid7_of
from apps.orders.models import Account, Order, Position
from apps.tasks.models import Batch
from project.operating import SECTIONS, navigation
from tests.core.rows import make
from tests.operations.helpers import permitted

admin.autodiscover()

pytestmark = pytest.mark.django_db

LISTS = {model._meta.label_lower: model for model in admin.site._registry}
#: Pages that are no model's list, add form or row.
OWN = sorted({place.name for places in SECTIONS.values() for place in places if place.name})
#: More than enough for a query for each row to be one too many.
ROWS = 14
QUERIES = 15


def listing(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@contextmanager
def few_queries() -> Iterator[None]:
    """Fails where there are more than `QUERIES`, not counting what begins and ends transactions."""
    with CaptureQueriesContext(connection) as queries:
        yield
    asked = [one["sql"] for one in queries if "SAVEPOINT" not in one["sql"]]
    assert len(asked) <= QUERIES, "\n".join(asked)


def opened(client: Any, address: str, **query: Any) -> Any:
    page = client.get(address, query)
    assert page.status_code == 200, (address, query, page.status_code)
    return page


@pytest.mark.parametrize("label", LISTS)
def test_a_list_says_what_would_be_there_opens_with_few_queries_and_finds(label, admin_client):
    model = LISTS[label]
    page = opened(admin_client, listing(model))
    comes = page.context["cl"].model_admin.comes
    if not page.context["cl"].result_count:
        assert len(comes) > 20
        assert escape(comes) in page.content.decode()
    made = make(model, ROWS)
    with few_queries():
        page = opened(admin_client, listing(model))
    shown = page.context["cl"]
    assert shown.result_count >= ROWS
    assert "style=" not in page.content.decode()
    assert page.content.decode().count('aria-current="page"') >= 1
    with few_queries():
        page = opened(admin_client, f"{listing(model)}{quote(made[0].pk)}/change/")
    assert "style=" not in page.content.decode()
    for term in (
        (str(made[0].pk), "018f0000-0000-7000-8000-000000000000", "w'or%d") if shown.search_fields else ()
    ):
        opened(admin_client, listing(model), q=term)
    for spec in shown.filter_specs:
        # The first is all that there is.
        *_, choice = list(spec.choices(shown))[:2]
        opened(admin_client, listing(model) + choice["query_string"])


@pytest.mark.parametrize("name", OWN)
def test_a_page_of_its_own_opens_with_few_queries(name, admin_client):
    opened(admin_client, reverse(f"admin:{name}"))
    with few_queries():
        page = opened(admin_client, reverse(f"admin:{name}"))
    assert "style=" not in page.content.decode()


def test_the_navigation_holds_every_list_once_and_marks_the_page(rf, admin_user, new_user):
    request = rf.get("/")
    request.user = admin_user
    apps = admin.site.get_app_list(request)
    sections = navigation(apps, reverse("admin:tasks_taskrun_queues"))
    assert {one["title"] for one in sections} == set(SECTIONS)
    urls = [place["url"] for one in sections for place in one["places"]]
    assert len(urls) == len(set(urls))
    assert {listing(model) for model in LISTS.values()} <= set(urls)
    assert [place["label"] for one in sections for place in one["places"] if place["here"]] == ["Queues"]
    request.user = new_user(is_staff=True)
    assert navigation(admin.site.get_app_list(request), "/") == []


def test_from_a_user_links_lead_to_those_lists_alone_that_the_viewer_may_see(client, admin_client, new_user):
    subject, viewer = new_user("eve"), new_user(is_staff=True)
    address = reverse("admin:auth_user_change", args=[subject.pk])

    def lists(page: Any) -> set[str]:
        links = re.findall(r'href="(/admin/[^"?]+)\?(?:q|actor)=', page.content.decode())
        assert all(opened(page.client, link) for link in links)
        return set(links)

    client.force_login(permitted(viewer, "auth.view_user"))
    assert "See also" not in opened(client, address).content.decode()
    client.force_login(permitted(viewer, "orders.view_order", "audit.view_entry"))
    assert lists(opened(client, address)) == {"/admin/audit/entry/", "/admin/orders/order/"}
    assert len(lists(opened(admin_client, address))) == 6
    # Without an address to look for, the link would lead to everybody's mails.
    type(subject).objects.filter(pk=subject.pk).update(email="")
    assert "/admin/notifications/email/" not in lists(opened(admin_client, address))


@pytest.mark.parametrize(
    ("model", "may", "lists"),
    [
        (Account, "orders.change_fill", {"/admin/orders/fill/"}),
        (Account, "audit.view_entry", {"/admin/audit/entry/"}),
        (Position, "events.view_event", {"/admin/events/event/"}),
        (Position, "orders.view_account", set()),
        (Instrument, "candles.view_gap", {"/admin/candles/gap/"}),
    ],
)
def test_from_a_row_links_lead_to_those_lists_alone_that_the_viewer_may_see(
    model, may, lists, client, new_user
):
    (row,) = make(model, 1)
    app, name = model._meta.app_label, model._meta.model_name
    client.force_login(permitted(new_user(is_staff=True), f"{app}.view_{name}", may))
    page = opened(client, reverse(f"admin:{app}_{name}_change", args=[row.pk])).content.decode()
    found = set(re.findall(r'href="(/admin/[^"?]+)\?[a-z_]+=', page[page.index("field-elsewhere") :]))
    assert found == lists
    assert all(opened(client, link) for link in found)


def test_selected_rows_are_given_as_csv_in_which_nothing_is_a_formula(admin_client):
    held, other, _ = make(Position, 3)
    Account.objects.filter(pk=held.account_id).update(name="=1+1")
    Position.objects.filter(pk=held.pk).update(quantity=Decimal("-0.5"))
    chosen = {"action": "export", "_selected_action": [str(held.pk), str(other.pk)]}
    answer = admin_client.post(listing(Position), chosen)
    assert answer["Content-Disposition"] == 'attachment; filename="positions.csv"'
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert {row["id"] for row in rows} == {str(held.pk), str(other.pk)}
    (row,) = [row for row in rows if row["id"] == str(held.pk)]
    assert row["account"].startswith("'=1+1")
    assert Decimal(row["quantity"]) == Decimal("-0.5")
    assert datetime.fromisoformat(row["updated_at"]).tzinfo is not None


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_text_that_is_exported_is_computed_and_numbers_stay(first):
    assert _cell(f"{first}cmd|' /C calc'!A0") == f"'{first}cmd|' /C calc'!A0"
    assert [_cell(one) for one in (Decimal("-1E+2"), -1.5, None)] == ["-100", -1.5, None]


def test_rows_are_found_by_their_age_whether_a_time_or_an_id_tells_it(admin_client):
    hour_ago, day_ago = (timezone.now() - timedelta(hours=hours) for hours in (1.1, 25))
    new, old = make(Order, 2)
    Order.objects.filter(pk=new.pk).update(created_at=hour_ago)
    Order.objects.filter(pk=old.pk).update(created_at=day_ago)
    for made, name in ((hour_ago, "new"), (day_ago, "old")):
        Batch.objects.filter(pk=make(Batch, 1)[0].pk).update(id=uuid7_of(made, name), description=name)
    for age, found in (("1h", 0), ("24h", 1), ("7d", 2), ("nonsense", 2)):
        for model in (Order, Batch):
            page = opened(admin_client, listing(model), age=age)
            assert page.context["cl"].result_count == found, (model, age)
    assert first_of(hour_ago) <= uuid7_of(hour_ago, "new") < first_of(timezone.now())
