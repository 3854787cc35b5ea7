"""What is told of requests."""

from __future__ import annotations

import logging
import secrets
import threading
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client
from django.utils.module_loading import import_string

from apps.core.access import DURATION, IN_PROGRESS, REQUESTS, AccessMiddleware
from apps.core.ids import uuid7

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture):
    """What the lines since then say of requests."""
    caplog.set_level(logging.INFO, "apps.core.access")

    def lines() -> list[dict[str, Any]]:
        found = [vars(one) for one in caplog.records if one.name == "apps.core.access"]
        caplog.clear()
        return [{"level": one["levelname"], **one["fields"]} for one in found]

    return lines


def test_a_request_has_one_line_whose_level_is_that_of_its_status(client, told, new_user):
    client.get("/charts/?q=not-told", headers={"X-Request-ID": "abcdefgh"}, REMOTE_ADDR="192.0.2.7")
    (line,) = told()
    assert line.pop("duration_ms") > 0
    assert line.pop("bytes") > 100
    assert line == {
        "level": "INFO", "method": "GET", "route": "charts", "path": "/charts/", "status": 200,
        "address": "192.0.2.7", "user": None,
    }  # fmt: skip
    client.get("/nowhere")
    assert [(one["level"], one["route"], one["status"]) for one in told()] == [("WARNING", "none", 404)]
    user = new_user()
    client.force_login(user)
    client.get("/api/v1/tasks")
    assert [(one["user"], one["route"]) for one in told()] == [(user.pk, "task-list")]


def test_a_request_that_fails_is_an_error_and_is_counted(client, told, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("apps.core.views.reverse", lambda *_, **__: 1 / 0)
    assert client.get("/api/v1/").status_code == 500
    assert [(one["level"], one["status"]) for one in told()] == [("ERROR", 500)]
    assert REQUESTS.of("GET", "root", "500")._value.get() >= 1


def test_what_a_route_calls_a_token_is_masked(client, told):
    client.get("/backtests/shared/this-is-secret/report.json")
    assert [one["path"] for one in told()] == ["/backtests/shared/***/report.json"]


@pytest.mark.parametrize(
    "path",
    [
        "/backtests/shared/{}/", "/backtests/shared/{}/report.jsn", "/backtest/shared/{}", "/{}",
        "/api/v1/shared/backtests/{}/trade", "/notifications/unsubscribe/{}/", "/webhooks/tradingvew/{}",
    ],
)  # fmt: skip
def test_a_token_in_an_address_that_there_is_not_is_masked_and_an_id_is_not(client, told, path):
    token = secrets.token_urlsafe(32)
    assert client.get(path.format(token)).status_code == 404
    assert [one["path"] for one in told()] == [path.format("***")]
    assert client.get(f"/nowhere/{(one := uuid7())}").status_code == 404
    assert [line["path"] for line in told()] == [f"/nowhere/{one}"]


def test_a_token_is_masked_where_django_tells_of_a_failure(client, monkeypatch):
    (console,) = (one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)
    shown, token = StringIO(), secrets.token_urlsafe(32)
    monkeypatch.setattr("apps.backtests.report.views._shared", lambda *_, **__: 1 / 0)
    client.raise_request_exception = False
    before = console.setStream(shown)
    # As Django's own handlers do, this one comes before ours.
    own = logging.StreamHandler(shown)
    logging.getLogger("django").addHandler(own)
    try:
        assert client.get(f"/backtests/shared/{token}").status_code == 500
    finally:
        console.setStream(before)
        logging.getLogger("django").removeHandler(own)
    assert shown.getvalue().count("Internal Server Error: /backtests/shared/***") == 2
    assert token not in shown.getvalue()


def test_a_token_is_masked_of_a_request_that_is_led_nowhere(client, told, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/backtests/shared/this-is-secret").status_code == 301
    assert [(one["path"], one["route"]) for one in told()] == [("/backtests/shared/***", "none")]


def test_what_is_asked_every_few_seconds_is_counted_and_not_logged(client, told, settings):
    before = REQUESTS.of("GET", "healthz", "200")._value.get()
    client.get("/healthz")
    client.get("/static/no-such-file.css")
    client.get("/metrics")
    assert told() == []
    assert REQUESTS.of("GET", "healthz", "200")._value.get() == before + 1


def test_labels_are_bounded_whatever_is_sent(client, told):
    client.generic("BREW", "/api/v1/tasks/1234")
    client.get("/some/very/special/path")
    labels = {sample.labels["route"] for metric in REQUESTS.metric.collect() for sample in metric.samples}
    assert not any("special" in label or "1234" in label for label in labels)
    assert REQUESTS.of("other", "none", "404")._value.get() >= 1
    assert IN_PROGRESS.metric._value.get() == 0
    counts = {
        sample.labels["route"]: sample.value
        for metric in DURATION.metric.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    }
    assert counts["none"] >= 1


def test_a_request_that_is_refused_at_the_door_has_its_line_and_its_id(told, settings):
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_DENY = ["192.0.2.0/24"]
    response = Client().get("/api/v1/", REMOTE_ADDR="192.0.2.7", headers={"X-Request-ID": "abcdefgh"})
    assert response.status_code == 403
    assert response["X-Request-ID"] == response.json()["request_id"] == "abcdefgh"
    assert [(one["status"], one["route"]) for one in told()] == [(403, "none")]


def test_coroutines_are_told_of_without_changing_threads(told):
    threads, fails = [], []

    async def rest(request: Any) -> HttpResponse:
        threads.append(threading.get_ident())
        if fails:
            raise ZeroDivisionError
        return HttpResponse("rest", status=503)

    async def ask() -> tuple[HttpResponse, int]:
        request = AsyncRequestFactory().get("/nowhere")
        return await AccessMiddleware(rest)(request), threading.get_ident()

    answer, thread = async_to_sync(ask)()
    assert (answer.content, threads) == (b"rest", [thread])
    assert [(one["level"], one["status"], one["path"]) for one in told()] == [("ERROR", 503, "/nowhere")]
    assert REQUESTS.of("GET", "none", "503")._value.get() >= 1
    fails.append(True)
    with pytest.raises(ZeroDivisionError):
        async_to_sync(ask)()
    assert IN_PROGRESS.metric._value.get() == 0


def test_asgi_hands_no_request_to_a_thread_before_its_middleware_needs_one():
    """Those up to the limits fit into a stack of coroutines as they are."""
    before = settings.MIDDLEWARE[
        : settings.MIDDLEWARE.index("apps.ratelimits.middleware.RateLimitMiddleware")
    ]
    ours = [import_string(name) for name in before if name.startswith("apps.")]
    assert AccessMiddleware in ours
    assert [kind for kind in ours if not getattr(kind, "async_capable", False)] == []
