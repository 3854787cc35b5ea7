"""Endpoints: what is stored of their credentials, what may be changed, and what the audit says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from apps.audit.models import Entry
from apps.core import crypto
from apps.tasks.testing import run_pending
from apps.webhooks import examples, services
from apps.webhooks.endpoints import InvalidEndpoint
from apps.webhooks.facts import hashed
from apps.webhooks.models import Endpoint, signing_context
from tests.webhooks.helpers import Sender, account_of, sender_of, user_of

pytestmark = pytest.mark.django_db


def audited() -> list[tuple[str, Any, Any, Any]]:
    run_pending()
    found = Entry.objects.filter(object_type="webhooks.endpoint").order_by("sequence")
    return [(one.action, one.before, one.after, one.detail) for one in found]


def test_tokens_and_secrets_are_stored_hashed_and_signing_secrets_sealed(sender: Sender):
    with connection.cursor() as cursor:
        cursor.execute("SELECT e::text FROM webhooks_endpoint AS e")
        row = cursor.fetchone()[0]
        cursor.execute("SELECT coalesce(string_agg(payload::text, ''), '') FROM tasks_entry")
        row += cursor.fetchone()[0]
    for secret in (sender.token, sender.secret, sender.signing_secret):
        assert len(secret) == 43
        assert secret not in row
    endpoint = sender.endpoint
    assert (endpoint.token_hash, endpoint.secret_hash) == (hashed(sender.token), hashed(sender.secret))
    hints = (endpoint.token_hint, endpoint.secret_hint, endpoint.signing_hint)
    assert hints == (sender.token[-4:], sender.secret[-4:], sender.signing_secret[-4:])
    opened = crypto.unseal(endpoint.signing_secret, context=signing_context(endpoint.pk))
    assert opened == sender.signing_secret
    other = sender_of(account_of(user_of("bob")))
    assert len({sender.token, sender.secret, sender.signing_secret, other.token, other.secret}) == 5


def test_a_rotation_keeps_the_one_before_for_as_long_as_is_said(sender: Sender):
    hour = timedelta(hours=1)
    for what in ("token", "secret", "signing_secret"):
        before = Endpoint.objects.get()
        issued = services.endpoint_rotate(endpoint=before, what=what, by="user:1", overlap=hour)
        now = Endpoint.objects.get()
        new = getattr(issued, what)
        assert [bool(getattr(issued, name)) for name in ("token", "secret", "signing_secret")].count(
            True
        ) == 1
        column, until = (
            (f"{what}_hash", f"previous_{what}_until")
            if what != "signing_secret"
            else ("signing_secret", "previous_signing_until")
        )
        assert getattr(now, f"previous_{column}") == getattr(before, column)
        assert getattr(now, column) != getattr(before, column)
        assert hour - timedelta(minutes=1) < getattr(now, until) - datetime.now(UTC) <= hour
        if what == "signing_secret":
            context = signing_context(now.pk)
            assert crypto.unseal(now.signing_secret, context=context) == new
            assert crypto.unseal(now.previous_signing_secret, context=context) == sender.signing_secret
        else:
            assert getattr(now, column) == hashed(new)
        services.endpoint_rotate(endpoint=now, what=what, by="user:1")
        ended = Endpoint.objects.get()
        assert not getattr(ended, f"previous_{column}")
        assert getattr(ended, until) is None
    for overlap in (timedelta(seconds=-1), timedelta(days=31)):
        with pytest.raises(InvalidEndpoint):
            services.endpoint_rotate(endpoint=ended, what="token", by="user:1", overlap=overlap)
    actions = [(action, detail) for action, _, _, detail in audited()]
    assert [action for action, _ in actions] == [
        "webhook.endpoint_created",
        *(f"webhook.{what}_rotated" for what in ("token", "secret", "signing_secret") for _ in range(2)),
    ]
    assert actions[1][1]["previous_valid_until"] is not None
    assert actions[2][1] == {"previous_valid_until": None}


def test_a_changed_encryption_key_seals_signing_secrets_anew(sender: Sender, settings):
    services.endpoint_rotate(
        endpoint=sender.endpoint, what="signing_secret", by="t", overlap=timedelta(hours=1)
    )
    settings.ENCRYPTION_KEYS = [crypto.new_key(), *settings.ENCRYPTION_KEYS]
    sealed = {str(one.column): one.sealed for one in crypto.rotate() if one.column.model is Endpoint}
    assert set(sealed.values()) == {1}
    assert len(sealed) == 2
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    now = Endpoint.objects.get()
    context = signing_context(now.pk)
    assert crypto.unseal(now.previous_signing_secret, context=context) == sender.signing_secret


def test_signing_secrets_need_a_key_to_seal_them_and_the_rest_does_not(sender: Sender, settings):
    settings.ENCRYPTION_KEYS = []
    account = sender.endpoint.account
    assert services.endpoint_create(account=account, name="plain", by="t").signing_secret == ""
    with pytest.raises(ImproperlyConfigured):
        services.endpoint_create(account=account, name="signed", by="t", signing=True)
    assert not Endpoint.objects.filter(name="signed").exists()


def test_what_is_changed_is_checked_and_audited(sender: Sender):
    for field, value in (
        ("name", ""),
        ("name", "x" * 65),
        ("name", "a\x07b"),
        ("allowed_addresses", ["nowhere"]),
        ("allowed_addresses", ["10.0.0.1/8"]),
        ("allowed_addresses", [f"10.0.0.{n}" for n in range(101)]),
        ("window_seconds", 59),
        ("window_seconds", 601),
    ):
        with pytest.raises(InvalidEndpoint) as caught:
            services.endpoint_update(endpoint=sender.endpoint, by="user:1", **{field: value})
        assert caught.value.field == field
    sender_of(sender.endpoint.account, "taken")
    with pytest.raises(InvalidEndpoint) as caught:
        services.endpoint_update(endpoint=sender.endpoint, by="user:1", name=" taken ")
    assert caught.value.field == "name"
    with pytest.raises(TypeError):
        services.endpoint_update(endpoint=sender.endpoint, by="user:1", token_hash="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Endpoint.objects.filter(pk=sender.endpoint.pk).update(window_seconds=5)
    now = services.endpoint_update(
        endpoint=sender.endpoint,
        by="user:1",
        name="  my   alerts ",
        allowed_addresses=["TradingView", "10.0.0.1", "10.0.0.1/32"],
        window_seconds=60,
    )
    assert (now.name, now.allowed_addresses) == ("my alerts", ["tradingview", "10.0.0.1/32"])
    services.endpoint_update(endpoint=now, by="user:1", window_seconds=60)
    services.endpoint_disable(endpoint=now, by="user:1")
    last = audited()[-2:]
    assert last == [
        (
            "webhook.endpoint_changed",
            {"name": "alerts", "allowed_addresses": [], "window_seconds": 300},
            {"name": "my alerts", "allowed_addresses": ["tradingview", "10.0.0.1/32"], "window_seconds": 60},
            None,
        ),
        ("webhook.endpoint_disabled", {"enabled": True}, {"enabled": False}, None),
    ]
    assert Entry.objects.filter(action="webhook.endpoint_disabled", actor="user:1").count() == 1


def test_the_message_for_tradingview_is_a_signal_once_its_placeholders_are_replaced(sender: Sender, client):
    message = examples.tradingview_message(sender.secret)
    for placeholder, value in (
        ("{{strategy.order.action}}", "buy"),
        ("{{exchange}}", "BINANCE"),
        ("{{ticker}}", "BTCUSDT"),
        ("{{strategy.order.contracts}}", "0.5"),
        ("{{timenow}}", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    ):
        assert placeholder in message
        message = message.replace(placeholder, value)
    assert sender.send(client, message).status_code == 202
    assert examples.address("tradingview", "t").endswith(reverse("webhook-tradingview", args=["t"]))
    assert sender.secret not in examples.tradingview_message(hint=sender.secret[-4:])
