"""Endpoints and deliveries over the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.core.ids import uuid7
from apps.orders.models import Account
from apps.tasks.models import Entry, TaskRun
from apps.tasks.testing import run_pending
from apps.webhooks.models import Delivery, Endpoint, Receipt
from tests.webhooks.helpers import Sender, account_of, action, now, sender_of, user_of

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhooks"


def client_of(user: Any) -> Client:
    web = Client()
    web.force_login(user)
    return web


@pytest.fixture
def alice(sender: Sender) -> Client:
    return client_of(sender.endpoint.user)


def call(web: Client, method: str, url: str, body: Any = None) -> Any:
    return getattr(web, method)(
        url, None if body is None else json.dumps(body), content_type="application/json"
    )


def test_an_endpoint_is_made_and_its_credentials_are_shown_once(alice: Client, sender: Sender):
    account = str(sender.endpoint.account_id)
    body = {"account": account, "name": "second", "allowed_addresses": ["tradingview"], "signing": True}
    answer = call(alice, "post", URL, body)
    assert answer.status_code == 201, answer.content
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    assert answer["Location"] == made["endpoint"]["url"]
    assert made["addresses"]["tradingview"].endswith(f"/webhooks/tradingview/{made['token']}")
    assert made["addresses"]["pineforge"].endswith(f"/webhooks/pineforge/{made['token']}")
    assert made["secret"] in made["tradingview_message"]
    endpoint = made["endpoint"]
    assert (endpoint["account"], endpoint["enabled"], endpoint["require_secret"]) == (account, True, True)
    assert (endpoint["token_hint"], endpoint["window_seconds"]) == (made["token"][-4:], 300)
    shown = alice.get(endpoint["url"])
    listed = alice.get(URL)
    assert [one["name"] for one in listed.json()] == ["second", "alerts"]
    for secret in (made["token"], made["secret"], made["signing_secret"]):
        assert secret not in shown.content.decode() + listed.content.decode()
    url = made["addresses"]["tradingview"].removeprefix("http://127.0.0.1:8000")
    signal = sender.signal(secret=made["secret"])
    assert call(Client(REMOTE_ADDR="52.89.214.238"), "post", url, signal).status_code == 202
    assert call(Client(), "post", url, signal).status_code == 403


def test_endpoints_compare_the_address_that_a_trusted_proxy_tells(market, client, settings: Any):
    sender = sender_of(account_of(user_of()), allowed_addresses=["tradingview"])
    theirs = {"X-Forwarded-For": "52.89.214.238"}
    assert sender.send(client, sender.signal(), headers=theirs).status_code == 403
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert sender.send(client, sender.signal(), headers=theirs).status_code == 202
    assert sender.send(client, sender.signal()).status_code == 403
    claimed = {"X-Forwarded-For": "52.89.214.238, 203.0.113.7"}
    assert sender.send(client, sender.signal(), headers=claimed).status_code == 403


def test_bad_bodies_are_refused_by_field(alice: Client, sender: Sender):
    account = str(sender.endpoint.account_id)
    foreign = str(account_of(user_of("bob")).pk)
    for body, field in (
        ({"name": "x"}, "account"),
        ({"account": account}, "name"),
        ({"account": foreign, "name": "x"}, "account"),
        ({"account": account, "name": "alerts"}, "name"),
        ({"account": account, "name": "x", "window_seconds": 5}, "window_seconds"),
        ({"account": account, "name": "x", "allowed_addresses": ["a"]}, "allowed_addresses"),
        ({"account": account, "name": "x", "token": "mine"}, "token"),
        ({"account": account, "name": "x", "enabled": False}, "enabled"),
    ):
        answer = call(alice, "post", URL, body)
        assert answer.status_code == 400, body
        assert [error["field"] for error in answer.json()["errors"]] == [field], body
    one = f"{URL}/{sender.endpoint.pk}"
    for url, body, field in (
        (one, {"account": account}, "account"),
        (one, {"window_seconds": 601}, "window_seconds"),
        (f"{one}/rotate", {"what": "name"}, "what"),
        (f"{one}/rotate", {"what": "token", "overlap_seconds": -1}, "overlap_seconds"),
        (f"{one}/test", {"format": "pigeon", "body": ""}, "format"),
    ):
        answer = call(alice, "patch" if url == one else "post", url, body)
        assert answer.status_code == 400, body
        assert [error["field"] for error in answer.json()["errors"]] == [field], body
    assert Endpoint.objects.count() == 1


def test_an_endpoint_is_changed_rotated_and_switched_off(alice: Client, sender: Sender, client):
    one = f"{URL}/{sender.endpoint.pk}"
    changed = call(alice, "patch", one, {"window_seconds": 120, "require_secret": False})
    assert changed.status_code == 200
    assert (changed.json()["window_seconds"], changed.json()["require_secret"]) == (120, False)
    for what in ("token", "secret", "signing_secret"):
        answer = call(alice, "post", f"{one}/rotate", {"what": what, "overlap_seconds": 3600})
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        made = answer.json()
        assert [name for name in ("token", "secret", "signing_secret") if made[name]] == [what]
        assert (made["addresses"] is None, made["tradingview_message"] is None) == (
            what != "token",
            what != "secret",
        )
        until = datetime.fromisoformat(made["endpoint"][f"previous_{what.removesuffix('_secret')}_until"])
        assert abs(until - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    assert sender.send(client, sender.signal()).status_code == 202
    assert call(alice, "delete", one).status_code == 204
    assert sender.send(client, sender.signal()).status_code == 403
    assert call(alice, "patch", one, {"enabled": True}).json()["enabled"] is True
    assert sender.send(client, sender.signal()).status_code == 202


def test_without_a_key_no_signing_secret_is_made_and_nothing_else_suffers(
    alice: Client, sender: Sender, settings
):
    settings.ENCRYPTION_KEYS = []
    account = str(sender.endpoint.account_id)
    answers = [
        alice.post(URL, json.dumps({"account": account, "name": "two", "signing": True}), "application/json"),
        alice.post(
            f"{URL}/{sender.endpoint.pk}/rotate", json.dumps({"what": "signing_secret"}), "application/json"
        ),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert "ENCRYPTION_KEYS" in answer.json()["detail"]
    assert Endpoint.objects.count() == 1


def test_one_sees_only_ones_own_and_staff_need_a_permission_to_change(sender: Sender, client):
    sender.send(client, sender.signal())
    sender.send(client, sender.signal(), token="nobody")
    run_pending()
    delivery = Delivery.objects.get(endpoint=sender.endpoint)
    stray = Delivery.objects.get(endpoint=None)
    one = f"{URL}/{sender.endpoint.pk}"
    reads = [one, f"{one}/deliveries", f"{URL}/deliveries/{delivery.pk}"]
    writes = [
        ("patch", one, {"name": "mine"}),
        ("delete", one, None),
        ("post", f"{one}/rotate", {"what": "token"}),
        ("post", f"{one}/test", {"body": "x"}),
    ]
    for url in (URL, *reads):
        assert client.get(url).status_code == 401
    bob = client_of(user_of("bob"))
    assert bob.get(URL).json() == []
    assert {bob.get(url).status_code for url in reads} == {404}
    assert {call(bob, *write).status_code for write in writes} == {404}
    operator = user_of("operator", is_staff=True)
    staff = client_of(operator)
    assert len(staff.get(URL).json()) == 1
    assert {staff.get(url).status_code for url in reads} == {200}
    assert {call(staff, *write).status_code for write in writes} == {403}
    assert Endpoint.objects.get().name == "alerts"
    assert staff.get(f"{URL}/deliveries/{stray.pk}").status_code == 200
    owner = client_of(sender.endpoint.user)
    assert owner.get(f"{URL}/deliveries/{stray.pk}").status_code == 404
    operator.user_permissions.add(Permission.objects.get(codename="change_endpoint"))
    assert call(client_of(operator), *writes[0]).json()["name"] == "mine"
    assert staff.get(f"{URL}/{uuid7()}").status_code == 404


def test_deliveries_are_listed_page_by_page_and_filtered(alice: Client, sender: Sender, client):
    for number in range(5):
        sender.send(client, sender.signal(id=str(number), quantity="0" if number == 2 else "1"))
    sender.send(client, sender.signal(secret="wrong"))
    run_pending()
    url = f"{URL}/{sender.endpoint.pk}/deliveries"
    page = alice.get(url, {"limit": 4})
    first = page.json()
    following = page["Link"].split(">")[0].lstrip("<")
    rest = alice.get(following)
    assert "Link" not in rest
    ids = [one["id"] for one in (*first, *rest.json())]
    assert ids == [str(pk) for pk in Delivery.objects.order_by("-pk").values_list("pk", flat=True)]
    assert len(ids) == 6
    assert sorted(one["code"] for one in (*first, *rest.json())) == [
        "",
        "",
        "",
        "",
        "invalid",
        "secret_wrong",
    ]
    for query, count in (
        ({"outcome": "refused"}, 2),
        ({"layer": "secret"}, 1),
        ({"outcome": "accepted", "layer": "secret"}, 0),
        ({"since": now()}, 0),
        ({"since": "2026-01-01T00:00:00Z"}, 6),
    ):
        assert len(alice.get(url, query).json()) == count, query
    for query in ({"outcome": "lost"}, {"cursor": "x"}, {"limit": 0}, {"colour": "red"}):
        assert alice.get(url, query).status_code == 400, query
    shown = alice.get(first[-1]["url"]).json()
    assert shown == first[-1]
    assert sender.secret not in page.content.decode()


def test_a_body_is_tried_out_and_nothing_follows(alice: Client, sender: Sender):
    url = f"{URL}/{sender.endpoint.pk}/test"

    def tried(body: Any, **more: Any) -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        answer = call(alice, "post", url, {"body": text, **more})
        assert answer.status_code == 200, answer.content
        return answer.json()

    good = tried(sender.signal("long_entry", symbol="BINANCE:BTCUSDT", id="k", price=2500))
    assert (good["outcome"], good["status"], good["decided_by"]) == ("accepted", 202, None)
    assert {one["result"] for one in good["layers"]} == {"passed"}
    assert {name: good[name] for name in ("signal", "symbol", "instrument", "quantity", "price", "key")} == {
        "signal": "long_entry", "symbol": "BINANCE:BTCUSDT", "instrument": "binance:BTC/USDT",
        "quantity": "0.5", "price": "2500", "key": "id:k",
    }  # fmt: skip
    assert good["simulation"] is True
    assert tried(sender.signal(), simulation="false")["simulation"] is False
    Account.objects.update(plan="basic", daily_limit=0)
    Endpoint.objects.update(allowed_addresses=["10.0.0.0/8"])
    bad = tried(sender.signal(secret="wrong", symbol="NO/SUCH"), simulation="false", address="192.0.2.1")
    assert (bad["outcome"], bad["status"], bad["decided_by"]) == ("refused", 403, "address")
    # What lies behind is told as well.
    assert [(one["layer"], one["code"]) for one in bad["layers"]] == [
        ("token", ""), ("address", "address_blocked"), ("shape", ""), ("timestamp", ""),
        ("secret", "secret_wrong"), ("replay", ""), ("rate", ""), ("symbol", "unknown_symbol"),
        ("plan", "simulation_only"),
    ]  # fmt: skip
    unread = tried("nonsense", address="10.0.0.1")
    assert (unread["decided_by"], unread["signal"]) == ("shape", None)
    assert [one["result"] for one in unread["layers"]][2:] == ["refused", *["not asked"] * 6]
    assert tried("x" * 20_000, address="10.0.0.1")["status"] == 413
    event = json.dumps(action(event="order_update"))
    update = tried(event, format="pineforge", address="10.0.0.1")
    assert (update["decided_by"], update["layers"][4]["code"]) == ("secret", "secret_missing")
    Endpoint.objects.update(allowed_addresses=[])
    Account.objects.update(daily_limit=None)
    sent = sender.signal(id="k")
    sender.send(Client(), sent)
    assert tried(sent)["outcome"] == "duplicate"
    assert tried({**sent, "quantity": 9})["decided_by"] == "replay"
    run_pending()
    assert Receipt.objects.count() == Delivery.objects.count() == 1
    assert TaskRun.objects.filter(task="orders.act_on_signal").count() == 1
    assert not Entry.objects.filter(task="webhooks.log_delivery").exists()
