"""Errors reach clients as problem+json, whoever raises them."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.core import context, problems
from apps.core.problems import TITLES

pytestmark = pytest.mark.django_db


def assert_problem(response, status: int, name: str) -> dict:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"/problems/{name}"
    assert body["title"] == TITLES[name]
    assert body["detail"]
    return body


def test_an_address_that_does_not_exist(client: Client):
    assert "/api/v1/nothing" in assert_problem(client.get("/api/v1/nothing"), 404, "not-found")["detail"]


def test_missing_and_wrong_credentials(client: Client):
    assert_problem(client.get("/api/v1/backtests"), 401, "not-authenticated")
    assert_problem(
        client.get("/api/v1/backtests", headers={"Authorization": "Token nonsense"}), 401, "not-authenticated"
    )
    assert_problem(client.post("/api/v1/auth/login"), 401, "not-authenticated")


def test_a_user_who_may_not(client: Client, django_user_model):
    client.force_login(django_user_model.objects.create_user("alice", password="x"))
    assert_problem(client.get("/api/v1/tasks/stats"), 403, "permission-denied")


def test_a_method_that_is_not_there(client: Client):
    assert_problem(client.delete("/api/v1/instruments"), 405, "method-not-allowed")


def test_a_body_that_is_not_json_or_not_declared_so(admin_client: Client):
    malformed = admin_client.post("/api/v1/backtests", "{", content_type="application/json")
    assert_problem(malformed, 400, "malformed-body")
    unsupported = admin_client.post("/api/v1/backtests", "a=b", content_type="text/plain")
    assert_problem(unsupported, 415, "unsupported-media-type")


def test_a_server_error_says_nothing_of_its_cause(monkeypatch, admin_user):
    def broken(**_):
        raise RuntimeError("a secret")

    monkeypatch.setattr("apps.tasks.selectors.runs", broken)
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    response = client.get("/api/v1/tasks")
    assert_problem(response, 500, "server-error")
    assert b"secret" not in response.content


def test_nested_errors_name_their_path():
    detail = {"a": {"b": ["bad"]}, "c": [{"d": ["worse"]}], "non_field_errors": ["all of it"]}
    assert problems._flatten(detail) == [
        {"field": "a.b", "detail": "bad"},
        {"field": "c.0.d", "detail": "worse"},
        {"field": "", "detail": "all of it"},
    ]


@pytest.mark.parametrize("given", ["a-well-formed-id", "x", "bad id", "a" * 200])
def test_every_answer_carries_a_request_id(client: Client, given):
    answered = client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert (answered == given) == (given == "a-well-formed-id")
    assert context.current() == context.Context()


def test_a_password_buys_a_token(client: Client, django_user_model):
    import base64

    django_user_model.objects.create_user("bob", password="correct horse")
    basic = base64.b64encode(b"bob:correct horse").decode()
    answer = client.post("/api/v1/auth/login", headers={"Authorization": f"Basic {basic}"})
    token = answer.json()["token"]
    assert client.get("/api/v1/backtests", headers={"Authorization": f"Token {token}"}).status_code == 200
