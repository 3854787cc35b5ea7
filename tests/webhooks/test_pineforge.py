"""Events of PineForge from the request to the run that acts on them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.orders.models import Account, DailyUse
from apps.tasks.testing import assert_requested, requested
from tests.webhooks.helpers import ACT, Sender, action, logged, problem

pytestmark = pytest.mark.django_db


def test_events_of_pineforge_are_acted_upon_once(sender: Sender, market, client):
    event = action(side="sell", leg="entry")
    first = sender.event(client, event, query="?simulation=false")
    assert first.status_code == 200, first.content
    told = first.json()
    assert (told["status"], told["simulation"]) == ("accepted", False)
    kwargs = {"signal": "short_entry", "quantity": "0.25", "order_id": told["order"], "simulation": False}
    assert_requested(ACT, kwargs=kwargs, count=1)
    again = sender.event(client, event, query="?simulation=false")
    assert (again.status_code, again.json(), again["X-Replayed"]) == (200, told, "true")
    problem(sender.event(client, {**event, "message": "!"}, query="?simulation=false"), 409, "webhook-replay")
    update = sender.event(client, action(event="order_update", status="confirmed"))
    assert update.status_code == 200
    assert update.json() | {"delivery": ""} == {
        "delivery": "", "order": None, "status": "recorded", "simulation": True, "reason": "no_action",
    }  # fmt: skip
    for changed, headers, status, kind in (
        (action(), {"X-PineForge-Signature": "sha256=" + "0" * 64}, 401, "webhook-secret"),
        (action(), {"X-PineForge-Signature": ""}, 401, "webhook-secret"),
        (action(), {"X-PineForge-Event-Id": "another"}, 400, "invalid-request"),
        (action(schema_version=2), {}, 400, "invalid-request"),
        (b"{", {}, 400, "malformed-body"),
    ):
        problem(sender.event(client, changed, **headers), status, kind)
    assert len(requested(ACT)) == 1


def test_what_the_account_may_not_do_is_recorded_so_that_events_after_it_come_through(
    sender: Sender, market, client
):
    """The sender of PineForge stops at what is refused."""
    elsewhere = {**action()["instrument"], "symbol": "NOSUCH"}
    cases = [
        ("unknown_symbol", action(instrument=elsewhere), {}),
        ("daily_limit", action(), {"daily_limit": 0}),
        ("simulation_only", action(), {"plan": "basic", "daily_limit": None}),
        ("keys_missing", action(), {"plan": "pro", "api_key": ""}),
    ]
    for reason, event, changes in cases:
        Account.objects.update(**changes)
        told = [sender.event(client, event, query="?simulation=false") for _ in range(2)]
        assert [(one.status_code, one.json()["reason"]) for one in told] == [(200, reason)] * 2
        assert told[0].json()["order"] is None
    # Who does not prove to be the sender is refused as ever.
    problem(sender.event(client, action(), **{"X-PineForge-Signature": ""}), 401, "webhook-secret")
    assert not requested()
    assert [put["code"] for put in logged() if put["outcome"] == "recorded"] == [one[0] for one in cases]
    assert "NOSUCH" in logged()[0]["detail"]


def test_an_action_of_pineforge_that_comes_too_late_is_recorded_and_not_acted_upon(sender: Sender, client):
    old = int((datetime.now(UTC) - timedelta(hours=1)).timestamp() * 1000)
    event = action(timestamp=old)
    first, second = (sender.event(client, event) for _ in range(2))
    assert (first.status_code, first.json()["status"], first.json()["reason"]) == (200, "recorded", "expired")
    assert second.json() == first.json()
    problem(
        sender.event(client, action(timestamp=old), **{"X-PineForge-Signature": ""}), 401, "webhook-secret"
    )
    assert not requested()
    assert not DailyUse.objects.exists()
    assert [(put["outcome"], put["code"]) for put in logged()] == [
        ("recorded", "expired"), ("duplicate", ""), ("refused", "secret_missing"),
    ]  # fmt: skip
    assert uuid.UUID(first.json()["delivery"]).version == 7
