"""What processes without a web server answer, and when they say that they are not well."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from apps.core import listener
from apps.core.pulse import Pulse
from apps.tasks.polling import polls
from apps.tasks.worker.figures import Health
from tests.support import wait_until


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, to be set forward."""
    now = [time.monotonic()]
    monkeypatch.setattr("apps.core.pulse.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_health_is_told_as_it_stands_when_somebody_asks(settings, clock):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        settings.METRICS_PORT = one.getsockname()[1]
    url = f"http://127.0.0.1:{settings.METRICS_PORT}"

    def ask(path: str, **headers: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    pulse, away = Pulse(30.0), [""]
    listener.listen(SimpleNamespace(trouble=pulse.trouble, hindrance=lambda: away[0]))
    wait_until(lambda: ask("/healthz")[0], what="the listener")
    assert ask("/healthz") == (200, '{"status": "ok"}')
    assert ask("/readyz") == (200, '{"status": "ready"}')
    # A supervisor has nothing to gain from starting it anew.
    away[0] = "SQS is away"
    assert ask("/healthz")[0] == 200
    status, text = ask("/readyz")
    assert (status, json.loads(text)) == (503, {"status": "unready", "reason": "SQS is away"})
    away[0] = ""
    clock[0] += 31
    status, text = ask("/healthz")
    assert (status, json.loads(text)) == (503, {"status": "failing", "reason": "no sign of life for 31 s"})
    assert ask("/readyz")[0] == 503
    pulse.beat()
    assert ask("/healthz")[0] == ask("/readyz")[0] == 200
    assert "chandlery_build_info{" in ask("/metrics")[1]
    settings.METRICS_TOKEN = "a-token"
    assert ask("/metrics")[0] == 401
    assert ask("/metrics", Authorization="Bearer another")[0] == 401
    assert ask("/metrics", Authorization="Bearer a-token")[0] == 200
    assert ask("/healthz")[0] == 200


def test_without_a_port_nothing_listens(settings, monkeypatch):
    monkeypatch.setattr("threading.Thread.start", lambda self: pytest.fail("it listens"))
    settings.METRICS_PORT = 0
    listener.listen(SimpleNamespace())


@pytest.fixture
def agent(clock, monkeypatch):
    """Of a worker whose polls may be silent for half a minute, as its own looks may be."""
    monkeypatch.setattr(polls, "pulse", Pulse(30.0))
    yield SimpleNamespace(pulse=Pulse(30.0), away=False, shutdown=SimpleNamespace(under_way=False))
    polls.forget("q")


def test_a_worker_lives_while_its_agent_looks_and_its_queues_are_polled(agent, clock):
    health = Health(agent, polling=True)
    assert health.trouble() == ""
    clock[0] += 31
    agent.pulse.beat()
    assert health.trouble() == "polls: no sign of life for 31 s"
    assert Health(agent, polling=False).trouble() == ""
    # Whatever is heard will do: that there is no room for messages, an error, or an answer.
    for heard in (
        lambda: polls.waiting("q"),
        lambda: polls.failed("q", OSError("away")),
        lambda: polls.succeeded("q", 0),
    ):
        clock[0] += 31
        agent.pulse.beat()
        heard()
        assert health.trouble() == ""
    clock[0] += 31
    polls.waiting("q")
    assert health.trouble() == "agent: no sign of life for 31 s"


def test_a_worker_that_cannot_receive_lives_and_is_not_ready(agent, clock):
    health = Health(agent, polling=True)
    assert health.hindrance() == ""
    for _ in range(10):
        clock[0] += 29
        agent.pulse.beat()
        polls.failed("q", OSError("away"))
    assert (health.trouble(), health.hindrance()) == ("", "polls fail: q")
    polls.succeeded("q", 0)
    assert health.hindrance() == ""
    agent.away = True
    assert (health.trouble(), health.hindrance()) == ("", "the database is away")
    # What ends polls no more, and its runs may take their time.
    agent.shutdown.under_way = True
    clock[0] += 31
    agent.pulse.beat()
    assert (health.trouble(), health.hindrance()) == ("", "it is ending")
