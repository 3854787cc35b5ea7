"""``/healthz`` and ``/readyz`` tell the truth, cheaply, to who knows no more than an address."""

from __future__ import annotations

import json
import time
from threading import Event, Thread
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client

from apps.core import health
from apps.core.readiness import Probe, Readiness, Status, Watched, ask_database, ask_migrations
from apps.liveness import redis
from apps.tasks import queues


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Readiness:
    """The product's probes, with nothing known yet."""
    fresh = Readiness(one.probe for one in health.readiness._watched)
    monkeypatch.setattr(health, "readiness", fresh)
    return fresh


def asked(path: str = "/readyz", **headers: str) -> tuple[int, dict[str, Any]]:
    # By an address, without TLS: nothing else in the stack would serve this.
    answer = Client(headers={"Host": "10.1.2.3:8000", **headers}).get(path)
    return answer.status_code, json.loads(answer.content)


@pytest.fixture
def strict(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["a.example"]
    settings.SECURE_SSL_REDIRECT = True
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_DENY = ["127.0.0.0/8"]


def test_a_process_that_has_everything_is_ready(committed, own_queues, ready, strict):
    assert asked("/healthz") == (200, {"status": "ok"})
    names = ["database", "migrations", "redis", "sqs"]
    assert asked() == (200, {"status": "ready", "checks": dict.fromkeys(names, "ok")})
    head = Client().head("/readyz", secure=True)
    assert (head.status_code, head["Cache-Control"]) == (200, "no-store")
    assert int(head["Content-Length"]) > 0
    assert "X-Request-ID" in head.headers
    assert Client().post("/readyz", secure=True).status_code == 405


def test_without_redis_and_sqs_it_serves_and_says_so(committed, own_queues, ready, strict, settings, caplog):
    settings.REDIS_URL = "redis://user:hidden@127.0.0.1:1/0"
    settings.SQS_ENDPOINT_URL = "http://127.0.0.1:1"
    settings.METRICS_TOKEN = "scraper"
    queues.forget_urls()
    with caplog.at_level("WARNING"):
        code, told = asked()
        again = asked(Authorization="Bearer scraper")[1]
    assert (code, told["status"]) == (200, "degraded")
    assert told["checks"] == {"database": "ok", "migrations": "ok", "redis": "failed", "sqs": "failed"}
    assert set(told) == {"status", "checks"}
    # Those who may know are told why, and the log is, once; passwords are nobody's business.
    assert set(again["faults"]) == {"redis", "sqs"}
    assert "ConnectionError" in again["faults"]["redis"]
    assert [record.name for record in caplog.records].count("apps.core.readiness") == 1
    assert "hidden" not in caplog.text + json.dumps(again)


def test_without_its_database_it_is_not_ready(ready, committed, strict, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["default"], "PORT", "1")
        code, told = asked()
    assert (code, told["status"]) == (503, "unready")
    assert (told["checks"]["database"], told["checks"]["migrations"]) == ("failed", "failed")
    assert asked("/healthz")[0] == 200


@pytest.mark.django_db
def test_a_database_that_is_older_than_the_code_is_not_migrated():
    ask_migrations()
    MigrationRecorder.Migration.objects.filter(app="audit").delete()
    with pytest.raises(Exception, match=r"not applied, the first: audit\.0001"):
        ask_migrations()


def test_who_asks_often_costs_one_question_and_who_hangs_is_not_asked_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("apps.core.readiness.time.monotonic", lambda: now[0])
    asked, going_on = [], Event()

    def hang() -> None:
        asked.append("hangs")
        going_on.wait(60)

    lasting = Probe(name="lasting", ask=lambda: asked.append("lasting"), essential=True, holds=10.0)
    hanging = Probe(name="hanging", ask=hang, essential=False, timeout=0.0)
    readiness = Readiness([lasting, hanging])
    first = readiness.report()
    assert (first.status, first.faults["hanging"]) == (Status.DEGRADED, "no answer within 0 s")
    assert readiness.report() is first
    now[0] += 1.5
    # Neither is asked: one answer still holds, the other is still waited for.
    assert readiness.report().status is Status.DEGRADED
    assert sorted(asked) == ["hangs", "lasting"]
    going_on.set()


def test_a_probe_for_which_there_was_no_thread_failed_and_is_asked_again(monkeypatch):
    watched = Watched(Probe(name="any", ask=lambda: None, essential=True, timeout=60.0))

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        watched.begin()
    assert watched.end(time.monotonic()) == "can't start new thread"
    watched.begin()
    assert watched.end(time.monotonic()) == ""


def test_who_comes_while_another_asks_is_told_what_was_known(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("apps.core.readiness.time.monotonic", lambda: now[0])
    asking, going_on = Event(), Event()
    going_on.set()

    def ask() -> None:
        asking.set()
        going_on.wait(60)

    readiness = Readiness([Probe(name="slow", ask=ask, essential=True, timeout=60.0)])
    first = readiness.report()
    now[0] += 1.5
    asking.clear()
    going_on.clear()
    other = Thread(target=readiness.report)
    other.start()
    assert asking.wait(60)
    assert readiness.report() is first
    going_on.set()
    other.join(60)
    assert readiness.report() is not first


def test_coroutines_are_not_kept_waiting(ready, monkeypatch):
    async def rest(request: Any) -> HttpResponse:
        return HttpResponse("rest")

    middleware = health.HealthMiddleware(rest)
    make = AsyncRequestFactory().get
    ready._watched.clear()
    answers = [async_to_sync(middleware)(make(path)) for path in ("/healthz", "/readyz", "/other")]
    assert [json.loads(one.content)["status"] for one in answers[:2]] == ["ok", "ready"]
    assert answers[2].content == b"rest"


def test_each_probe_asks_the_server_it_is_named_after(committed, own_queues):
    for ask in (ask_database, redis.ping, queues.ping):
        ask()
