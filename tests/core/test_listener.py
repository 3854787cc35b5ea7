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
from apps.tasks.usage import usage
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

    pulse = Pulse(30.0)
    listener.listen(pulse.trouble)
    wait_until(lambda: ask("/healthz")[0], what="the listener")
    assert ask("/healthz") == (200, '{"status": "ok"}')
    clock[0] += 31
    status, text = ask("/healthz")
    assert (status, json.loads(text)) == (503, {"status": "failing", "reason": "no sign of life for 31 s"})
    pulse.beat()
    assert ask("/healthz")[0] == 200
    assert "chandlery_build_info{" in ask("/metrics")[1]
    settings.METRICS_TOKEN = "a-token"
    assert ask("/metrics")[0] == 401
    assert ask("/metrics", Authorization="Bearer another")[0] == 401
    assert ask("/metrics", Authorization="Bearer a-token")[0] == 200
    assert ask("/healthz")[0] == 200


def test_without_a_port_nothing_listens(settings, monkeypatch):
    monkeypatch.setattr("threading.Thread.start", lambda self: pytest.fail("it listens"))
    settings.METRICS_PORT = 0
    listener.listen(lambda: "")


def test_a_worker_is_well_while_its_agent_looks_its_queues_are_polled_and_its_watchdog_is_content(
    clock, monkeypatch
):
    agent = SimpleNamespace(pulse=Pulse(30.0))
    monkeypatch.setattr(polls, "pulse", Pulse(30.0))
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
    polls.forget("q")
    clock[0] += 31
    polls.waiting("q")
    assert health.trouble() == "agent: no sign of life for 31 s"
    agent.pulse.beat()
    usage.note(trouble="no poll was answered for 120 s")
    assert health.trouble() == "no poll was answered for 120 s"
    usage.note(trouble=None)
    assert health.trouble() == ""
    polls.forget("q")
