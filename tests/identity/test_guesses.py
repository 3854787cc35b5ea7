"""Wrong passwords are counted by account, wherever they are tried, and others' guesses lock nobody out."""

from __future__ import annotations

import io
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.identity.checks import check_settings
from apps.identity.models import KnownPlace
from apps.ratelimits.engine import engine
from tests.audit.chaining import waiting
from tests.identity.helpers import PASSWORD, basic, bearing, problem, send

ADMIN = reverse("admin:login")


@pytest.fixture
def limits(alice: Any, settings: Any) -> Any:
    """Sets how many wrong passwords there may be from one address, and of one account."""
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_TIMEOUT = 5.0

    def set_limits(address: str = "3/m", account: str = "100/h") -> None:
        rules = {"login-failures": ("address", address), "login-failures-account": ("account", account)}
        settings.RATELIMITS_GROUPS = [
            {"name": name, "outage": "local", "rules": {rule: {"by": "subject", "rate": rate}}}
            for name, (rule, rate) in rules.items()
        ]

    set_limits()
    yield set_limits
    engine().keeper.stop()


def attempt(password: str = "wrong", name: str = "alice", address: str = "192.0.2.1") -> Any:
    return send(Client(REMOTE_ADDR=address), "POST", "login", {"username": name, "password": password})


def statuses(times: int, **how: str) -> list[int]:
    return [attempt(**how).status_code for _ in range(times)]


def test_guesses_of_every_kind_are_counted_together_and_then_not_even_the_right_one_is_looked_at(limits):
    web = Client(REMOTE_ADDR="192.0.2.1")
    assert web.post(ADMIN, {"username": "alice", "password": "wrong"}).status_code == 200
    assert web.get("/api/v1/positions", headers=basic("alice", "wrong")).status_code == 401
    assert statuses(1) == [401]
    denied = attempt(PASSWORD)
    assert problem(denied)[:2] == (429, "too-many-requests")
    assert 0 < int(denied["Retry-After"]) <= 61
    assert problem(denied)[2].startswith("Too many wrong passwords. Try again in ")
    assert web.get("/api/v1/positions", headers=basic("alice", PASSWORD)).status_code == 429
    page = web.post(ADMIN, {"username": "alice", "password": PASSWORD})
    assert page.status_code == 200
    assert b"Too many wrong passwords" in page.content
    # Each was told of, those that nobody looked at as well.
    assert [one["action"] for one in waiting()] == ["login.failed"] * 6
    # Of nobody else, and from nowhere else.
    assert statuses(1, name="bob") == [401]
    assert attempt(PASSWORD, address="192.0.2.2").status_code == 200


def test_an_operator_lifts_the_limit_of_an_account(limits):
    limits(account="2/h")
    assert statuses(3) == [401, 401, 429]
    for subject in ("login:alice", "login:192.0.2.1/alice"):
        call_command("ratelimits", "reset", subject, "--yes", stdout=io.StringIO())
    assert statuses(3) == [401, 401, 429]


def test_a_network_of_ipv6_is_one_address(limits):
    found = [attempt(address=f"2001:db8:1:2::{number:x}").status_code for number in range(1, 6)]
    assert found == [401, 401, 401, 429, 429]


def test_a_right_password_is_no_guess(limits):
    for _ in range(3):
        assert [attempt(PASSWORD).status_code for _ in range(4)] == [200] * 4
    assert statuses(4) == [401, 401, 401, 429]


def test_the_old_password_of_a_change_is_a_guess_like_any_other(limits, token):
    web = bearing(token, REMOTE_ADDR="192.0.2.1")
    body = {"old_password": "wrong", "new_password": "battery-Staple-9"}
    assert [send(web, "POST", "password", body).status_code for _ in range(4)] == [400, 400, 400, 429]
    assert web.get("/api/v1/positions").status_code == 200


def test_names_that_are_nobodys_are_answered_and_counted_like_others(limits):
    known, unknown = ([attempt(name=name) for _ in range(5)] for name in ("alice", "nobody"))
    for answers in (known, unknown):
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    bodies = [answers[0].json() for answers in (known, unknown)]
    assert bodies[0].pop("request_id") != bodies[1].pop("request_id")
    assert bodies[0] == bodies[1]
    for odd in ("", "x" * 150, "a b:c|d{e}"):
        assert statuses(4, name=odd)[-1] in (400, 429)


def test_a_name_that_is_nobodys_costs_as_many_hashes_as_a_wrong_password(alice, monkeypatch):
    hashed, encode = [], MD5PasswordHasher.encode

    def counted(self: Any, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    for name in ("alice", "nobody"):
        assert attempt("guess", name=name).status_code == 401
        assert hashed == ["guess"], name
        hashed.clear()


def test_whoever_guesses_from_many_addresses_locks_out_none_but_strangers(limits):
    """From a place that the user signed in from lately, the account's own limit does not hold."""
    limits(account="5/h")
    home, elsewhere = "198.51.100.7", "203.0.113.9"
    assert attempt(PASSWORD, address=home).status_code == 200
    assert KnownPlace.objects.get().network == home
    assert [attempt(address=f"192.0.2.{number}").status_code for number in range(8)] == [401] * 5 + [429] * 3
    assert attempt(PASSWORD, address=elsewhere).status_code == 429
    assert attempt(PASSWORD, address=home).status_code == 200
    # Not that anybody there may guess on.
    assert statuses(4, address=home) == [401] * 3 + [429]
    # Who was denied for the account was not charged for the address.
    limits(account="100/h")
    assert statuses(4, address="192.0.2.7") == [401] * 3 + [429]


def test_guesses_are_counted_while_redis_is_away(limits, redis_away):
    assert statuses(4) == [401] * 3 + [429]
    assert attempt(PASSWORD, address="192.0.2.2").status_code == 200


def test_coroutines_are_limited_likewise(limits, transactional_db):
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1")
    found = [async_to_sync(aauthenticate)(request, username="alice", password="wrong") for _ in range(3)]
    assert found == [None] * 3
    assert attempt().status_code == 429


def test_without_limits_and_without_groups_nothing_is_counted_and_checks_tell_of_the_latter(limits, settings):
    groups = settings.RATELIMITS_GROUPS
    settings.RATELIMITS_GROUPS = []
    assert statuses(5) == [401] * 5
    assert [one.id for one in check_settings(app_configs=None)] == ["identity.W001"] * 2
    settings.RATELIMITS_GROUPS = groups
    assert check_settings(app_configs=None) == []
    settings.RATELIMITS_ENABLED = False
    assert statuses(5) == [401] * 5
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_ALLOW = ["192.0.2.0/24"]
    assert statuses(5) == [401] * 5
