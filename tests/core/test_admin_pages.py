"""Every list of the admin, and every page of its own: they open, ask little, search and filter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from project.operating import SECTIONS, navigation
from tests.core.rows import make

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
