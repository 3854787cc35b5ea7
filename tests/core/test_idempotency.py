"""A POST with a key is done once, however often it is sent, and answered the same again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.backtests.engine import STRATEGIES
from apps.core import idempotency
from apps.core.models import KeptAnswer
from apps.orders import services
from apps.orders.models import Account
from apps.tasks.tasks import prune_answers
from apps.webhooks.models import Endpoint
from tests.support import blocked, wait_until

ACCOUNTS, WEBHOOKS = "/api/v1/accounts", "/api/v1/webhooks"
BODY = {"name": "main", "exchange": "binance"}


def post(web: Client, address: str, body: Any, key: str = "k-1", **headers: str) -> Any:
    content = body if isinstance(body, str) else json.dumps(body)
    return web.generic(
        "POST", address, content, "application/json", headers={"Idempotency-Key": key, **headers}
    )


def signed_in(user: Any) -> Client:
    web = Client(raise_request_exception=False)
    web.force_login(user)
    return web


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition("/")[2]


@pytest.fixture
def api(new_user: Callable[..., Any]) -> Client:
    return signed_in(new_user())


@pytest.mark.django_db
def test_a_repeat_is_given_the_same_answer(api):
    first, again = post(api, ACCOUNTS, BODY), post(api, ACCOUNTS, BODY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    for header in ("Content-Type", "Location", "Allow"):
        assert again[header] == first[header]
    assert again["X-Request-ID"] != first["X-Request-ID"]
    assert Account.objects.count() == KeptAnswer.objects.count() == 1


@pytest.mark.django_db
def test_a_key_is_of_one_request_and_of_one_caller(api, new_user):
    post(api, ACCOUNTS, BODY)
    for address, body in ((ACCOUNTS, BODY | {"name": "other"}), ("/api/v1/strategies/check", BODY)):
        assert problem(post(api, address, body)) == (409, "idempotency-key-reused")
    assert problem(post(api, ACCOUNTS, json.dumps(BODY) + " ")) == (409, "idempotency-key-reused")
    assert problem(post(api, ACCOUNTS, BODY, "")) == (400, "invalid-request")
    # The same account again, which there cannot be, and another user's.
    assert problem(post(api, ACCOUNTS, BODY, "k-2")) == (400, "invalid-request")
    assert post(signed_in(new_user()), ACCOUNTS, BODY).status_code == 201


@pytest.mark.django_db
def test_refusals_are_not_kept(api):
    assert post(api, ACCOUNTS, BODY | {"exchange": "nowhere"}).status_code == 400
    assert post(api, ACCOUNTS, "{").status_code == 400
    assert post(api, ACCOUNTS, BODY).status_code == 201


@pytest.mark.django_db
def test_a_body_that_was_looked_through_for_a_csrf_token_is_compared_like_any_other(new_user):
    web = Client(enforce_csrf_checks=True, raise_request_exception=False)
    web.force_login(new_user())
    web.get("/logout")
    csrf = {"X-CSRFToken": web.cookies["csrftoken"].value}
    assert [post(web, ACCOUNTS, BODY, **csrf).status_code for _ in range(2)] == [201, 201]
    assert problem(post(web, ACCOUNTS, BODY | {"name": "other"}, **csrf)) == (409, "idempotency-key-reused")
    answer = web.post(ACCOUNTS, BODY, headers={"Idempotency-Key": "k-2", **csrf})
    assert problem(answer) == (415, "unsupported-media-type")


@pytest.mark.django_db
def test_where_the_answer_is_not_given_nothing_was_done(api, monkeypatch):
    create = services.account_create

    def crash(**given: Any) -> None:
        create(**given)
        raise RuntimeError("between the effect and its answer")

    monkeypatch.setattr(services, "account_create", crash)
    assert problem(post(api, ACCOUNTS, BODY)) == (500, "server-error")
    assert not Account.objects.exists()
    assert not KeptAnswer.objects.exists()
    monkeypatch.undo()
    first, again = post(api, ACCOUNTS, BODY), post(api, ACCOUNTS, BODY)
    assert (first.status_code, again.content) == (201, first.content)


@pytest.mark.django_db
def test_what_is_shown_once_is_kept_sealed(api, settings):
    account = post(api, ACCOUNTS, BODY).json()["id"]
    body = {"account": account, "name": "alerts"}
    first, again = post(api, WEBHOOKS, body, "k-2"), post(api, WEBHOOKS, body, "k-2")
    assert again.content == first.content
    assert again["Cache-Control"] == first["Cache-Control"] == "no-store"
    row = KeptAnswer.objects.get(key="k-2")
    assert row.body == ""
    assert first.json()["token"] not in row.sealed_body
    settings.ENCRYPTION_KEYS = []
    assert problem(post(api, WEBHOOKS, body | {"name": "more"}, "k-3")) == (503, "unavailable")
    assert Endpoint.objects.count() == 1


@pytest.mark.django_db
def test_answers_are_kept_for_a_day(api, settings):
    post(api, ACCOUNTS, BODY)
    post(api, "/api/v1/strategies/check", {"strategy": next(iter(STRATEGIES))}, "k-2")
    KeptAnswer.objects.filter(key="k-2").update(created_at=timezone.now() - timedelta(hours=25))
    assert prune_answers.run() == {"deleted": 1}
    assert [row.key for row in KeptAnswer.objects.all()] == ["k-1"]
    settings.IDEMPOTENCY_HOURS = 0
    assert idempotency.prune() == 1


class Held:
    """Requests for accounts stay in the middle of it until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.calls = 0
        create = services.account_create

        def held(**given: Any) -> Account:
            self.calls += 1
            account = create(**given)
            self.entered.set()
            assert self.go.wait(60)
            return account

        monkeypatch.setattr(services, "account_create", held)


def in_thread(do: Callable[[], Any], found: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            found.append(do())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
def test_of_two_at_once_one_is_done_and_both_are_answered(new_user, monkeypatch):
    user = new_user()
    monkeypatch.setattr(idempotency, "_PATIENCE", 60_000)
    held, answers = Held(monkeypatch), []
    threads = [in_thread(lambda: post(signed_in(user), ACCOUNTS, BODY), answers)]
    assert held.entered.wait(60)
    threads.append(in_thread(lambda: post(signed_in(user), ACCOUNTS, BODY), answers))
    wait_until(blocked, what="the repeat to wait")
    held.go.set()
    for thread in threads:
        thread.join(60)
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert sorted("Idempotency-Replayed" in one for one in answers) == [False, True]
    assert (held.calls, Account.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
def test_a_repeat_does_not_wait_for_ever(new_user, monkeypatch):
    user = new_user()
    monkeypatch.setattr(idempotency, "_PATIENCE", 50)
    held, answers = Held(monkeypatch), []
    thread = in_thread(lambda: post(signed_in(user), ACCOUNTS, BODY), answers)
    assert held.entered.wait(60)
    early = post(signed_in(user), ACCOUNTS, BODY)
    assert problem(early) == (409, "idempotency-in-progress")
    assert early["Retry-After"] == "1"
    held.go.set()
    thread.join(60)
    late = post(signed_in(user), ACCOUNTS, BODY)
    assert (late.content, late["Idempotency-Replayed"]) == (answers[0].content, "true")
    assert held.calls == 1


@pytest.mark.django_db
def test_what_a_request_waits_for_itself_is_not_limited(api, monkeypatch):
    found = []
    create = services.account_create

    def look(**given: Any) -> Account:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            found.append(cursor.fetchone()[0])
        return create(**given)

    monkeypatch.setattr(services, "account_create", look)
    assert post(api, ACCOUNTS, BODY).status_code == 201
    assert found == ["0"]
