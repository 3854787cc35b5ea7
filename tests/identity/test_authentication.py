"""A token is taken at once, cheaply, and only as long and from where it is good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import get_token_model

from apps.core import redaction
from apps.identity.models import ApiKey
from apps.ratelimits.engine import engine
from tests.identity.helpers import PASSWORD, basic, bearing, key_of, problem, send
from tests.ratelimits.requesting import left

ORDERS = "/api/v1/positions"


def test_a_token_costs_one_query_and_that_it_was_used_is_written_once_a_minute(transactional_db, alice):
    issued = key_of(alice)
    web = bearing(issued.token, REMOTE_ADDR="192.0.2.7")
    assert web.get(ORDERS).status_code == 200
    issued.key.refresh_from_db()
    used = issued.key.last_used_at
    assert (issued.key.last_used_address, issued.key.revoked_at) == ("192.0.2.7", None)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert bearing(issued.token, "token", REMOTE_ADDR="192.0.2.8").get(ORDERS).status_code == 200
    about_keys = [one["sql"] for one in queries if "identity_" in one["sql"]]
    assert len(about_keys) == 1
    assert about_keys[0].startswith("SELECT")
    issued.key.refresh_from_db()
    assert issued.key.last_used_at == used
    ApiKey.objects.update(last_used_at=used - timedelta(minutes=2))
    web.get(ORDERS)
    issued.key.refresh_from_db()
    assert issued.key.last_used_at > used


def test_nothing_of_a_token_is_stored_that_it_could_be_made_from_and_it_is_masked_by_its_form(alice):
    assert get_token_model() is ApiKey
    issued = key_of(alice)
    assert issued.token.startswith("chd_")
    stored = str(ApiKey.objects.values().get())
    assert issued.token not in stored
    assert issued.token[15:] not in stored
    assert issued.token not in repr(issued)
    for text in (issued.token, f"sent {issued.token}.", f"x={issued.token}&y=1", f"('{issued.token}',)"):
        assert issued.token[4:] not in redaction.text(text)
    assert (
        redaction.text("chd_backup and archd_0123456789abcdef0") == "chd_backup and archd_0123456789abcdef0"
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"revoked_at": timezone.now()}, "This token was revoked."),
        ({"expiry": timezone.now() - timedelta(seconds=1)}, "This token has expired."),
        ({"networks": ["192.0.2.0/24"]}, "This token is not taken from this address."),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(alice, changes, why):
    issued = key_of(alice)
    ApiKey.objects.update(**changes)
    assert problem(bearing(issued.token).get(ORDERS)) == (401, "not-authenticated", why)
    assert ApiKey.objects.get().last_used_at is None


def test_users_that_are_switched_off_and_tokens_that_nobody_has_are_refused(alice, token):
    for wrong in (
        f"chd_{'0' * 64}",
        f"{token[:-1]}{'0' if token[-1] != '0' else '1'}",
        "chd_",
        "x" * 500,
        "chd_\0",
    ):
        answer = bearing(wrong, "Token").get(ORDERS)
        assert problem(answer)[::2] == (401, "This token is not known."), wrong
    for odd in ("Token", "Token a b"):
        assert Client(headers={"Authorization": odd}).get(ORDERS).status_code == 401
    alice.is_active = False
    alice.save()
    assert problem(bearing(token).get(ORDERS)) == (401, "not-authenticated", "The user is switched off.")


def test_a_key_is_taken_from_its_networks_however_the_address_is_written(alice):
    issued = key_of(alice, networks=["192.0.2.0/24", "2001:db8::1"])
    for address, status in (
        ("192.0.2.200", 200), ("::ffff:192.0.2.1", 200), ("2001:db8::1", 200), ("2001:db8::2", 401),
        ("198.51.100.1", 401), ("", 401),
    ):  # fmt: skip
        assert bearing(issued.token, REMOTE_ADDR=address).get(ORDERS).status_code == status, address


def test_bearers_of_other_secrets_are_left_alone_and_keys_are_none_of_these(alice, settings):
    settings.METRICS_TOKEN = "scraper"
    alice.is_staff = True
    alice.save()
    assert bearing("scraper").get("/metrics").status_code == 200
    assert bearing("another").get("/metrics").status_code == 401
    assert bearing(key_of(alice, "metrics:read").token).get("/metrics").status_code == 200
    assert bearing(key_of(alice, "orders:read").token).get("/metrics").status_code == 403


def test_a_name_that_no_database_can_look_for_is_nobodys(alice):
    answer = Client().post("/api/v1/auth/login", headers=basic("alice\0", PASSWORD))
    assert problem(answer)[::2] == (401, "Invalid username/password.")


def test_names_and_passwords_are_taken_only_to_sign_in_where_the_setting_says_so(alice, settings):
    web = Client(headers=basic("alice", PASSWORD))
    assert web.get(ORDERS).status_code == 200
    settings.API_BASIC_AUTH = False
    assert problem(web.get(ORDERS)) == (
        401, "not-authenticated", "Names and passwords are taken by /api/v1/auth/login only.",
    )  # fmt: skip
    token = web.post("/api/v1/auth/login").json()["token"]
    assert bearing(token).get(ORDERS).status_code == 200
    assert send(Client(), "GET", ORDERS).status_code == 401


def test_a_key_that_was_revoked_is_not_trusted_by_limits_either(alice, settings):
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_TIMEOUT = 5.0
    rules = {
        "key": {"by": "key", "rate": "9/m"},
        "failures": {"by": "address", "rate": "2/m", "failures": True},
    }
    settings.RATELIMITS_GROUPS = [{"name": "default", "rules": rules}]
    issued = key_of(alice)
    web = bearing(issued.token)
    assert [left(web.get(ORDERS))["default/key"] for _ in range(2)] == [8, 7]
    ApiKey.objects.update(revoked_at=timezone.now())
    # Once it is known that it is nobody's, it is a guess like any other.
    assert [web.get(ORDERS).status_code for _ in range(4)] == [401, 401, 401, 429]
    engine().keeper.stop()
