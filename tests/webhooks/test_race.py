"""Requests at the same time, on connections of their own, and a database that is away."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client

from apps.orders.models import Account, DailyUse
from apps.tasks.testing import entries, requested
from apps.webhooks import receiving
from apps.webhooks.models import Receipt
from apps.webhooks.tasks import log_delivery
from tests.webhooks.helpers import Sender, account_of, sender_of, signals_at, user_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sender(committed: None, market) -> Sender:
    return sender_of(account_of(user_of()))


def at_once(monkeypatch: Any, sender: Sender, bodies: list[str]) -> list[Any]:
    """The answers to requests all of which have read what is known before any of them writes."""
    barrier, answers = threading.Barrier(len(bodies)), [None] * len(bodies)
    read, met = receiving.facts_of, threading.local()

    def reading(**given: Any) -> Any:
        facts = read(**given)
        if not getattr(met, "once", False):
            met.once = True
            barrier.wait(30)
        return facts

    monkeypatch.setattr(receiving, "facts_of", reading)

    def send(place: int) -> None:
        try:
            answers[place] = sender.send(Client(), bodies[place])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(place,)) for place in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_of_identical_requests_at_once_one_is_accepted_and_all_get_its_answer(sender, monkeypatch):
    answers = at_once(monkeypatch, sender, [json.dumps(sender.signal())] * 4)
    assert {answer.status_code for answer in answers} == {202}
    told = [answer.json() for answer in answers]
    assert all(one == told[0] for one in told)
    assert sorted(answer.headers.get("X-Replayed", "") for answer in answers) == ["", "true", "true", "true"]
    assert Receipt.objects.count() == 1
    assert [run.kwargs["order_id"] for run in requested("orders.act_on_signal")] == [told[0]["order"]]
    assert DailyUse.objects.get().orders == 1
    outcomes = sorted(entry.payload["outcome"] for entry in entries(log_delivery))
    assert outcomes == ["accepted", "duplicate", "duplicate", "duplicate"]


def test_of_signals_at_once_no_more_are_accepted_than_are_left_today(sender, monkeypatch):
    Account.objects.update(daily_limit=2)
    bodies = [json.dumps(sender.signal(id=str(number))) for number in range(4)]
    answers = at_once(monkeypatch, sender, bodies)
    assert sorted(answer.status_code for answer in answers) == [202, 202, 429, 429]
    assert len(requested("orders.act_on_signal")) == Receipt.objects.count() == 2
    assert DailyUse.objects.get().orders == 2


def test_of_signals_at_once_no_more_are_accepted_than_the_endpoint_has_room_for(
    sender, monkeypatch, settings
):
    settings.RATELIMITS_GROUPS = signals_at("5/h")
    bodies = [json.dumps(sender.signal(id=str(number))) for number in range(8)]
    answers = at_once(monkeypatch, sender, bodies)
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [429] * 3
    assert len(requested("orders.act_on_signal")) == Receipt.objects.count() == 5
    assert DailyUse.objects.get().orders == 5


def test_a_connection_that_breaks_on_the_way_leaves_nothing_and_the_next_request_is_taken(sender):
    signal, accept = json.dumps(sender.signal()), receiving._Delivery._request

    def break_then(self: Any, *given: Any) -> None:
        # Of this very transaction, in the middle of what was sent.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.close()
        accept(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiving._Delivery, "_request", break_then)
        answer = sender.send(Client(), signal)
    assert answer.status_code == 503, answer.content
    assert answer["Retry-After"] == "5"
    answer = sender.send(Client(), signal)
    assert answer.status_code == 202
    assert "X-Replayed" not in answer
    assert (
        Receipt.objects.count()
        == len(requested("orders.act_on_signal"))
        == DailyUse.objects.get().orders
        == 1
    )


def test_a_database_that_cannot_be_reached_is_answered_with_503(sender, monkeypatch):
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection refused")

    monkeypatch.setattr("apps.webhooks.facts.execute", away)
    monkeypatch.setattr("apps.tasks.microbatched.perform", away)
    answer = sender.send(Client(), sender.signal())
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["type"] == "/problems/unavailable"
    assert not entries(log_delivery)
