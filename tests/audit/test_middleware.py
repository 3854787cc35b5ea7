"""Every write over HTTP that reached a view is told of once, with its outcome and without its values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import include, path
from rest_framework.parsers import JSONParser
from rest_framework.response import Response

from apps.audit import recording
from apps.audit.middleware import AuditMiddleware
from apps.core.views import ApiView
from apps.identity.models import ApiKey
from project.urls import urlpatterns as product
from tests.audit.chaining import findings, waiting, written

SECRET = "s3cr3t-VALUE"


class Echo(ApiView):
    parser_classes = [JSONParser]

    def post(self, request: Any, thing_id: int) -> Response:
        status = request.data.get("status", 200)
        if status == 1:
            raise RuntimeError("broken")
        return Response({}, status)

    put = patch = delete = get = post


class RolledBack(ApiView):
    def post(self, request: Any) -> Response:
        with transaction.atomic():
            get_user_model().objects.create(username="nobody")
            transaction.set_rollback(True)
        return Response({}, 409)


urlpatterns = [
    path("api/v1/echo/<int:thing_id>", Echo.as_view(), name="echo"),
    path("api/v1/rolled-back", RolledBack.as_view(), name="rolled-back"),
    path("webhooks/x", lambda request: HttpResponse(), name="hook"),
    path("api/v1/plain", lambda request: JsonResponse({}), name="plain"),
    path("", include(product)),
]


@pytest.fixture
def api(chain, settings, client, django_user_model) -> Client:
    """A client with the token of an ordinary user."""
    settings.ROOT_URLCONF = __name__
    user = django_user_model.objects.create_user("ann", password="x")
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {ApiKey.objects.create(user)[1]}"
    client.user = user
    client.raise_request_exception = False
    return client


def test_which_requests_are_told_of_and_how_they_ended(api):
    def send(method: str, address: str, status: int | None = None) -> list[tuple[str, str, str]]:
        before = len(waiting())
        body = {"status": status} if status else {}
        api.generic(method, address, json.dumps(body), content_type="application/json")
        return [(one["action"], one["outcome"], one["object_id"]) for one in waiting()[before:]]

    echo = "/api/v1/echo/7"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert send(method, echo, 200) == [("api.write", "succeeded", "7")], method
    for status, outcome in {
        201: "succeeded", 204: "succeeded", 303: "succeeded", 400: "refused", 403: "refused", 404: "refused",
        409: "refused", 429: "refused", 500: "failed", 503: "failed", 1: "failed",
    }.items():  # fmt: skip
        assert send("POST", echo, status) == [("api.write", outcome, "7")], status
    assert send("TRACE", echo) == []
    for address in ("/api/v1/nothing", "/webhooks/x", "/healthz", "/api/v1/auth/login", "/udf/time"):
        assert send("POST", address) == [], address
    for method in ("GET", "HEAD", "OPTIONS"):
        assert send(method, echo) == [], method


def test_an_entry_says_who_what_and_from_where_and_never_the_values(api):
    body = {"status": 202, "api_key": SECRET, "note": "text"}
    answer = api.post(
        "/api/v1/echo/7?verbose=1", body, content_type="application/json", REMOTE_ADDR="192.0.2.7",
        headers={"User-Agent": "curl/8", "X-Request-ID": "request-1"},
    )  # fmt: skip
    assert answer.status_code == 202
    (row,) = written()
    assert row.detail == {
        "method": "POST", "route": "echo", "path": "/api/v1/echo/7", "status": 202,
        "fields": ["status", "api_key", "note"],
    }  # fmt: skip
    assert (row.actor, row.address, row.user_agent) == (f"user:{api.user.pk}", "192.0.2.7", "curl/8")
    assert (row.object_type, row.object_id) == ("thing", "7")
    assert (row.request_id, row.correlation_id) == ("request-1", "request-1")
    assert findings() == []


def test_who_is_not_known_or_may_not_is_refused(api, client):
    del api.defaults["HTTP_AUTHORIZATION"]
    assert api.post("/api/v1/echo/7", {}, content_type="application/json").status_code == 401
    (told,) = waiting()
    assert (told["outcome"], told["actor"], told["detail"]["status"]) == ("refused", "", 401)
    assert "fields" not in told["detail"]


def test_bodies_that_are_no_objects_or_cannot_be_read_are_told_of_all_the_same(api):
    for body in ("[1, 2]", "{not json", '"text"', json.dumps({f"f{number}": 1 for number in range(60)})):
        api.post("/api/v1/echo/7", body, content_type="application/json")
    told = waiting()
    assert [one["outcome"] for one in told] == ["failed", "refused", "failed", "succeeded"]
    assert ["fields" in one["detail"] for one in told] == [False, False, False, True]
    assert len(told[3]["detail"]["fields"]) == 51
    assert told[3]["detail"]["fields"][-1] == "… 10 more"


def test_a_write_that_was_rolled_back_is_told_of(api):
    assert api.post("/api/v1/rolled-back").status_code == 409
    (told,) = waiting()
    assert told["outcome"] == "refused"
    assert not get_user_model().objects.filter(username="nobody").exists()


def test_a_token_in_an_address_is_not_told(api):
    assert api.post(f"/api/v1/shared/backtests/{SECRET}").status_code == 405
    (told,) = waiting()
    assert (told["detail"]["path"], told["object_id"]) == ("/api/v1/shared/backtests/***", "***")
    assert SECRET not in json.dumps(told)


def test_beats_of_workers_are_not_told_of(api):
    assert api.post("/api/v1/workers/heartbeat", {}, content_type="application/json").status_code < 500
    assert waiting() == []


def test_an_answer_stays_as_it_is_where_no_entry_can_be_made(api, monkeypatch, caplog):
    def away(**payload: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(recording.write_entries, "put", away)
    count = recording.UNRECORDED.metric._value.get()
    assert api.post("/api/v1/echo/7", {"status": 201}, content_type="application/json").status_code == 201
    assert recording.UNRECORDED.metric._value.get() == count + 1
    assert "/api/v1/echo/7" in caplog.text
    assert "away" in caplog.text


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_who_acts_is_not_asked_of_a_database_that_is_away(api, monkeypatch, caplog, error):
    """Where the session cannot be read, the answer stays as it is, and the entry names nobody."""

    def away(self: object) -> None:
        raise error("away")

    del api.defaults["HTTP_AUTHORIZATION"]
    api.force_login(api.user)
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", away)
    assert api.post("/api/v1/plain").status_code == 200
    assert "who made the request /api/v1/plain cannot be found out" in caplog.text
    assert "no audit entry could be made" in caplog.text


def test_forms_of_the_admin_are_told_of_with_action_and_number_of_rows(
    chain, admin_client, django_user_model
):
    users = [django_user_model.objects.create_user(f"user{number}") for number in range(3)]
    address = "/admin/auth/user/"
    admin_client.post(
        address,
        {"action": "delete_selected", "_selected_action": [user.pk for user in users], "index": "0"},
    )
    admin_client.post(
        address, {"action": "delete_selected", "_selected_action": [users[0].pk], "select_across": "1"}
    )
    changed = admin_client.post(f"{address}{users[0].pk}/change/", {"username": "", "email": SECRET})
    assert changed.status_code == 200
    one, every, wrong = waiting()
    assert (one["action"], one["outcome"], one["object_type"]) == ("admin.write", "succeeded", "auth.user")
    assert (one["detail"]["action"], one["detail"]["selected"]) == ("delete_selected", 3)
    assert one["detail"]["fields"] == ["action"]
    assert every["detail"]["selected"] == "all"
    assert (wrong["outcome"], wrong["object_type"], wrong["object_id"]) == (
        "refused",
        "auth.user",
        str(users[0].pk),
    )
    assert wrong["detail"]["fields"] == ["username", "email"]
    assert SECRET not in json.dumps(waiting())
    assert one["actor"].startswith("user:")


def test_forms_of_the_admin_that_strangers_send_are_refused(chain, client):
    assert client.post("/admin/auth/user/add/", {"username": "eve"}).status_code == 302
    (told,) = waiting()
    assert (told["outcome"], told["actor"], told["object_type"]) == ("refused", "", "auth.user")
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/admin/auth/user/add/", {"username": "eve"}).status_code == 403
    assert waiting()[1]["outcome"] == "refused"


def test_a_form_that_cannot_be_read_is_told_of_and_the_answer_stays_as_it_is(chain, admin_user):
    form = "application/x-www-form-urlencoded"
    for strict, body, kind, status in (
        # Refused without a look at the form, which is too large.
        (True, "name=" + "x" * 3_000_000, form, 403),
        (False, "name=" + "x" * 3_000_000, form, 413),
        (False, "&".join(f"f{number}=1" for number in range(1500)), form, 400),
        (False, "name=x", f"{form}; charset=latin-1", 400),
        (False, "name=x", "multipart/form-data", 400),
    ):
        client = Client(enforce_csrf_checks=strict, raise_request_exception=False)
        client.force_login(admin_user)
        before = len(waiting())
        assert client.generic("POST", "/admin/auth/group/add/", body, kind).status_code == status
        (told,) = waiting()[before:]
        assert (told["outcome"], told["detail"]["status"], told["detail"]["fields"]) == (
            "refused",
            status,
            [],
        )


def test_the_middleware_stands_behind_the_authentication_and_before_what_may_refuse(settings):
    order = settings.MIDDLEWARE
    place = order.index(f"{AuditMiddleware.__module__}.{AuditMiddleware.__name__}")
    assert place > order.index("django.contrib.auth.middleware.AuthenticationMiddleware")
    assert place < order.index("apps.liveness.middleware.WorkerTokenMiddleware")
