"""Operators search the audit in the admin, however long it is, and see whether it is sound."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.audit import verifying
from apps.audit.admin.entries import Field, fields_of
from apps.audit.admin.filters import span
from apps.audit.chain import append, head
from apps.audit.models import Entry, Verification
from apps.core.admin.paging import BoundedPaginator
from apps.tasks.models import TaskRun
from tests.audit.chaining import KEYS, entry, grow, sound_up_to, tamper, written

LIST = reverse("admin:audit_entry_changelist")


def page_of(sequence: int) -> str:
    return reverse("admin:audit_entry_change", args=[sequence])


def shown(client, **query) -> list[int]:
    page = client.get(LIST, query)
    assert page.status_code == 200, page.url
    return [row.sequence for row in page.context["cl"].result_list]


@pytest.fixture
def some(chain) -> list:
    order = {"object_type": "orders.order", "object_id": "o-1"}
    made = [
        entry(
            1, actor="user:1", address="192.0.2.1", request_id="request-1", before={"a": 1, "b": 2},
            after={"a": 3},
        ),
        entry(2, actor="user:2", outcome="refused", account="acc", **order),
        entry(3, actor="user:1", correlation_id="request-1", **order),
        entry(4, actor="<b>eve</b>", detail={"html": "<script>"}),
    ]  # fmt: skip
    append(made)
    return made


def test_entries_are_found_by_any_of_their_values(some, admin_client):
    assert shown(admin_client) == [4, 3, 2, 1]
    for term, expected in {
        "user:1": [3, 1], "o-1": [3, 2], "orders.order:o-1": [3, 2], "other:o-1": [], "request-1": [3, 1],
        "192.0.2.1": [1], "acc": [2], str(some[3].id): [4], "nothing": [], " user:2 ": [2],
    }.items():  # fmt: skip
        assert shown(admin_client, q=term) == expected, term
    assert shown(admin_client, outcome="refused") == [2]
    assert shown(admin_client, action="test.done", actor="user:1") == [3, 1]
    assert shown(admin_client, action="login.failed") == []
    assert shown(admin_client, correlation_id="request-1") == [3, 1]
    page = admin_client.get(LIST).content.decode()
    assert "&lt;b&gt;eve" in page
    assert "<b>eve" not in page


def test_periods_narrow_from_years_to_days(some, admin_client):
    def offered(**query) -> list[str]:
        filters = admin_client.get(LIST, query).context["cl"].filter_specs
        (period,) = [one for one in filters if one.title.startswith("when")]
        return [value for value, _ in period.lookup_choices]

    assert offered() == ["2026"]
    assert offered(period="2026") == ["2026", "2026-11"]
    assert offered(period="2026-11") == ["2026", "2026-11", "2026-11-27"]
    assert offered(period="2026-11-27") == ["2026", "2026-11", "2026-11-27"]
    assert shown(admin_client, period="2026-11-27") == shown(admin_client, period="2026") == [4, 3, 2, 1]
    assert shown(admin_client, period="2026-10") == []
    for nonsense in ("2026-13", "2026-02-30", "0000", "9999-12-31", "x", "10000"):
        assert span(nonsense) is None
        assert admin_client.get(LIST, {"period": nonsense}).status_code == 200


def test_no_page_counts_the_table_and_all_ask_little(chain, admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 120)
    grow(130)
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(LIST)
    assert len(queries) <= 15
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "audit_entry" in query["sql"]]
    assert counts
    assert all("LIMIT 120" in count for count in counts)
    seen, address = [], LIST
    while address:
        page = admin_client.get(address)
        seen += [row.sequence for row in page.context["cl"].result_list]
        older = page.context["cl"].older_url
        assert ("Older than these" in page.content.decode()) == bool(older)
        address = LIST + older if older else ""
    assert seen == list(range(130, 0, -1))
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get(page_of(7)).status_code == 200
    assert len(queries) <= 15


def test_one_entry_shows_what_changed_and_what_belongs_to_it(some, admin_client):
    page = admin_client.get(page_of(1))
    text = page.content.decode()
    assert page.context["fields"] == [Field("a", "1", "3"), Field("b", "2", None)]
    assert "192.0.2.1" in text
    assert [one.sequence for one in page.context["same_request"]] == [3]
    assert page.context["same_object"] == []
    assert [one.sequence for one in admin_client.get(page_of(2)).context["same_object"]] == [3]
    assert bytes(Entry.objects.get(sequence=1).hash).hex() in text
    assert "<script>" not in admin_client.get(page_of(4)).content.decode().partition('id="content-main"')[2]
    for missing in ("99", "x", "9" * 30):
        assert admin_client.get(reverse("admin:audit_entry_change", args=[missing])).status_code == 404


def test_before_and_after_are_shown_side_by_side_whatever_they_are():
    def fields(before, after):
        return fields_of(Entry(before=before, after=after))

    assert fields(None, None) == []
    assert fields({"a": "x"}, None) == [Field("a", "x", None)]
    assert fields("x", [1]) == [Field("", "x", "[\n  1\n]")]
    assert [field.differs for field in fields({"a": 1, "b": 2}, {"a": 1, "b": 3})] == [False, True]


def test_nothing_can_be_changed(some, admin_client):
    assert admin_client.get(reverse("admin:audit_entry_add")).status_code == 403
    assert admin_client.post(page_of(1), {"actor": "user:9"}).status_code == 403
    assert admin_client.post(reverse("admin:audit_entry_delete", args=[1])).status_code == 403
    assert (
        admin_client.post(LIST, {"action": "delete_selected", "_selected_action": ["1"]}).status_code == 200
    )
    assert Entry.objects.count() == 4


def test_the_list_says_how_the_chain_stands_and_has_it_verified(some, admin_client):
    assert "not verified yet" in admin_client.get(LIST).content.decode()
    assert admin_client.get(reverse("admin:audit_entry_verify")).status_code == 405
    for _ in range(2):
        answer = admin_client.post(reverse("admin:audit_entry_verify"), follow=True)
        assert "is being verified" in answer.content.decode()
    assert TaskRun.objects.filter(task="audit.verify").count() == 1
    written()
    text = admin_client.get(LIST).content.decode()
    assert f"sound up to row {sound_up_to()}" in text
    assert head().mark in text
    tamper("UPDATE audit_entry SET actor = 'x' WHERE sequence >= %s", [sound_up_to()])
    verifying.verify_new()
    text = admin_client.get(LIST).content.decode()
    assert "broken: " in text
    assert "was changed, or hashed under another key" in text
    listed = admin_client.get(reverse("admin:audit_verification_changelist"))
    assert [look.findings > 0 for look in listed.context["cl"].result_list] == [True, False]
    look = Verification.objects.latest("id")
    assert (
        "was changed"
        in admin_client.get(reverse("admin:audit_verification_change", args=[look.pk])).content.decode()
    )
    tamper("DELETE FROM audit_head")
    assert "The head is missing" in admin_client.get(LIST).content.decode()


def test_who_may_only_look_may_not_verify(some, client, django_user_model):
    user = django_user_model.objects.create_user("ann", is_staff=True)
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_entry", content_type__app_label="audit"))
    page = client.get(LIST)
    assert "Verify the new part" not in page.content.decode()
    assert client.post(reverse("admin:audit_entry_verify")).status_code == 403


def test_the_key_of_a_row_is_shown(keyed, admin_client):
    grow(1)
    assert KEYS["new"].partition(":")[0] in admin_client.get(page_of(1)).content.decode()
