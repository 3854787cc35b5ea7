"""What is read has a tag: it is not sent twice, and not changed unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.orders.models import Account

pytestmark = pytest.mark.django_db

ACCOUNTS, PREFERENCES = "/api/v1/accounts", "/api/v1/notifications/preferences"


@pytest.fixture
def api(client: Client, new_user: Any) -> Client:
    client.force_login(new_user())
    return client


def send(web: Client, method: str, address: str, body: Any, **headers: str) -> Any:
    return web.generic(method, address, json.dumps(body), "application/json", headers=headers)


@pytest.fixture
def account(api: Client) -> str:
    made = send(api, "POST", ACCOUNTS, {"name": "main", "exchange": "binance"}).json()
    return f"{ACCOUNTS}/{made['id']}"


def test_an_answer_that_the_client_has_is_not_sent(api, account):
    for address in (account, ACCOUNTS, PREFERENCES, "/api/v1/strategies", "/api/v1/"):
        first = api.get(address)
        assert first["ETag"].startswith('"')
        assert first["Cache-Control"] == "private, no-cache"
        for held in (first["ETag"], f"W/{first['ETag']}", f'"x", {first["ETag"]}', "*"):
            again = api.get(address, headers={"If-None-Match": held})
            assert (again.status_code, again.content) == (304, b"")
            assert again["ETag"] == first["ETag"]
            assert again["Vary"] == first["Vary"]
            assert "Content-Type" not in again
        assert api.get(address, headers={"If-None-Match": '"x"'}).content == first.content
        assert api.head(address)["ETag"] == first["ETag"]


def test_a_page_that_the_client_has_leads_to_the_next_one(api):
    for number in range(2):
        send(api, "POST", ACCOUNTS, {"name": f"a{number}", "exchange": "binance"})
    first = api.get(ACCOUNTS, {"limit": 1})
    assert api.get(ACCOUNTS, {"limit": 1}, headers={"If-None-Match": first["ETag"]})["Link"] == first["Link"]


def test_errors_and_changes_have_no_tag(api, account):
    assert "ETag" not in api.get(f"{ACCOUNTS}/nothing")
    assert "ETag" not in api.get(f"{account}?x=1")
    assert "ETag" not in send(api, "PATCH", account, {"name": "x"})


def test_nothing_is_changed_that_the_client_has_not_seen(api, account):
    tag = api.get(account)["ETag"]
    for wrong in ('"x"', f"W/{tag}", "x", ""):
        refused = send(api, "PATCH", account, {"name": "other"}, **{"If-Match": wrong})
        assert (refused.status_code, refused.json()["type"]) == (412, "/problems/precondition-failed")
    assert Account.objects.get().name == "main"
    assert send(api, "PATCH", account, {"name": "other"}, **{"If-Match": f'"x", {tag}'}).status_code == 200
    assert send(api, "PATCH", account, {"name": "third"}, **{"If-Match": tag}).status_code == 412
    assert send(api, "PATCH", account, {"name": "third"}, **{"If-Match": "*"}).status_code == 200
    assert Account.objects.get().name == "third"


@pytest.mark.parametrize("table", ["orders_account", "notifications_preference"])
def test_what_is_compared_is_locked_until_it_is_changed(api, account, table):
    """Accounts by their row; preferences, of which there may be none yet, by that of their user."""
    address, changes, holder = {
        "orders_account": (account, ({"name": "b"}, {"name": "c"}), "orders_account"),
        "notifications_preference": (
            PREFERENCES, ({"backtest_finished": False}, {"backtest_finished": True}), "auth_user",
        ),
    }[table]  # fmt: skip
    for change, conditions in zip(changes, ({"If-Match": api.get(address)["ETag"]}, {}), strict=True):
        with CaptureQueriesContext(connection) as queries:
            assert send(api, "PATCH", address, change, **conditions).status_code == 200
        said = [one["sql"] for one in queries]
        locks = [at for at, text in enumerate(said) if holder in text and "FOR NO KEY UPDATE" in text]
        reads = [at for at, text in enumerate(said) if f'FROM "{table}"' in text and at not in locks]
        writes = [
            at for at, text in enumerate(said) if text.startswith(("INSERT", "UPDATE")) and table in text
        ]
        # By the change itself, and before it is read for the comparison.
        assert locks[0] < writes[0]
        assert not conditions or locks[0] < reads[0]


def test_what_cannot_be_read_has_no_tag_to_match(api, account):
    refused = api.delete(f"{account}/keys", headers={"If-Match": "*"})
    assert refused.status_code == 412
    assert api.delete(f"{account}/keys").status_code == 204


def test_preferences_are_changed_as_they_were_seen(api):
    tag = api.get(PREFERENCES)["ETag"]
    change = {"backtest_finished": False}
    assert send(api, "PATCH", PREFERENCES, change, **{"If-Match": tag}).status_code == 200
    assert send(api, "PATCH", PREFERENCES, change, **{"If-Match": tag}).status_code == 412
