"""Accounts, orders, positions and fills over HTTP: each user's own."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.core import crypto
from apps.core.ids import uuid7
from apps.orders.models import Account, Order
from apps.orders.states import State
from tests.orders.helpers import looked, now, place, submitted

pytestmark = pytest.mark.django_db

API = "/api/v1"


@pytest.fixture
def api(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def bob(django_user_model: Any) -> Client:
    web = Client()
    web.force_login(django_user_model.objects.create_user("bob"))
    return web


def send(web: Client, method: str, address: str, content: Any = None, **headers: str) -> Any:
    return web.generic(
        method,
        f"{API}/{address}",
        json.dumps(content or {}),
        "application/json",
        headers=headers,
    )


def problem(response: Any) -> tuple[int, str, list[str]]:
    body = response.json()
    return response.status_code, body["type"].removeprefix("/problems/"), [
        error["field"] for error in body.get("errors", [])
    ]  # fmt: skip


def order_body(of: Any, /, **changes: Any) -> dict[str, Any]:
    content = {
        "account": str(of.pk),
        "instrument": "binance:BTC/USDT",
        "side": "buy",
        "quantity": "0.5",
        "simulation": False,
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def test_a_user_makes_and_changes_an_account(api, outside):
    made = send(api, "POST", "accounts", {"name": "first", "exchange": "binance"})
    assert made.status_code == 201, made.content
    answer = made.json()
    assert (answer["plan"], answer["simulation"], answer["daily_orders"]) == ("basic", True, 50)
    assert made["Location"] == answer["url"]
    one = f"accounts/{answer['id']}"
    changed = send(api, "PATCH", one, {"name": "second", "daily_limit": 5}).json()
    assert (changed["name"], changed["daily_limit"], changed["daily_orders"]) == ("second", 5, 5)
    send(api, "POST", "accounts", {"name": "third", "exchange": "kraken"})
    for method, address, content, expected in (
        ("POST", "accounts", {"name": "third", "exchange": "binance"}, (400, "invalid-request", ["name"])),
        ("POST", "accounts", {"name": "x", "exchange": "nyse"}, (400, "invalid-request", ["exchange"])),
        ("POST", "accounts", {"name": " ", "exchange": "binance"}, (400, "invalid-request", ["name"])),
        ("POST", "accounts", {"name": "x", "exchange": "binance", "daily_limit": 51},
         (400, "invalid-request", ["daily_limit"])),
        ("POST", "accounts", {"name": "x", "exchange": "binance", "plan": "pro"},
         (400, "invalid-request", ["plan"])),
        ("PATCH", one, {"plan": "pro"}, (403, "permission-denied", [])),
        ("PATCH", one, {"simulation": False}, (400, "invalid-request", ["simulation"])),
        ("PATCH", one, {"exchange": "kraken"}, (400, "invalid-request", ["exchange"])),
        ("PATCH", one, {"daily_limit": -1}, (400, "invalid-request", ["daily_limit"])),
        ("PUT", f"{one}/keys", {"api_key": "abc", "api_secret": "12345678"},
         (400, "invalid-request", ["api_key"])),
    ):  # fmt: skip
        assert problem(send(api, method, address, content)) == expected, content
    assert send(api, "PATCH", one, {"enabled": False}).json()["enabled"] is False
    assert [kind for what, kind, _ in outside if what == "audit"] == [
        "account.created", "account.changed", "account.created", "account.disabled",
    ]  # fmt: skip


def test_a_limit_that_a_user_set_does_not_outlive_the_plan_that_allowed_it(
    api, account, settings, django_user_model
):
    staff = Client()
    staff.force_login(django_user_model.objects.create_superuser("root"))
    one = f"accounts/{account.pk}"

    def limit_by(web: Client, **changes: Any) -> tuple[int | None, int]:
        answer = send(web, "PATCH", one, changes).json()
        return answer["daily_limit"], answer["daily_orders"]

    assert limit_by(api, daily_limit=900) == (900, 900)
    assert limit_by(staff, plan="basic") == (None, 50)
    # One that fits stays, and one that staff gave.
    assert limit_by(api, daily_limit=40) == (40, 40)
    assert limit_by(staff, plan="pro") == (40, 40)
    assert limit_by(staff, daily_limit=2000) == (2000, 2000)
    assert limit_by(staff, plan="basic") == (2000, 2000)
    assert limit_by(staff, plan="pro", daily_limit=900) == (900, 900)
    # A plan that is there no more allows nothing, nor may its users allow themselves something.
    plans = settings.ORDERS_PLANS
    settings.ORDERS_PLANS = {"basic": plans["basic"]}
    assert limit_by(api, name="other") == (900, 0)
    for changes in ({"daily_limit": 1}, {"simulation": False}):
        assert problem(send(api, "PATCH", one, changes)) == (400, "invalid-request", list(changes))
    assert limit_by(staff, plan="basic") == (None, 50)


def test_keys_are_kept_sealed_and_never_answered(api, account, outside):
    one = f"accounts/{account.pk}"
    answer = send(api, "PUT", f"{one}/keys", {"api_key": "publickey1234", "api_secret": "topsecret123"})
    assert answer.status_code == 200
    assert answer.json()["key_hint"] == "1234"
    account.refresh_from_db()
    for column, plain in (("api_key", "publickey1234"), ("api_secret", "topsecret123")):
        assert plain not in getattr(account, column)
        context = f"orders.account:{account.pk}:{column}"
        assert crypto.unseal(getattr(account, column), context=context) == plain
    shown = api.get(f"{API}/{one}").content.decode() + api.get(f"{API}/accounts").content.decode()
    for secret in ("publickey1234", "topsecret123", account.api_key, account.api_secret):
        assert secret not in shown
        assert secret not in str(outside)
    assert "orders.Account.api_secret" in [str(rotated.column) for rotated in crypto.rotate()]
    assert send(api, "DELETE", f"{one}/keys").status_code == 204
    account.refresh_from_db()
    assert (account.api_key, account.api_secret, account.key_hint) == ("", "", "")


def test_an_order_is_placed_followed_and_explained(api, account, market, broker, alice):
    accepted = send(api, "POST", "orders", order_body(account))
    assert accepted.status_code == 202, accepted.content
    answer = accepted.json()
    assert accepted["Location"] == answer["url"]
    assert (answer["state"], answer["quantity"], answer["kind"]) == ("accepted", "0.5", "market")
    submitted()
    looked()
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["filled"], shown["average_price"], shown["cost"]) == (
        "filled",
        "0.5",
        "100",
        "50",
    )
    assert shown["verified_at"] is not None
    timeline = api.get(answer["timeline_url"]).json()
    assert [entry["type"] for entry in timeline][:3] == [
        "order.received", "order.accepted", "order.submission_started",
    ]  # fmt: skip
    assert (timeline[0]["actor"], timeline[0]["elapsed"]) == (f"user:{alice.pk}", None)
    assert timeline[2]["actor"] == "task:orders.submit"
    [fill] = api.get(f"{API}/fills?order={answer['id']}").json()
    assert (fill["price"], fill["side"], fill["instrument"]) == ("100", "buy", "binance:BTC/USDT")
    [position] = api.get(f"{API}/positions?account={account.pk}").json()
    assert (position["quantity"], position["average_price"], position["realised"]) == ("0.5", "100", "0")
    assert api.get(f"{API}/positions?simulation=true").json() == []


def test_a_long_timeline_comes_page_by_page(api, account, market, broker):
    order = place(account, market)
    submitted()
    looked()
    whole = api.get(f"{API}/orders/{order.pk}/timeline").json()
    assert len(whole) > 5
    seen, address = [], f"{API}/orders/{order.pk}/timeline?limit=2"
    while address:
        answer = api.get(address)
        assert len(answer.json()) <= 2
        seen += answer.json()
        address = answer.get("Link", "").partition(">")[0].lstrip("<")
    assert seen == whole
    for wrong in ("limit=0", "limit=5000", "cursor=x", "cursor=-1"):
        assert api.get(f"{API}/orders/{order.pk}/timeline?{wrong}").status_code == 400


def test_without_a_key_no_keys_of_an_exchange_are_stored(api, account, settings):
    settings.ENCRYPTION_KEYS = []
    keys = {"api_key": "k" * 20, "api_secret": "s" * 20}
    answer = send(api, "PUT", f"accounts/{account.pk}/keys", keys)
    assert problem(answer)[:2] == (503, "unavailable")
    settings.ENCRYPTION_KEYS = [crypto.new_key()]
    keys["api_key"] = "k\u20acy" * 5
    assert problem(send(api, "PUT", f"accounts/{account.pk}/keys", keys)) == (
        400, "invalid-request", ["api_key"],
    )  # fmt: skip


def test_a_key_places_one_order(api, account, market):
    first = send(api, "POST", "orders", order_body(account), **{"Idempotency-Key": "k1"})
    again = send(api, "POST", "orders", order_body(account, quantity="0.50"), **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert ["Idempotency-Replayed" in one for one in (first, again)] == [False, True]
    submitted_before = Order.objects.count()
    other = send(api, "POST", "orders", order_body(account, quantity="0.6"), **{"Idempotency-Key": "k1"})
    assert problem(other)[:2] == (409, "idempotency-key-reused")
    bad = send(api, "POST", "orders", order_body(account), **{"Idempotency-Key": "two words"})
    assert problem(bad) == (400, "invalid-request", ["Idempotency-Key"])
    assert Order.objects.count() == submitted_before == 1


def test_what_is_wrong_is_named(api, account, market, bob):
    for changes, field in (
        ({"quantity": "0"}, "quantity"), ({"quantity": "-1"}, "quantity"), ({"quantity": "1e3"}, "quantity"),
        ({"quantity": 0.1234567890123456}, "quantity"), ({"quantity": True}, "quantity"),
        ({"quantity": "0.0000000000000000001"}, "quantity"), ({"quantity": None}, "quantity"),
        ({"instrument": "binance:NO/SUCH"}, "instrument"), ({"instrument": "x"}, "instrument"),
        ({"kind": "limit"}, "price"), ({"price": "5"}, "price"), ({"kind": "limit", "price": "0"}, "price"),
        ({"side": "hold"}, "side"), ({"account": str(uuid7())}, "account"), ({"stop": 1}, "stop"),
    ):  # fmt: skip
        refused = send(api, "POST", "orders", order_body(account, **changes))
        assert problem(refused) == (400, "invalid-request", [field]), changes
    # Of somebody else's account nobody places orders.
    assert problem(send(bob, "POST", "orders", order_body(account)))[2] == ["account"]
    for number in (0.1, 0.25, 12345678.25, 3, 1e-7):
        assert send(api, "POST", "orders", order_body(account, quantity=number)).status_code == 202, number
    assert {str(one.quantity.normalize()) for one in Order.objects.all()} >= {"0.1", "12345678.25", "1E-7"}
    # What the account may not do is recorded, and answered at once.
    Account.objects.update(plan="basic")
    rejected = send(api, "POST", "orders", order_body(account))
    assert (rejected.status_code, rejected.json()["reason_code"]) == (200, "real_not_allowed")


def test_a_day_has_its_limit(api, account, market, outside):
    Account.objects.update(daily_limit=1)
    assert send(api, "POST", "orders", order_body(account)).status_code == 202
    refused = send(api, "POST", "orders", order_body(account))
    assert problem(refused)[:2] == (429, "daily-limit")
    send(api, "POST", "orders", order_body(account))
    assert [kind for what, kind, _ in outside if what == "mail"] == ["daily_limit"]
    # On paper is counted apart.
    assert send(api, "POST", "orders", order_body(account, simulation=True)).status_code == 202


def test_lists_are_filtered_and_paged(api, account, market):
    other = Account.objects.create(user=account.user, name="other", exchange="binance")
    orders = [place(account, market, str(number + 1)) for number in range(5)]
    paper = place(other, market, simulation=True)

    def ids(query: str) -> list[str]:
        response = api.get(f"{API}/orders{query}")
        assert response.status_code == 200, response.content
        return [order["id"] for order in response.json()]

    newest_first = [str(order.pk) for order in orders[::-1]]
    assert ids("") == [str(paper.pk), *newest_first]
    assert ids(f"?account={account.pk}&state=accepted&instrument=binance:BTC/USDT") == newest_first
    assert ids("?simulation=true") == [str(paper.pk)]
    assert ids("?state=filled") == ids("?instrument=kraken:BTC/USDT") == ids("?since=2190-01-01T00:00Z") == []
    seen: list[str] = []
    address = f"{API}/orders?limit=2&simulation=false"
    while address:
        response = api.get(address)
        seen += [order["id"] for order in response.json()]
        place(account, market)
        link = response.headers.get("Link", "")
        parts = urlsplit(link.split(">")[0].removeprefix("<"))
        address = f"{parts.path}?{parts.query}" if link else ""
    assert seen == newest_first
    for query in (
        "cursor=x",
        "cursor=WyJhIl0",
        "limit=0",
        "limit=201",
        "state=open",
        "since=yesterday",
        "x=1",
    ):
        refused = api.get(f"{API}/orders?{query}")
        assert problem(refused) == (400, "invalid-request", [query.partition("=")[0]]), query
    response = api.get(f"{API}/accounts?limit=1")
    assert [one["name"] for one in response.json()] == ["other"]
    parts = urlsplit(response.headers["Link"].split(">")[0].removeprefix("<"))
    assert [one["name"] for one in api.get(f"{parts.path}?{parts.query}").json()] == ["main"]


def test_everybody_sees_their_own_and_staff_with_the_permission_operates(
    api, account, market, broker, bob, django_user_model, settings
):
    order = place(account, market)
    mine, theirs = f"orders/{order.pk}", f"accounts/{account.pk}"
    for address in ("orders", "accounts", "positions", "fills"):
        assert bob.get(f"{API}/{address}").json() == [], address
        assert Client().get(f"{API}/{address}").status_code == 401
    for method, address in (
        ("GET", mine), ("GET", f"{mine}/timeline"), ("POST", f"{mine}/cancel"), ("GET", theirs),
        ("PATCH", theirs), ("PUT", f"{theirs}/keys"), ("DELETE", f"{theirs}/keys"),
    ):  # fmt: skip
        assert send(bob, method, address).status_code == 404, address
    # What only staff may do, an owner may not.
    for deed in ("look", "resolve"):
        assert send(api, "POST", f"{mine}/{deed}").status_code == 403
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    staff = Client()
    staff.force_login(clerk)
    # Of their own accounts as well.
    own = f"accounts/{Account.objects.create(user=clerk, name='own', exchange='binance').pk}"
    assert send(staff, "PATCH", own, {"plan": "pro"}).status_code == 403
    assert send(staff, "PATCH", own, {"name": "mine"}).status_code == 200
    assert staff.get(f"{API}/{mine}").status_code == 200
    for address in (f"{mine}/cancel", f"{mine}/look", f"{mine}/resolve"):
        assert send(staff, "POST", address).status_code == 403, address
    assert send(staff, "PATCH", theirs, {"plan": "basic"}).status_code == 403
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_order", "change_account"]))
    assert send(staff, "PATCH", theirs, {"daily_limit": 5000}).json()["daily_orders"] == 5000
    assert problem(send(staff, "POST", f"{mine}/look"))[:2] == (409, "conflict")
    assert problem(send(staff, "POST", f"{mine}/resolve", {"outcome": "filled"}))[:2] == (409, "conflict")
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script.append("half")
    submitted()
    looked()
    refused = send(staff, "POST", f"{mine}/resolve", {"outcome": "filled"})
    assert problem(refused) == (400, "invalid-request", ["price"])
    assert send(staff, "POST", f"{mine}/look").status_code == 200
    done = send(staff, "POST", f"{mine}/resolve", {"outcome": "cancelled", "note": "seen"}).json()
    assert (done["state"], done["reason"], done["filled"]) == ("cancelled", "seen", "0.5")
    assert api.get(f"{API}/{mine}/timeline").json()[-1]["actor"] == f"user:{clerk.pk}"


def test_an_order_is_cancelled_by_its_user(api, account, market, broker):
    order = place(account, market)
    answer = send(api, "POST", f"orders/{order.pk}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert problem(send(api, "POST", f"orders/{order.pk}/cancel"))[:2] == (409, "conflict")
    broker.script.append("rest")
    order = place(account, market, price="90")
    submitted()
    answer = send(api, "POST", f"orders/{order.pk}/cancel").json()
    assert (answer["state"], answer["cancel_requested"]) == ("submitted", True)
    submitted()
    assert now(order).state == State.CANCELLED
    assert Decimal(api.get(answer["url"]).json()["filled"]) == 0
