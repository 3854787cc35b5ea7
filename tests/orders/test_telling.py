"""Users are told by e-mail, and the audit of everything, in the transaction in which it happens."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.core import mail

from apps.audit.models import Entry
from apps.core import context
from apps.orders import limits, services
from apps.orders.brokers.base import Refused, Unanswered
from apps.orders.models import Order
from apps.orders.outcomes import why
from apps.tasks.testing import run_pending
from tests.orders.helpers import looked, now, place, submitted

pytestmark = pytest.mark.django_db


def test_every_mail_is_written_with_its_facts(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 1
    account.daily_limit = 0
    broker.script += [Refused("Account has insufficient balance", code="-2010"), Unanswered("504"), "rest"]
    refused, unknown, open_ = (place(account, market, "0.25") for _ in range(3))
    submitted()
    looked()
    limits.daily_take(account=account, simulation=False, day=date(2026, 3, 1))
    run_pending()
    told = {message.subject: message.body for message in mail.outbox}
    assert len(told) == 4
    text = "\n".join(told)
    for words in ("rejected", "review"):
        assert words in text.lower(), text
    for fact in (
        "insufficient balance", str(refused.pk), str(unknown.pk), str(open_.pk), "binance:BTC/USDT", "0.25",
        f"GET /api/v1/orders/{refused.pk}", f"GET /api/v1/accounts/{account.pk}", "2026-03-01",
    ):  # fmt: skip
        assert any(fact in body for body in told.values()), fact
    assert all("(real)" in subject and "for real" in body for subject, body in told.items())
    assert not any("/admin/" in body for body in told.values())
    assert {address for message in mail.outbox for address in message.to} == {"alice@example.com"}


def test_the_audit_says_who_did_what(account, market, broker, alice):
    with context.bind(actor=f"user:{alice.pk}", request_id="request-1"):
        order = place(account, market, "0.25", price="90")
    services.order_cancel(order=order, by="user:77")
    services.account_update(account=account, by="user:77", enabled=False)
    run_pending()
    entries = {entry.action: entry for entry in Entry.objects.all()}
    placed = entries["order.placed"]
    assert (placed.actor, placed.object_type, placed.object_id) == (
        f"user:{alice.pk}", "orders.order", str(order.pk),
    )  # fmt: skip
    assert (placed.account, placed.request_id) == (str(account.pk), "request-1")
    assert placed.detail["quantity"] == "0.25"
    assert entries["order.cancel_requested"].actor == "user:77"
    disabled = entries["account.disabled"]
    assert (disabled.before, disabled.after) == ({"enabled": True}, {"enabled": False})


def test_what_a_broker_says_is_stored_without_secrets_and_whatever_it_is(account, market, broker):
    said = "GET https://x/api?signature=abcdef0123456789 \0 \ud800 " + "x" * 5000
    broker.script.append(Refused(said, code="C" * 200))
    order = place(account, market)
    submitted()
    order = now(order)
    assert (order.state, len(order.reason_code), len(order.reason)) == ("rejected", 64, 1000)
    assert "abcdef0123456789" not in order.reason
    assert why("a", "b") == {"code": "a", "reason": "b"}


def test_a_real_order_stays_real_when_its_account_is_put_on_paper(account, market, broker, monkeypatch):
    from apps.orders import brokers

    asked: list[tuple[bool, bool]] = []

    def broker_for(account: Any, *, simulation: bool) -> Any:
        asked.append((account.simulation, simulation))
        return broker

    monkeypatch.setattr(brokers, "broker_for", broker_for)
    broker.script.append("lost")
    order = place(account, market)
    submitted()
    late = place(account, market)
    services.account_update(account=account, by="user:1", simulation=True)
    looked()
    assert now(order).state == "submitted"
    assert (now(late).state, now(late).reason_code) == ("rejected", "on_paper_now")
    assert set(asked) == {(False, False)}
    assert place(Order.objects.first().account, market).simulation is True
