"""Staff read the whole audit over HTTP, users what they did themselves, and nobody else anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from apps.audit.chain import append
from tests.audit.chaining import MOMENT, entry

LIST, MINE = reverse("audit-list"), reverse("audit-mine")


@pytest.fixture
def some(chain, django_user_model):
    """Six entries, oldest first: of two users and of nobody."""
    ann, bob = (django_user_model.objects.create_user(name, password="x") for name in ("ann", "bob"))
    actors = [f"user:{ann.pk}", f"user:{bob.pk}", ""] * 2
    made = [
        entry(
            number, actor=actor, outcome="refused" if number == 4 else "succeeded", account=f"a-{number % 2}",
            object_type="orders.order" if number > 3 else "", address=f"192.0.2.{number}",
            request_id=f"request-{number}",
        )
        for number, actor in enumerate(actors, 1)
    ]  # fmt: skip
    append(made)
    return ann, bob, made


def numbers(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [int(one["object_id"]) for one in answer.json()]


def test_every_condition_selects(some, admin_client):
    ann, _, _ = some
    for query, expected in {
        "": [6, 5, 4, 3, 2, 1],
        f"actor=user:{ann.pk}": [4, 1],
        "outcome=refused": [4],
        "object_type=orders.order": [6, 5, 4],
        "object_type=orders.order&object_id=5": [5],
        "object_id=2": [2],
        "account=a-1": [5, 3, 1],
        "address=192.0.2.3": [3],
        "request_id=request-6": [6],
        "action=test.done": [6, 5, 4, 3, 2, 1],
        "action=test.*&outcome=refused": [4],
        "action=login.*": [],
        f"since={(MOMENT + timedelta(seconds=5)).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}": [6, 5],
        f"until={(MOMENT + timedelta(seconds=2)).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}": [1],
    }.items():
        assert numbers(admin_client.get(f"{LIST}?{query}")) == expected, query


def test_what_cannot_be_asked_for_is_refused(some, admin_client):
    for query, field in {
        "outcome=done": "outcome", "action=test.unknown": "action", "action=x.*": "action",
        "since=soon": "since", "limit=0": "limit", "cursor=x": "cursor", "address=localhost": "address",
        "actors=x": "actors",
        "cursor=99999999999999999999": "cursor", "actor=a&actor=b": "actor",
    }.items():  # fmt: skip
        answer = admin_client.get(f"{LIST}?{query}")
        assert answer.status_code == 400, query
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert admin_client.get(f"{MINE}?actor=user:1").status_code == 400


def test_pages_follow_each_other(some, admin_client):
    seen, address = [], f"{LIST}?limit=4&action=test.done"
    while address:
        answer = admin_client.get(address)
        seen.append(numbers(answer))
        address = answer.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == [[6, 5, 4, 3], [2, 1]]


def test_one_entry_says_everything(some, admin_client):
    _, bob, made = some
    answer = admin_client.get(reverse("audit-detail", args=[made[4].id]))
    body = answer.json()
    told = {
        "sequence": 5, "id": str(made[4].id), "actor": f"user:{bob.pk}", "action": "test.done",
        "label": "Tested", "level": "info", "object_type": "orders.order",
    }  # fmt: skip
    assert {name: body[name] for name in told} == told
    assert body["detail"] == {"number": 5}
    assert body["occurred_at"] == (MOMENT + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    assert len(body["hash"]) == 64
    nothing = reverse("audit-detail", args=["019ac4b6-0000-7000-8000-000000000001"])
    assert admin_client.get(nothing).status_code == 404


def test_users_see_what_they_did_and_nothing_else(some, client):
    ann, _, made = some
    client.force_login(ann)
    assert numbers(client.get(MINE)) == [4, 1]
    assert numbers(client.get(MINE, {"outcome": "refused"})) == [4]
    assert numbers(client.get(MINE, {"object_id": "2"})) == []
    assert client.get(LIST).status_code == 403
    assert client.get(reverse("audit-detail", args=[made[0].id])).status_code == 403


def test_strangers_see_nothing(some, client):
    for address in (LIST, MINE, reverse("audit-detail", args=[some[2][0].id])):
        assert client.get(address).status_code == 401
