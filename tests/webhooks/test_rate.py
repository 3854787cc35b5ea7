"""How many signals an endpoint takes: who is counted, what is refused, and what happens without Redis."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from apps.audit.models import Entry as AuditEntry
from apps.orders.models import DailyUse
from apps.ratelimits import runtime
from apps.ratelimits.models import PolicyChange
from apps.ratelimits.scopes import scope
from apps.tasks.testing import requested, run_pending
from apps.webhooks import receiving
from apps.webhooks.models import Delivery, DeliveryCount, Endpoint, Receipt
from tests.webhooks.helpers import (
    ABSENT,
    ACT,
    Sender,
    action,
    charged,
    logged,
    problem,
    sender_of,
    signals_at,
)

pytestmark = pytest.mark.django_db


def limited(answer: Any) -> dict[str, Any]:
    """The problem of one signal too many, which says when to come again."""
    body = problem(answer, 429, "too-many-requests")
    assert 0 < int(answer["Retry-After"]) <= 3600
    return body


def test_one_signal_too_many_is_refused_and_logged_and_accepted_once_there_is_room(
    sender: Sender, client, settings, monkeypatch
):
    monkeypatch.setattr("apps.orders.acting.signal_act", lambda **_: {})
    settings.RATELIMITS_GROUPS = signals_at("2/h")
    for number in range(2):
        assert sender.send(client, sender.signal(id=f"k-{number}")).status_code == 202
    late = sender.signal(id="late")
    assert "there is room again in" in limited(sender.send(client, late))["detail"]
    # It took nothing, so that it may come again.
    assert Receipt.objects.count() == DailyUse.objects.get().orders == len(requested(ACT)) == 2
    other = sender_of(sender.endpoint.account, "other")
    assert other.send(client, other.signal()).status_code == 202
    scope("webhook-signals").reset("endpoint", str(sender.endpoint.pk))
    assert sender.send(client, late).status_code == 202
    run_pending()
    row = Delivery.objects.get(outcome="refused")
    assert (row.layer, row.code, row.status, row.order_id, row.key) == (
        "rate", "rate_limited", 429, None, "id:late",
    )  # fmt: skip
    assert DeliveryCount.objects.get(layer="rate", code="rate_limited").count == 1
    assert AuditEntry.objects.get(object_id=str(row.pk)).action == "webhook.refused"


def test_who_does_not_know_the_secret_uses_up_nothing(sender: Sender, client, settings):
    settings.RATELIMITS_GROUPS = signals_at("1/h")
    for wrong in ("wrong", ABSENT):
        problem(sender.send(client, sender.signal(secret=wrong)), 401, "webhook-secret")
    problem(sender.event(client, action(), **{"X-PineForge-Signature": ""}), 401, "webhook-secret")
    problem(sender.send(client, "what?"), 400, "malformed-body")
    assert charged(sender) == 0
    # Where signals on paper need no secret, anybody may send them: they are counted by themselves.
    Endpoint.objects.update(require_secret=False)
    assert sender.send(client, sender.signal(secret=ABSENT, id="1")).status_code == 202
    limited(sender.send(client, sender.signal(secret=ABSENT, id="2")))
    assert (charged(sender), charged(sender, "/no-secret")) == (0, 1)
    assert sender.send(client, sender.signal(id="3"), query="?simulation=false").status_code == 202
    limited(sender.send(client, sender.signal(id="4"), query="?simulation=false"))


def test_what_came_before_is_not_counted_and_is_answered_without_room(sender: Sender, client, settings):
    settings.RATELIMITS_GROUPS = signals_at("2/h")
    signal = sender.signal(id="once")
    first = sender.send(client, signal)
    assert first.status_code == 202
    assert sender.send(client, signal).json() == first.json()
    problem(sender.send(client, {**signal, "quantity": "9"}), 409, "webhook-replay")
    assert charged(sender) == 1
    assert sender.send(client, sender.signal(id="2")).status_code == 202
    limited(sender.send(client, sender.signal(id="3")))
    again = sender.send(client, signal)
    assert (again.status_code, again.json(), again["X-Replayed"]) == (202, first.json(), "true")


def test_exits_are_counted_and_never_one_too_many(sender: Sender, client, settings):
    settings.RATELIMITS_GROUPS = signals_at("2/h")
    for number, signal in enumerate(("long_exit", "buy")):
        assert sender.send(client, sender.signal(signal, id=str(number))).status_code == 202
    limited(sender.send(client, sender.signal("buy", id="3")))
    for number, signal in enumerate(("long_exit", "short_exit")):
        assert sender.send(client, sender.signal(signal, id=f"exit-{number}")).status_code == 202
    assert len(requested(ACT)) == 4
    assert charged(sender) == 2


def test_what_leads_to_no_order_counts_as_well(sender: Sender, client, settings):
    settings.RATELIMITS_GROUPS = signals_at("2/h")
    assert sender.event(client, action(event="order_update")).json()["reason"] == "no_action"
    problem(sender.send(client, sender.signal(symbol="NO/SUCH")), 400, "invalid-request")
    limited(sender.send(client, sender.signal()))


def test_of_pineforge_what_is_too_much_is_recorded_so_that_events_after_it_come_through(
    sender: Sender, client, settings
):
    settings.RATELIMITS_GROUPS = signals_at("1/h")
    assert sender.event(client, action()).json()["status"] == "accepted"
    late = action()
    told = [sender.event(client, late) for _ in range(2)]
    for one in told:
        assert (one.status_code, one.json()["status"], one.json()["reason"]) == (
            200, "recorded", "rate_limited",
        )  # fmt: skip
    assert told[0].json() == told[1].json()
    assert sender.event(client, action(side="sell", leg="exit")).json()["status"] == "accepted"
    assert [run.kwargs["signal"] for run in requested(ACT)] == ["long_entry", "long_exit"]
    assert [(put["outcome"], put["code"]) for put in logged()] == [
        ("accepted", ""), ("recorded", "rate_limited"), ("duplicate", ""), ("accepted", ""),
    ]  # fmt: skip
    assert "there is room again in" in logged()[1]["detail"]


def test_what_operators_change_holds_for_the_next_delivery(
    sender: Sender, client, django_capture_on_commit_callbacks
):
    def change(limit: int) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            PolicyChange.objects.update_or_create(
                group="webhook-signals", rule="endpoint", defaults={"limit": limit, "window": 3600}
            )
            runtime.announce()

    def send(name: str) -> Any:
        return sender.send(client, sender.signal(id=name))

    assert send("1").status_code == 202
    change(1)
    limited(send("2"))
    change(2)
    assert send("2").status_code == 202
    limited(send("3"))
    change(0)
    # There will never be room: it would make no sense to come again.
    shut = send("3")
    assert problem(shut, 429, "too-many-requests")["detail"] == "The endpoint may take no signals at all."
    assert "Retry-After" not in shut


def test_a_delivery_that_is_judged_again_is_counted_once(sender: Sender, client, monkeypatch):
    """Another request with its key is committed while it is under way, and the receipt is pruned then."""
    signal, read, calls = sender.signal(id="both"), receiving.facts_of, []

    def reading(**given: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            Receipt.objects.all().delete()
        facts = read(**given)
        if len(calls) == 1:
            assert sender.send(Client(), signal).status_code == 202
        return facts

    monkeypatch.setattr(receiving, "facts_of", reading)
    answer = sender.send(client, signal)
    assert answer.status_code == 202
    assert "X-Replayed" not in answer
    assert len(calls) == 3
    assert charged(sender) == 2


def test_a_body_that_is_tried_out_is_not_counted(sender: Sender, client, settings):
    settings.RATELIMITS_GROUPS = signals_at("1/h")
    client.force_login(sender.endpoint.user)
    signal = sender.signal(id="1")
    trial = {"body": json.dumps(signal)}

    def tried(given: dict[str, Any]) -> Any:
        url = f"/api/v1/webhooks/{sender.endpoint.pk}/test"
        return client.post(url, json.dumps(given), content_type="application/json").json()

    assert [tried(trial)["outcome"] for _ in range(3)] == ["accepted"] * 3
    assert sender.send(client, signal).status_code == 202
    other = tried({"body": json.dumps(sender.signal(id="2"))})
    assert (other["outcome"], other["status"], other["decided_by"]) == ("refused", 429, "rate")
    assert [one["code"] for one in other["layers"] if one["layer"] == "rate"] == ["rate_limited"]
    assert tried({"body": json.dumps(sender.signal("long_exit", id="3"))})["outcome"] == "accepted"


def test_without_redis_signals_are_accepted_as_the_group_says(sender: Sender, client, redis_away, settings):
    for number in range(3):
        assert sender.send(client, sender.signal(id=str(number))).status_code == 202
    settings.RATELIMITS_GROUPS = signals_at("1/h", outage="local")
    assert sender.send(client, sender.signal(id="local")).status_code == 202
    limited(sender.send(client, sender.signal(id="beyond")))
    client.force_login(sender.endpoint.user)
    body = json.dumps({"body": json.dumps(sender.signal(id="tried"))})
    url = f"/api/v1/webhooks/{sender.endpoint.pk}/test"
    assert client.post(url, body, content_type="application/json").json()["outcome"] == "accepted"


def test_without_redis_a_closed_group_has_senders_come_again(sender: Sender, client, redis_away, settings):
    settings.RATELIMITS_GROUPS = signals_at("60/m", outage="closed")
    signal = sender.signal(id="once")
    for answer in (
        sender.send(client, signal),
        # Also those who would stop at a refusal come again after this one.
        sender.event(client, action()),
    ):
        problem(answer, 503, "unavailable")
        assert answer["Retry-After"] == "1"
    assert not Receipt.objects.exists()
    assert not requested()
    assert sender.send(client, sender.signal("long_exit")).status_code == 202
    assert [(put["outcome"], put["layer"], put["code"]) for put in logged()] == [
        *[("refused", "rate", "rate_unknown")] * 2, ("accepted", "", ""),
    ]  # fmt: skip
    settings.RATELIMITS_GROUPS = signals_at("60/m", outage="open")
    assert sender.send(client, signal).status_code == 202
