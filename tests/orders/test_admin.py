"""Accounts, orders, fills and positions in the admin."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import crypto
from apps.core.ids import uuid7
from apps.orders.models import Account, Fill, Order, Position
from apps.orders.states import State
from tests.candles.admining import XSS, cells, staff, text, told
from tests.orders.helpers import looked, now, place, submitted

pytestmark = pytest.mark.django_db


def listing(model: str) -> str:
    return reverse(f"admin:orders_{model}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:orders_{row._meta.model_name}_change", args=[row.pk])


def listed(web: Client, model: str, **query: Any) -> list[Any]:
    response = web.get(listing(model), query)
    assert response.status_code == 200, query
    return [row.pk for row in response.context["cl"].result_list]


def act(web: Client, model: str, action: str, *rows: Any) -> Any:
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return web.post(listing(model), chosen, follow=True)


def answered(web: Client, model: str, asked: Any, **fields: Any) -> Any:
    """Answer the page that asks."""
    page = text(asked)
    hidden: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page):
        hidden.setdefault(name, []).append(value)
    hidden.pop("csrfmiddlewaretoken", None)
    return web.post(listing(model), {**hidden, **fields}, follow=True)


def test_an_operator_makes_changes_and_switches_off_accounts(admin_client, alice, outside):
    form = {"user": alice.pk, "exchange": "binance", "name": XSS[:60], "plan": "pro", "enabled": "on"}
    assert admin_client.post("/admin/orders/account/add/", form).status_code == 302
    account = Account.objects.get()
    assert (account.user, account.plan, account.simulation, account.enabled) == (alice, "pro", False, True)
    page = text(admin_client.get(page_of(account)))
    assert XSS[:60] not in page
    assert XSS[:60] not in text(admin_client.get(listing("account")))
    changed = {
        "name": "main",
        "plan": "basic",
        "daily_limit": "7",
        "enabled": "on",
        "user": "1",
        "exchange": "x",
    }
    refused = admin_client.post(page_of(account), changed)
    assert "allows trading on paper only" in text(refused)
    assert admin_client.post(page_of(account), {**changed, "simulation": "on"}).status_code == 302
    account.refresh_from_db()
    assert (account.name, account.plan, account.daily_limit, account.user) == ("main", "basic", 7, alice)
    assert "is an account" in text(admin_client.post("/admin/orders/account/add/", {**form, "name": "main"}))
    response = answered(admin_client, "account", act(admin_client, "account", "disable", account))
    assert told(response) == ["1 switched off."]
    assert told(act(admin_client, "account", "disable", account)) == ["All of these are switched off."]
    account.refresh_from_db()
    assert account.enabled is False
    assert [kind for what, kind, _ in outside if what == "audit" and kind.startswith("account")] == [
        "account.created", "account.changed", "account.disabled",
    ]  # fmt: skip


def test_keys_are_set_and_removed_and_never_shown(admin_client, account, outside):
    Account.objects.update(api_key="", api_secret="")
    keys = reverse("admin:orders_account_keys", args=[account.pk])
    assert "Keys …" in text(admin_client.get(page_of(account)))
    short = text(admin_client.post(keys, {"api_key": "abc", "api_secret": "topsecret123"}))
    assert "From 8 to 512" in short
    assert "topsecret123" not in short
    given = {"api_key": "publickey1234", "api_secret": "topsecret123", "set": ""}
    page = text(admin_client.post(keys, given, follow=True))
    account.refresh_from_db()
    assert account.key_hint == "1234"
    opened = crypto.unseal(account.api_secret, context=f"orders.account:{account.pk}:api_secret")
    assert opened == "topsecret123"
    for shown in (page, text(admin_client.get(keys)), text(admin_client.get(listing("account")))):
        assert "1234" in shown
        assert "topsecret123" not in shown
        assert account.api_secret not in shown
    assert "topsecret123" not in str(outside)
    admin_client.post(keys, {"clear": ""})
    account.refresh_from_db()
    assert (account.api_key, account.api_secret, account.key_hint) == ("", "", "")


def test_an_operator_places_an_order_for_a_user(admin_client, admin_user, account, market, broker, outside):
    where = reverse("admin:orders_order_add")
    page = text(admin_client.get(where))
    key = re.search(r'name="key" value="([0-9a-f-]{36})"', page)
    assert key is not None
    form = {
        "account": account.pk, "instrument": market.pk, "side": "buy", "kind": "market", "quantity": "0.5",
        "key": key[1],
    }  # fmt: skip
    for _ in range(2):
        response = admin_client.post(where, form)
        order = Order.objects.get()
        assert (response.status_code, response["Location"]) == (302, page_of(order))
    assert (order.source, order.simulation, order.state) == ("admin", False, State.ACCEPTED)
    events = text(admin_client.get(page_of(order)))
    assert events.count(f"user:{admin_user.pk}") >= 2
    submitted()
    assert now(order).state == State.FILLED
    for wrong, said in (
        ({"quantity": "-1"}, "Must be above zero."),
        ({"quantity": "much"}, "Enter a number."),
        ({"price": "5"}, "Market orders have none."),
        ({"kind": "limit"}, "Limit orders need one."),
        ({"quantity": "0.6"}, "was placed before with another quantity"),
        ({"account": ""}, "This field is required."),
    ):
        assert said in text(admin_client.post(where, {**form, **wrong})), wrong
    Account.objects.update(daily_limit=1)
    other = {**form, "key": str(uuid7())}
    assert "1 is the limit" in text(admin_client.post(where, other))
    Account.objects.update(daily_limit=None, enabled=False)
    answer = admin_client.post(where, other, follow=True)
    assert "It was rejected: The account is switched off." in text(answer)
    assert Order.objects.count() == 2


def test_orders_are_listed_found_and_explained(admin_client, account, market, broker):
    broker.script += ["half", "fill lost"]
    broker.fee = (Decimal("0.1"), "USDT")
    part, unknown, done = (place(account, market, "2", price=price) for price in ("90.5", None, None))
    submitted()
    looked()
    part, unknown, done = map(now, (part, unknown, done))
    found = listed(admin_client, "order")
    assert found == [done.pk, unknown.pk, part.pk]
    for query, rows in (
        ({"state": "open"}, [part.pk]),
        ({"state": "filled"}, [done.pk, unknown.pk]),
        ({"simulation": "yes"}, []),
        ({"simulation": "no", "kind": "limit"}, [part.pk]),
        ({"q": part.venue_order_id + "zzz"}, []),
        ({"q": str(done.pk)}, [done.pk]),
        ({"q": "alice"}, found),
    ):
        assert listed(admin_client, "order", **query) == rows, query
    page = text(admin_client.get(listing("order")))
    assert "buy 2 binance:BTC/USDT at 90.5" in cells(page, "what")[2]
    assert cells(page, "traded")[2] == "1 90.5"
    page = text(admin_client.get(page_of(part)))
    for fact in ("order.filled_part", "partially filled", "90.5", "0.1 USDT", "Cancel …", "orders.verify"):
        assert fact in page, fact
    assert "Resolve" not in page
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(page_of(part))
    assert len(queries) <= 15
    for model in ("order", "fill", "position", "account"):
        with CaptureQueriesContext(connection) as queries:
            text(admin_client.get(listing(model)))
        assert len(queries) <= 15, model
    for row in (Fill.objects.first(), Position.objects.get()):
        text(admin_client.get(page_of(row)))
    assert listed(admin_client, "position", held="long") == [Position.objects.get().pk]
    assert listed(admin_client, "position", held="short") == []
    for model in ("fill", "position"):
        assert admin_client.get(f"/admin/orders/{model}/add/").status_code == 403
    assert admin_client.post(page_of(part), {"state": "filled"}).status_code == 403


def test_an_operator_cancels_looks_again_and_resolves(admin_client, account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    broker.script += ["half", "half", "rest"]
    first, second, third = (place(account, market, "2") for _ in range(3))
    submitted()
    looked()
    assert {now(one).state for one in (first, second, third)} == {State.NEEDS_REVIEW}
    assert "Resolve …" in text(admin_client.get(page_of(first)))
    asked = act(admin_client, "order", "resolve", first, third)
    assert "How that is known" in text(asked)
    incomplete = answered(admin_client, "order", asked, outcome="nonsense")
    assert "Select a valid choice" in text(incomplete)
    done = answered(admin_client, "order", asked, outcome="rejected", note="seen")
    assert [line.split(":")[0] for line in told(done)] == ["Resolve", "buy 2 binance"]
    assert (now(first).state, now(third).state) == (State.NEEDS_REVIEW, State.REJECTED)
    done = answered(admin_client, "order", asked, outcome="filled", price="110.5")
    assert (now(first).state, now(first).average_price) == (State.FILLED, Decimal("105.25"))
    broker.trade(second, "1")
    answered(admin_client, "order", act(admin_client, "order", "look_again", second))
    looked()
    assert now(second).state == State.FILLED
    waiting = place(account, market)
    answered(admin_client, "order", act(admin_client, "order", "cancel", waiting, second))
    assert now(waiting).state == State.CANCELLED
    assert "nothing to do" in told(act(admin_client, "order", "cancel", waiting))[0]


def test_who_may_only_look_may_do_nothing(account, market, broker):
    order = place(account, market)
    web = staff("watcher", "view_order", "view_account")
    assert "Cancel …" not in text(web.get(page_of(order)))
    act(web, "order", "cancel", order)
    assert now(order).state == State.ACCEPTED
    assert web.get(reverse("admin:orders_account_keys", args=[account.pk])).status_code == 403
    assert web.post(page_of(account), {"name": "x"}).status_code == 403
    assert "Keys …" not in text(web.get(page_of(account)))
    assert staff("nobody").get(listing("order")).status_code == 403
    add = reverse("admin:orders_order_add")
    assert (web.get(add).status_code, web.post(add).status_code) == (403, 403)
    assert Order.objects.count() == 1
