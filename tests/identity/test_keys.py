"""Users make, change, rotate and end keys of their own; each of these is audited, and nothing shown twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.identity import keys, pruning
from apps.identity.models import ApiKey, KnownPlace
from tests.audit.chaining import waiting
from tests.identity.helpers import bearing, key_of, problem, send

ORDERS = "/api/v1/positions"


@pytest.fixture
def web(token: str) -> Client:
    return bearing(token)


def deeds() -> list[str]:
    """What was done to keys."""
    return [one["action"] for one in waiting() if one["action"].startswith("key.")]


def test_the_life_of_a_key(web, alice):
    body = {"name": " my  bot ", "scopes": ["orders:write", "accounts:read", "orders:write"]}
    made = send(web, "POST", "keys", {**body, "networks": ["127.0.0.1"], "expires_in_days": 7})
    assert made.status_code == 201, made.content
    assert made["Cache-Control"] == "no-store"
    key, secret = made.json()["key"], made.json()["token"]
    assert made["Location"] == key["url"]
    assert (key["name"], key["kind"], key["state"]) == ("my bot", "key", "active")
    assert (key["scopes"], key["networks"]) == (["accounts:read", "orders:write"], ["127.0.0.1/32"])
    one = f"keys/{key['id']}"
    assert secret not in send(web, "GET", one).content.decode()
    assert key["hint"] == f"{secret[:8]}…"
    assert bearing(secret).get(ORDERS).status_code == 200
    assert send(web, "GET", one).json()["last_used_address"] == "127.0.0.1"
    changed = send(web, "PATCH", one, {"name": "bot", "networks": []}).json()
    assert (changed["name"], changed["networks"]) == ("bot", [])
    assert send(web, "PATCH", one, {"scopes": ["audit:read"]}).status_code == 400

    rotated = send(web, "POST", f"{one}/rotate", {"overlap_seconds": 60}).json()
    assert rotated["key"]["id"] == key["id"]
    assert rotated["key"]["previous_until"]
    assert rotated["token"] != secret
    for good in (secret, rotated["token"]):
        assert bearing(good).get(ORDERS).status_code == 200
    ApiKey.objects.filter(pk=key["id"]).update(previous_until=timezone.now())
    assert problem(bearing(secret).get(ORDERS))[::2] == (401, "This token has expired.")
    last = send(web, "POST", f"{one}/rotate").json()["token"]
    assert bearing(rotated["token"]).get(ORDERS).status_code == 401
    assert bearing(last).get(ORDERS).status_code == 200

    assert send(web, "DELETE", one).status_code == 204
    assert send(web, "DELETE", one).status_code == 204
    assert send(web, "GET", one).json()["state"] == "revoked"
    assert problem(bearing(last).get(ORDERS))[::2] == (401, "This token was revoked.")
    for method, address in (("PATCH", one), ("POST", f"{one}/rotate")):
        assert problem(send(web, method, address, {}))[:2] == (409, "conflict")
    assert deeds() == ["key.created", "key.changed", "key.rotated", "key.rotated", "key.revoked"]
    assert not any(told in str(waiting()) for told in (secret, last, rotated["token"]))


def test_a_key_is_changed_as_it_was_seen_however_often_it_is_used(web, alice):
    issued = key_of(alice)
    one = f"keys/{issued.key.pk}"
    seen = send(web, "GET", one)
    assert bearing(issued.token).get(ORDERS).status_code == 200
    # Its use is shown to whoever has the tag, which is the same.
    again = send(web, "GET", one, headers={"If-None-Match": seen["ETag"]})
    assert (again.status_code, again["ETag"]) == (200, seen["ETag"])
    assert again.json()["last_used_at"] != seen.json()["last_used_at"]
    matching = {"If-Match": seen["ETag"]}
    assert send(web, "PATCH", one, {"name": "bot"}, headers=matching).status_code == 200
    assert send(web, "DELETE", one, headers=matching).status_code == 412
    matching = {"If-Match": send(web, "GET", one)["ETag"]}
    assert send(web, "DELETE", one, headers=matching).status_code == 204


def test_the_token_before_a_rotation_is_good_for_no_longer_than_it_was(alice):
    issued = key_of(alice, expires_in_days=1)
    before = issued.key.expiry
    again = keys.key_rotate(key=issued.key, by="test", overlap=timedelta(days=20)).key
    assert again.previous_until == before
    assert again.expiry > before + timedelta(days=80)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"), ({"name": "x" * 65}, "name"), ({"scopes": []}, "scopes"),
        ({"scopes": ["orders:all"]}, "scopes.0"), ({"networks": ["nowhere"]}, "networks"),
        ({"networks": ["10.0.0.1"] * 101}, "networks"), ({"expires_in_days": 366}, "expires_in_days"),
        ({"expires_in_days": 0}, "expires_in_days"), ({"kind": "login"}, "kind"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_is_refused(web, changes, field):
    answer = send(web, "POST", "keys", {"name": "bot", "scopes": ["orders:read"], **changes})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not ApiKey.objects.filter(kind="key").exists()


def test_nobody_has_keys_without_number(web, alice, monkeypatch):
    monkeypatch.setattr(keys, "MOST_KEYS", 2)
    key_of(alice)
    issued = key_of(alice)
    body = {"name": "bot", "scopes": ["orders:read"]}
    assert send(web, "POST", "keys", body).status_code == 400
    keys.key_revoke(key=issued.key, by="test")
    assert send(web, "POST", "keys", body).status_code == 201


def test_keys_and_logins_are_listed_in_pages_and_a_login_can_only_be_ended(web, alice):
    made = [str(key_of(alice).key.pk) for _ in range(3)]
    listed = send(web, "GET", "keys?limit=3").json()
    assert [one["id"] for one in listed] == made[::-1]
    (login,) = send(web, "GET", "keys?kind=login").json()
    assert (login["scopes"], login["name"]) == ([], "")
    assert problem(send(web, "PATCH", f"keys/{login['id']}", {"name": "x"}))[0] == 409
    ApiKey.objects.filter(pk=made[0]).update(expiry=timezone.now())
    assert [one["id"] for one in send(web, "GET", "keys?kind=key&active=false").json()] == made[:1]
    assert len(send(web, "GET", "keys?active=true").json()) == 3
    assert send(web, "DELETE", f"keys/{login['id']}").status_code == 204
    assert send(web, "GET", "keys").status_code == 401


def test_what_is_over_for_long_is_pruned_and_places_are_forgotten(alice, settings):
    fresh, expired, revoked, forever = (key_of(alice).key.pk for _ in range(4))
    long_ago = timezone.now() - timedelta(days=91)
    ApiKey.objects.filter(pk=expired).update(expiry=long_ago)
    ApiKey.objects.filter(pk=revoked).update(revoked_at=long_ago)
    ApiKey.objects.filter(pk=forever).update(expiry=None)
    KnownPlace.objects.create(user=alice, network="192.0.2.1", last_at=timezone.now() - timedelta(days=31))
    KnownPlace.objects.create(user=alice, network="192.0.2.2")
    settings.API_KEYS_KEPT_DAYS = 0
    assert pruning.prune() == pruning.Pruned(keys=0, places=1)
    settings.API_KEYS_KEPT_DAYS = 90
    assert pruning.prune() == pruning.Pruned(keys=2, places=0)
    assert set(ApiKey.objects.values_list("pk", flat=True)) == {fresh, forever}
