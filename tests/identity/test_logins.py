"""Signing in and out over HTTP, who somebody is, and another password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.identity import places
from apps.identity.models import ApiKey
from apps.identity.services import login_begin
from tests.audit.chaining import waiting
from tests.identity.helpers import PASSWORD, basic, bearing, key_of, problem, send

ORDERS = "/api/v1/positions"
ANOTHER = "battery-Staple-9"


def deeds() -> list[str]:
    """What was told of, but for bare writes."""
    return [one["action"] for one in waiting() if one["action"] != "api.write"]


@pytest.fixture
def session(alice) -> Client:
    """A browser that alice is signed in with."""
    web = Client()
    web.force_login(alice)
    return web


def test_a_password_buys_a_token_by_basic_and_in_the_body(alice, settings):
    settings.LOGIN_TOKEN_HOURS = 2
    body = {"username": "alice", "password": PASSWORD}
    for answer in (
        send(Client(), "POST", "login", headers=basic("alice", PASSWORD)),
        send(Client(), "POST", "login", body),
    ):  # fmt: skip
        assert answer.status_code == 200, answer.content
        assert answer["Cache-Control"] == "no-store"
        told = answer.json()
        assert told["user"]["username"] == "alice"
        assert bearing(told["token"]).get(ORDERS).status_code == 200
    left = ApiKey.objects.first().expiry - timezone.now()
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)
    for wrong, status in (
        ({"username": "alice", "password": "x"}, 401), ({"username": "nobody", "password": PASSWORD}, 401),
        ({"username": "alice"}, 400), ({**body, "more": 1}, 400), ({}, 401), (None, 401),
    ):  # fmt: skip
        assert send(Client(), "POST", "login", wrong).status_code == status, wrong
    assert "login.failed" in deeds()
    alice.is_active = False
    alice.save()
    assert send(Client(), "POST", "login", body).status_code == 401


def test_who_somebody_is_and_with_what(alice, session, token):
    issued = key_of(alice, "orders:read")
    kinds = {}
    for web in (session, bearing(token), bearing(issued.token), Client(headers=basic("alice", PASSWORD))):
        told = send(web, "GET", "me").json()
        assert told["user"] == {**told["user"], "username": "alice", "is_staff": False}
        kinds[told["credential"]["kind"]] = told["credential"]
    assert kinds.keys() == {"session", "login", "key", "password"}
    assert (kinds["key"]["scopes"], kinds["key"]["id"]) == (["orders:read"], str(issued.key.pk))
    assert [kinds[kind]["scopes"] for kind in ("session", "login", "password")] == [None] * 3


def test_signing_out_ends_the_login_that_it_came_with(alice, session, token):
    assert send(bearing(token), "POST", "logout").status_code == 204
    assert bearing(token).get(ORDERS).status_code == 401
    assert send(session, "POST", "logout").status_code == 204
    assert session.get(ORDERS).status_code == 401
    assert deeds() == ["login.succeeded", "logout", "logout"]


def test_signing_out_everywhere_leaves_keys_and_other_users_alone(alice, session, token, new_user):
    issued = key_of(alice)
    stranger = Client()
    stranger.force_login(new_user())
    web = Client()
    web.force_login(alice)
    assert send(session, "POST", "logout-all").json() == {"ended": 3}
    for ended in (session, web, bearing(token)):
        assert ended.get(ORDERS).status_code == 401
    for other in (stranger, bearing(issued.token)):
        assert other.get(ORDERS).status_code == 200
    assert "login.ended_everywhere" in deeds()


@pytest.mark.parametrize("revoke_keys", [False, True])
def test_another_password_ends_all_logins_but_the_one_that_it_came_with(alice, session, token, revoke_keys):
    other, issued = Client(), key_of(alice)
    other.force_login(alice)
    body = {"old_password": PASSWORD, "new_password": ANOTHER, "revoke_keys": revoke_keys}
    assert send(session, "POST", "password", body).json() == {"ended": 3 if revoke_keys else 2}
    assert [web.get(ORDERS).status_code for web in (session, other, bearing(token))] == [200, 401, 401]
    assert bearing(issued.token).get(ORDERS).status_code == (401 if revoke_keys else 200)
    alice.refresh_from_db()
    assert alice.check_password(ANOTHER)
    assert "password.changed" in deeds()
    assert not any(secret in str(waiting()) for secret in (PASSWORD, ANOTHER))
    again = send(Client(), "POST", "login", {"username": "alice", "password": ANOTHER}).json()["token"]
    body = {"old_password": ANOTHER, "new_password": f"{ANOTHER}!"}
    assert send(bearing(again), "POST", "password", body).json() == {"ended": 1}
    assert (bearing(again).get(ORDERS).status_code, session.get(ORDERS).status_code) == (200, 401)


def by_the_admin(alice: Any, admin_client: Client) -> None:
    form = {"password1": ANOTHER, "password2": ANOTHER, "usable_password": "true"}
    assert admin_client.post(f"/admin/auth/user/{alice.pk}/password/", form).status_code == 302


def by_the_admin_none(alice: Any, admin_client: Client) -> None:
    form = {"usable_password": "false", "unset-password": "1"}
    assert admin_client.post(f"/admin/auth/user/{alice.pk}/password/", form).status_code == 302


def by_a_script(alice: Any, _: Client) -> None:
    alice.set_password(ANOTHER)
    alice.save(update_fields=["password"])


def by_a_hash(alice: Any, _: Client) -> None:
    alice.password = make_password(ANOTHER)
    alice.save()


@pytest.mark.parametrize("set_password", [by_the_admin, by_the_admin_none, by_a_script, by_a_hash])
def test_a_password_that_is_set_anywhere_ends_logins_and_leaves_keys(
    alice, session, token, admin_client, new_user, set_password
):
    issued, strangers = key_of(alice), login_begin(user=new_user(), request=RequestFactory().get("/"))
    before = alice.password
    set_password(alice, admin_client)
    alice.refresh_from_db()
    assert alice.password != before
    assert [web.get(ORDERS).status_code for web in (session, bearing(token))] == [401, 401]
    assert [bearing(one.token).get(ORDERS).status_code for one in (issued, strangers)] == [200, 200]
    assert ApiKey.objects.get(kind="login", user=alice).state == "revoked"
    assert deeds().count("login.ended_everywhere") == 1


def test_a_user_who_is_saved_with_the_same_password_stays_signed_in(alice, token, django_assert_num_queries):
    alice.email = "new@example.com"
    alice.save()
    with django_assert_num_queries(1):
        alice.save(update_fields=["email"])
    assert bearing(token).get(ORDERS).status_code == 200


def test_who_was_verified_by_a_password_that_was_changed_meanwhile_gets_no_token(alice, monkeypatch):
    def change(**_: Any) -> None:
        by_a_script(type(alice).objects.get(pk=alice.pk), Client())

    monkeypatch.setattr(places, "place_remember", change)
    with CaptureQueriesContext(connection) as queries:
        answer = send(Client(), "POST", "login", {"username": "alice", "password": PASSWORD})
    assert problem(answer)[::2] == (401, "Invalid username/password.")
    assert not ApiKey.objects.exists()
    assert any("auth_user" in one["sql"] and "FOR NO KEY UPDATE" in one["sql"] for one in queries)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"old_password": "wrong"}, "old_password"),
        ({"new_password": "Short-1"}, "new_password"),
        ({"new_password": "81726354091827"}, "new_password"),
        ({"new_password": "alice@example.com"}, "new_password"),
        ({"new_password": "password123"}, "new_password"),
    ],
)
def test_a_password_that_cannot_be_is_refused_with_the_reason(alice, token, changes, field):
    body = {"old_password": PASSWORD, "new_password": ANOTHER, **changes}
    answer = send(bearing(token), "POST", "password", body)
    assert problem(answer)[:2] == (400, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert bearing(token).get(ORDERS).status_code == 200


def test_a_guess_at_a_password_stays_on_record_whatever_key_it_comes_with(alice, token):
    body, repeatable = {"old_password": "wrong", "new_password": ANOTHER}, {"Idempotency-Key": "k-1"}
    assert send(bearing(token), "POST", "password", body, headers=repeatable).status_code == 400
    assert deeds().count("login.failed") == 1


def test_passwords_are_kept_as_argon2id_and_older_hashes_are_hashed_anew(alice, settings):
    from project.settings import base

    settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    alice.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    alice.save()
    other = ApiKey.objects.create(alice)[1]
    assert send(Client(), "POST", "login", {"username": "alice", "password": PASSWORD}).status_code == 200
    alice.refresh_from_db()
    assert alice.password.startswith("argon2$argon2id$v=19$m=47104,t=1,p=1$")
    assert not identify_hasher(alice.password).must_update(alice.password)
    assert check_password(PASSWORD, alice.password)
    # It is the same password, and ends nothing.
    assert bearing(other).get(ORDERS).status_code == 200
