"""What is kept of deliveries: the log, the audit, mails, counts; and for how long."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F

from apps.audit.models import Entry as AuditEntry
from apps.core.collectors import registry
from apps.core.ids import uuid7
from apps.notifications.models import Email, Throttle
from apps.orders.models import Account, DailyRefusal, DailyUse
from apps.tasks.models import Entry
from apps.tasks.testing import entries, run_pending
from apps.webhooks.log import deliveries_log
from apps.webhooks.models import Delivery, DeliveryCount, Endpoint, Receipt
from apps.webhooks.tasks import log_delivery, prune
from tests.webhooks.helpers import Sender, account_of, action, sender_of, user_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_orders(monkeypatch: Any) -> None:
    """Signals are not acted upon here."""
    monkeypatch.setattr("apps.orders.acting.signal_act", lambda **_: {})


def sent(client: Any, sender: Sender) -> list[Any]:
    """One of each kind of outcome and of attack; the answers."""
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    signal = sender.signal(id="1")
    answers = [
        sender.send(client, signal, HTTP_USER_AGENT="Go-http-client/1.1"),
        sender.send(client, signal),
        sender.send(client, {**signal, "quantity": "7"}),
        sender.send(client, sender.signal(secret="wrong")),
        sender.send(client, sender.signal(secret="wrong again")),
        sender.send(client, sender.signal(timestamp=old)),
        sender.send(client, "secret: hunter2\nwhat is this"),
        sender.send(client, sender.signal(), token="nobody"),
        sender.event(client, action(event="order_update")),
    ]
    Endpoint.objects.update(allowed_addresses=["tradingview"])
    return [*answers, sender.send(client, sender.signal())]


def test_every_delivery_is_logged_once_and_audited_once(sender: Sender, client):
    answers = sent(client, sender)
    put = entries(log_delivery)
    run_pending()
    assert not entries(log_delivery)
    # In the order in which they came. Those of the first two are known by what they were told.
    rows = list(Delivery.objects.order_by("at"))
    assert [(row.outcome, row.layer, row.code, row.status) for row in rows] == [
        ("accepted", "", "", 202),
        ("duplicate", "", "", 202),
        ("refused", "replay", "replay_conflict", 409),
        ("refused", "secret", "secret_wrong", 401),
        ("refused", "secret", "secret_wrong", 401),
        ("refused", "timestamp", "expired", 401),
        ("refused", "shape", "malformed", 400),
        ("refused", "token", "unknown_token", 404),
        ("recorded", "", "no_action", 200),
        ("refused", "address", "address_blocked", 403),
    ]
    assert [row.status for row in rows] == [answer.status_code for answer in answers]
    first, told = rows[0], answers[0].json()
    assert (str(first.pk), str(first.order_id)) == (told["delivery"], told["order"])
    assert (first.endpoint, first.address, first.user_agent) == (
        sender.endpoint,
        "127.0.0.1",
        "Go-http-client/1.1",
    )
    assert (first.signal, first.symbol, first.simulation, first.key) == ("buy", "BTC/USDT", True, "id:1")
    assert first.body["secret"] == "***"
    assert first.request_id == answers[0]["X-Request-ID"]
    assert 0 < first.milliseconds < 60_000
    assert rows[6].body == "secret: ***\nwhat is this"
    assert (rows[7].endpoint, rows[7].body, rows[7].key, rows[7].size > 0) == (None, None, "", True)
    assert rows[8].detail == "order_update confirmed"
    everything = json.dumps(list(Delivery.objects.values("body", "detail", "key")))
    assert "hunter2" not in everything
    assert sender.secret not in everything

    audited = list(AuditEntry.objects.filter(action__startswith="webhook.").order_by("occurred_at"))
    audited = [entry for entry in audited if not entry.action.startswith("webhook.endpoint")]
    assert [(entry.action, entry.outcome) for entry in audited] == [
        ("webhook.accepted", "succeeded"),
        ("webhook.duplicate", "succeeded"),
        ("webhook.replay_conflict", "refused"),
        ("webhook.secret_wrong", "refused"),
        ("webhook.secret_wrong", "refused"),
        ("webhook.timestamp_expired", "refused"),
        ("webhook.refused", "refused"),
        ("webhook.refused", "refused"),
        ("webhook.recorded", "succeeded"),
        ("webhook.address_blocked", "refused"),
    ]
    assert [entry.object_id for entry in audited] == [str(row.pk) for row in rows]
    assert audited[0].actor == f"webhook:{sender.endpoint.pk}"
    assert {entry.actor for entry in audited[2:8]} == {""}
    assert (audited[0].account, audited[7].account) == (str(sender.endpoint.account_id), "")
    assert audited[0].detail["order_id"] == told["order"]

    # Whatever comes a second time is there once, and counted once.
    mails, counts = Email.objects.count(), list(DeliveryCount.objects.values_list("format", "code", "count"))
    deliveries_log(put)
    deliveries_log([*put, *put])
    assert Delivery.objects.count() == 10
    assert AuditEntry.objects.filter(object_type="webhooks.delivery").count() == 10
    assert Email.objects.count() == mails
    assert list(DeliveryCount.objects.values_list("format", "code", "count")) == counts


def test_users_are_told_of_each_kind_of_attack_on_an_endpoint_once_in_a_while(sender: Sender, client):
    other = sender_of(account_of(user_of("bob")), "bobs")
    sent(client, sender)
    Endpoint.objects.update(allowed_addresses=[])
    other.send(client, other.signal(secret="wrong"))
    run_pending()
    mails = Email.objects.filter(kind="webhook_attack")
    told = sorted((mail.recipient, mail.context["attack"]) for mail in mails)
    assert told == [
        ("alice@example.com", "Another signal came with the key of an earlier one"),
        ("alice@example.com", "The address is not allowed"),
        ("alice@example.com", "The secret or the signature is wrong"),
        ("alice@example.com", "The signal's time is over"),
        ("bob@example.com", "The secret or the signature is wrong"),
    ]
    wrong = mails.get(recipient="alice@example.com", context__attack="The secret or the signature is wrong")
    assert (wrong.context["endpoint"], wrong.context["address"]) == ("alerts", "127.0.0.1")
    assert wrong.held_back == 1
    sender.send(client, sender.signal(secret="wrong"))
    run_pending()
    assert mails.all().count() == 5
    Throttle.objects.update(opened_at=F("opened_at") - timedelta(minutes=16))
    sender.send(client, sender.signal(secret="wrong"))
    run_pending()
    # One was sent beside the first, and one more since.
    assert mails.all().count() == 6
    assert mails.order_by("created_at").last().held_back == 1


def test_the_first_refusal_for_the_limit_of_a_day_is_told(sender: Sender, client):
    Account.objects.update(daily_limit=0)
    for number in range(3):
        assert sender.send(client, sender.signal(id=str(number))).status_code == 429
    run_pending()
    assert DailyRefusal.objects.get().refused == 3
    # What signals have to do with is another row: no log keeps them waiting.
    assert not DailyUse.objects.exists()
    assert Email.objects.filter(kind="daily_limit").count() == 1
    assert AuditEntry.objects.filter(action="daily_limit.reached").count() == 1


def test_an_entry_that_cannot_be_written_does_not_keep_others_from_the_log(sender: Sender, client):
    sender.send(client, sender.signal(id="1"))
    sender.send(client, sender.signal(id="2"))
    (broken, _) = entries(log_delivery)
    Entry.objects.filter(pk=broken.pk).update(payload={**broken.payload, "status": 100_000})
    run_pending()
    assert [row.key for row in Delivery.objects.all()] == ["id:2"]
    assert AuditEntry.objects.filter(action="webhook.accepted").count() == 1


def test_long_and_broken_bodies_are_cut(sender: Sender, client):
    for body in (sender.signal(comment="long " * 2000), "x" * 9000, b"\xff\x00" * 5000):
        sender.send(client, body)
    run_pending()
    bodies = [row.body for row in Delivery.objects.order_by("at")]
    assert [len(body) for body in bodies] == [4097] * 3
    assert all(body.endswith("…") for body in bodies)
    assert sender.secret not in bodies[0]


def test_a_secret_without_its_name_is_neither_kept_nor_quoted(sender: Sender, client):
    """Whatever is wrong with what it stands in, and whatever else stands there."""
    other = sender.secret[::-1]
    bodies = (
        f"buy BTCUSDT 0.5 1 {sender.secret} {other}",
        f"Buy now! {sender.secret}, {other}",
        {"signal": sender.secret, "note": [f"{other}:{sender.secret}"], sender.secret: other},
    )
    for body in bodies:
        answer = sender.send(client, body)
        assert answer.status_code == 400
        assert sender.secret not in answer.content.decode()
    run_pending()
    kept = [f"{row.detail} {row.body}" for row in Delivery.objects.all()]
    assert len(kept) == 3
    assert all(other in one and sender.secret not in one for one in kept)
    assert sender.secret not in str([entry.detail for entry in AuditEntry.objects.all()])


def test_a_secret_in_the_wrong_field_is_kept_nowhere(sender: Sender, client):
    for status, body in (
        (400, sender.signal(symbol=sender.secret)),
        (400, sender.signal(id=f"x:{sender.secret}")),
        (202, sender.signal(comment=sender.secret)),
    ):
        answer = sender.send(client, body, headers={"User-Agent": f"alerts {sender.secret}"})
        assert answer.status_code == status, body
        assert sender.secret not in answer.content.decode()
    run_pending()
    kept = [*Delivery.objects.values(), *Receipt.objects.values(), *AuditEntry.objects.values()]
    # Of each the row and its audit entry, of the last its receipt as well, and that the endpoint was made.
    assert len(kept) == 8
    assert sender.secret not in str(kept)


def test_the_size_that_is_claimed_is_kept_as_far_as_it_can_be(sender: Sender, client):
    for claimed in ("9" * 5000, "99999999999", "3000000000", "20000"):
        assert sender.send(client, b"buy", CONTENT_LENGTH=claimed).status_code == 413
    run_pending()
    assert [row.size for row in Delivery.objects.order_by("at")] == [*[2**31 - 1] * 3, 20_000]
    assert not entries(log_delivery)


def test_metrics_tell_outcomes_and_how_long_answers_took(sender: Sender, client):
    sent(client, sender)
    run_pending()
    values = {
        (one.name, *one.labels.values()): one.value
        for metric in registry.collect()
        if metric.name.startswith("chandlery_webhook")
        for one in metric.samples
    }
    count = "chandlery_webhook_deliveries_total"
    assert values[count, "tradingview", "accepted", "", ""] == 1
    assert values[count, "tradingview", "refused", "secret", "secret_wrong"] == 2
    assert values[count, "pineforge", "recorded", "", "no_action"] == 1
    answer = "chandlery_webhook_answer_seconds"
    assert values[f"{answer}_count", "tradingview", "refused"] == 7
    assert values[f"{answer}_bucket", "tradingview", "refused", "+Inf"] == 7
    assert 0 < values[f"{answer}_sum", "tradingview", "refused"] < 60
    sender.send(client, sender.signal(), token="nobody")
    run_pending()
    row = DeliveryCount.objects.get(code="unknown_token")
    assert (row.count, sum(row.histogram)) == (2, 2)


def test_what_is_old_is_deleted(sender: Sender, client, settings):
    for number in range(2):
        sender.send(client, sender.signal(id=str(number)))
    run_pending()
    Receipt.objects.filter(key="paper:id:0").update(created_at=datetime.now(UTC) - timedelta(days=8))
    Delivery.objects.filter(key="id:0").update(at=datetime.now(UTC) - timedelta(days=91))
    prune.delay()
    run_pending()
    assert list(Receipt.objects.values_list("key", flat=True)) == ["paper:id:1"]
    assert list(Delivery.objects.values_list("key", flat=True)) == ["id:1"]
    # Receipts outlive the longest window whatever is set, and the log may be kept for ever.
    settings.WEBHOOKS_RECEIPTS_DAYS, settings.WEBHOOKS_LOG_DAYS = 0.0, 0.0
    Delivery.objects.update(at=datetime.now(UTC) - timedelta(days=9999))
    prune.delay()
    run_pending()
    assert (Receipt.objects.count(), Delivery.objects.count()) == (1, 1)


def test_a_key_that_was_pruned_may_be_used_anew(sender: Sender, client):
    key = str(uuid7())
    first = sender.send(client, sender.signal(id=key)).json()
    Receipt.objects.all().delete()
    assert sender.send(client, sender.signal(id=key)).json()["order"] != first["order"]
