"""Endpoints and deliveries in the admin."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.audit.models import Entry
from apps.tasks.testing import run_pending
from apps.webhooks.admin.deliveries import DeliveryAdmin
from apps.webhooks.models import Delivery, Endpoint
from tests.webhooks.helpers import Sender, account_of, user_of

pytestmark = pytest.mark.django_db

LIST, ADD = "/admin/webhooks/endpoint/", "/admin/webhooks/endpoint/add/"
LOG = "/admin/webhooks/delivery/"
XSS = "<script>alert('hook')</script>"


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


def page(endpoint: Endpoint, name: str = "change") -> str:
    return reverse(f"admin:webhooks_endpoint_{name}", args=[endpoint.pk])


def staff(*permissions: str) -> Client:
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    web = Client()
    web.force_login(user)
    return web


def test_an_endpoint_is_made_and_its_credentials_are_shown_once(admin_client: Client, sender: Sender, client):
    account = account_of(user_of("bob"), "bobs")
    fields = {
        "account": str(account.pk), "name": "hooks", "require_secret": "on", "window_seconds": "120",
        "allowed_addresses": "tradingview\n 10.0.0.0/8 \n\n127.0.0.1", "signing": "on",
    }  # fmt: skip
    assert "Make a signing secret" in text(admin_client.get(ADD))
    for changes, words in (
        ({"name": ""}, "required"),
        ({"window_seconds": "5"}, "From 60 to 600"),
        ({"allowed_addresses": "nowhere"}, "neither an address"),
        ({"account": ""}, "required"),
    ):
        shown = text(admin_client.post(ADD, {**fields, **changes}))
        assert words in shown, (changes, re.findall(r'<ul class="errorlist.*?</ul>', shown, re.DOTALL))
    assert Endpoint.objects.count() == 1
    made = admin_client.post(ADD, fields)
    shown = text(made)
    assert "no-store" in made["Cache-Control"]
    endpoint = Endpoint.objects.get(name="hooks")
    assert (endpoint.user.get_username(), endpoint.window_seconds) == ("bob", 120)
    assert endpoint.allowed_addresses == ["tradingview", "10.0.0.0/8", "127.0.0.1/32"]
    found = re.search(r"/webhooks/tradingview/([\w-]{43})", shown)
    assert found is not None
    message = re.search(r"<pre>(\{.*?\})</pre>", shown, re.DOTALL)
    assert message is not None
    secret = re.search(r'"secret": "([\w-]{43})"', message[1])
    assert secret is not None
    assert shown.count(secret[1]) == 2
    signal = sender.signal(secret=secret[1])
    assert sender.send(client, signal, token=found[1]).status_code == 202
    for name in ("change", "setup", "rotate"):
        later = text(admin_client.get(page(endpoint, name)))
        assert found[1] not in later
        assert secret[1] not in later
    assert "{{strategy.order.contracts}}" in text(admin_client.get(page(endpoint, "setup")))
    same = {**fields, "name": "hooks"}
    assert "already" in text(admin_client.post(ADD, same))


def test_an_endpoint_is_changed_and_rotated(admin_client: Client, sender: Sender, client):
    endpoint = sender.endpoint
    changed = {"name": "renamed", "allowed_addresses": "", "window_seconds": "60", "enabled": "on"}
    assert admin_client.post(page(endpoint), changed).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.require_secret, endpoint.window_seconds) == ("renamed", False, 60)
    wrong = text(admin_client.post(page(endpoint, "rotate"), {"what": "name", "overlap": "1"}))
    assert "Select a valid choice. name is not one of the available choices." in wrong
    answer = admin_client.post(page(endpoint, "rotate"), {"what": "token", "overlap": "24"})
    found = re.search(r"/webhooks/tradingview/([\w-]{43})", text(answer))
    assert found is not None
    for token in (found[1], sender.token):
        assert sender.send(client, sender.signal(id=token[:20]), token=token).status_code == 202
    assert "the last token until" in text(admin_client.get(page(endpoint)))
    answer = text(admin_client.post(page(endpoint, "rotate"), {"what": "secret", "overlap": "0"}))
    assert "Message of an alert" in answer
    assert sender.send(client, sender.signal(id="x")).status_code == 401
    run_pending()
    actor = f"user:{get_user_model().objects.get(username='admin').pk}"
    actions = Entry.objects.filter(object_type="webhooks.endpoint", actor=actor).order_by("sequence")
    assert [one.action for one in actions if one.action.startswith("webhook.")] == [
        "webhook.endpoint_changed",
        "webhook.token_rotated",
        "webhook.secret_rotated",
    ]


def test_endpoints_are_switched_off_after_a_question(admin_client: Client, sender: Sender):
    chosen = {"action": "disable", "_selected_action": [str(sender.endpoint.pk)]}
    asked = text(admin_client.post(LIST, chosen))
    assert "exits included" in asked
    assert Endpoint.objects.get().enabled
    admin_client.post(LIST, {**chosen, "answered": "yes"})
    assert not Endpoint.objects.get().enabled
    again = admin_client.post(LIST, chosen, follow=True)
    assert "All of these are switched off" in text(again)


def test_who_may_only_look_changes_nothing(sender: Sender):
    looker = staff("view_endpoint", "view_delivery")
    endpoint = sender.endpoint
    assert sender.endpoint.name in text(looker.get(LIST))
    assert "Other credentials" not in text(looker.get(page(endpoint)))
    for url in (page(endpoint, "rotate"), page(endpoint, "setup"), ADD):
        assert looker.get(url).status_code == 403
        assert looker.post(url, {"what": "token", "overlap": "0"}).status_code == 403
    assert looker.post(page(endpoint), {"name": "x", "window_seconds": "60"}).status_code == 403
    assert Endpoint.objects.get().token_hash == endpoint.token_hash
    unknown = "/admin/webhooks/endpoint/01920f6e-7a3b-7c50-9d4e-2f6b8a1c3e5d/rotate/"
    may = Client()
    user = get_user_model().objects.get(username="staff")
    user.user_permissions.add(Permission.objects.get(codename="change_endpoint"))
    may.force_login(get_user_model().objects.get(pk=user.pk))
    assert may.get(unknown).status_code == 404


def test_deliveries_are_shown_filtered_and_found_and_never_changed(
    admin_client: Client, sender: Sender, client
):
    Endpoint.objects.update(name=XSS)
    answer = sender.send(client, sender.signal(id="k-1", comment=XSS), HTTP_USER_AGENT=XSS)
    sender.send(client, sender.signal(secret="wrong"))
    sender.send(client, sender.signal(), token="nobody")
    run_pending()
    told = answer.json()
    accepted = Delivery.objects.get(pk=told["delivery"])
    everything = admin_client.get(LOG)
    assert everything.content.decode().count("<script>alert") == 0
    assert "unknown token" in text(everything)

    def listed(**query: Any) -> int:
        response = admin_client.get(LOG, query)
        assert response.status_code == 200, query
        return len(response.context["cl"].result_list)

    for query, count in (
        ({"q": told["delivery"]}, 1), ({"q": told["order"]}, 1), ({"q": accepted.request_id}, 1),
        ({"q": "k-1"}, 1), ({"q": "127.0.0.1"}, 3), ({"q": "192.0.2.1"}, 0), ({"q": "alic"}, 2),
        ({"q": "alert('hook"}, 2), ({"q": str(sender.endpoint.pk)}, 2), ({"q": "k-"}, 0), ({"q": " "}, 3),
        ({"outcome__exact": "refused"}, 2), ({"layer__exact": "secret"}, 1),
        ({"code": "unknown_token"}, 1), ({"simulation": "yes"}, 2), ({"simulation": "no"}, 0),
        ({"format": "pineforge"}, 0), ({"format": "tradingview"}, 3),
        ({"endpoint__id__exact": str(sender.endpoint.pk)}, 2),
    ):  # fmt: skip
        assert listed(**query) == count, query
    url = f"{LOG}{accepted.pk}/change/"
    shown = admin_client.get(url)
    assert "<script>alert" not in shown.content.decode()
    detail = text(shown)
    assert reverse("admin:orders_order_change", args=[told["order"]]) in detail
    assert f"{reverse('admin:audit_entry_changelist')}?q={accepted.pk}" in detail
    assert str(accepted.pk) in text(
        admin_client.get(reverse("admin:audit_entry_changelist"), {"q": accepted.pk})
    )
    assert '"secret": "***"' in detail
    assert admin_client.post(url, {"outcome": "failed"}).status_code == 403
    assert admin_client.post(f"{LOG}{accepted.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LOG}add/").status_code == 403


def test_the_log_is_never_read_as_a_whole(admin_client: Client, sender: Sender, client):
    """Neither for what may be chosen beside the list, nor for what is searched."""
    sender.send(client, sender.signal())
    run_pending()
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get(LOG).status_code == 200
    assert not [one["sql"] for one in queries if "DISTINCT" in one["sql"]]
    request = RequestFactory().get(LOG)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for term in ("alic", "k-1", "127.0.0.1", str(sender.endpoint.pk)):
        found, _ = DeliveryAdmin(Delivery, site).get_search_results(request, Delivery.objects.all(), term)
        plan = found.order_by().explain()
        assert "Index" in plan, plan
        assert "Seq Scan on webhooks_delivery" not in plan, plan


def test_pages_take_few_queries(admin_client: Client, sender: Sender, client):
    for number in range(5):
        sender.send(client, sender.signal(id=str(number)))
    run_pending()
    delivery = Delivery.objects.first()
    assert delivery is not None
    for url in (
        LIST,
        LOG,
        page(sender.endpoint),
        page(sender.endpoint, "setup"),
        f"{LOG}{delivery.pk}/change/",
    ):
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(url).status_code == 200
        assert len(queries) <= 15, (url, len(queries))
