"""Errors reach clients as problem+json, whoever raises them."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.test import Client
from django.utils.html import escape

from apps.core import context, problems
from apps.core.problems import CONTENT_TYPE, TITLES
from apps.core.problemtypes import PROBLEM_TYPES
from apps.webhooks.codes import CODES

pytestmark = pytest.mark.django_db

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def assert_problem(response, status: int, name: str) -> dict:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"/problems/{name}"
    assert body["title"] == TITLES[name]
    assert body["detail"]
    assert body["request_id"] == response["X-Request-ID"]
    return body


def test_an_address_that_does_not_exist(client: Client):
    assert "/api/v1/nothing" in assert_problem(client.get("/api/v1/nothing"), 404, "not-found")["detail"]


def test_a_problem_needs_nobody_to_know_who_asks(client: Client, new_user, django_assert_num_queries):
    client.force_login(new_user())
    with django_assert_num_queries(0):
        assert_problem(client.get("/api/v1/nothing"), 404, "not-found")


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


def test_every_type_is_an_address_that_says_what_to_do(client: Client):
    listed = client.get("/problems/", headers={"Accept": "application/json"}).json()
    assert [one["name"] for one in listed] == list(TITLES)
    page = client.get("/problems/").content.decode()
    for one in listed:
        assert f'href="{one["type"]}"' in page
        assert client.get(one["type"], headers={"Accept": "application/json"}).json() == one
        shown = client.get(one["type"], headers={"Accept": BROWSER})
        assert shown["Content-Type"].startswith("text/html")
        for text in (one["title"], *one["meaning"].split("`")[::2], *one["remedy"].split("`")[::2]):
            assert escape(text) in shown.content.decode()
    assert_problem(client.get("/problems/nothing"), 404, "not-found")
    assert client.post("/problems/").status_code == 405


def test_the_statuses_of_problems_are_those_that_are_answered():
    for code in CODES.values():
        assert code.status in PROBLEM_TYPES[code.problem].statuses
    for status, name in problems._BY_STATUS.items():
        assert status in PROBLEM_TYPES[name].statuses


def test_people_get_pages_and_programs_get_problems(client: Client, admin_user, monkeypatch):
    strict = Client(raise_request_exception=False, enforce_csrf_checks=True)
    strict.force_login(admin_user)
    with monkeypatch.context() as patch:
        patch.setattr("apps.backtests.report.access.visible", lambda **_: 1 / 0)
        broken = f"/backtests/{UUID(int=1)}"
        asked = [
            (404, strict.get, "/nothing"), (403, strict.post, "/admin/logout/"), (500, strict.get, broken),
        ]  # fmt: skip
        for status, ask, address in asked:
            page = ask(address, headers={"Accept": BROWSER})
            text = page.content.decode()
            assert (page.status_code, page["Content-Type"].partition(";")[0]) == (status, "text/html")
            assert page["X-Request-ID"] in text
            assert "division" not in text
            assert "<style" not in text
            assert "style=" not in text
            for accept in ("application/json", "*/*", "image/png"):
                told = ask(address, headers={"Accept": accept})
                assert (told.status_code, told["Content-Type"]) == (status, CONTENT_TYPE)
                assert "Accept" in told["Vary"]
    assert_problem(client.get("/api/nothing", headers={"Accept": BROWSER}), 404, "not-found")
    assert_problem(client.get("/api/v1/orders", headers={"Accept": BROWSER}), 401, "not-authenticated")


def test_a_body_that_is_too_large(admin_client: Client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = admin_client.post(
            "/api/v1/strategies/check", {"strategy": "x" * 100}, "application/json", headers=headers
        )
        assert_problem(answer, 413, "content-too-large")


def test_more_parameters_than_anybody_has(admin_client: Client):
    query = "&".join(f"p{number}=1" for number in range(1100))
    assert_problem(admin_client.get(f"/api/v1/orders?{query}"), 400, "invalid-request")


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
