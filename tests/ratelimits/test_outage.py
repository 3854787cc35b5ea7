"""Redis is away: what each group has for that, what it costs, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.test import Client

from apps.ratelimits import selectors
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.limiter import Reason, Unavailable
from apps.stack.testing import Valkey
from tests.ratelimits.requesting import by_address, by_user, group, left, statuses
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("private_redis", "limited")

OPEN = group("default", {"address": by_address("2/m")})
CLOSED = group("default", {"address": by_address("2/m")}, outage="closed")
LOCAL = group("default", {"address": by_address("2/m"), "user": by_user("1/m")}, outage="local")


@contextmanager
def stopped(server: Valkey) -> Iterator[None]:
    """It takes connections and requests, and does nothing."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_an_open_group_serves_everybody(private_redis, limited):
    limited(OPEN)
    client = Client()
    private_redis.kill()
    assert statuses(client, "/plain", 5) == [200] * 5
    assert "RateLimit" not in client.get("/plain").headers


def test_a_closed_group_serves_nobody_and_says_when_to_come_back(private_redis, limited):
    limited(CLOSED)
    private_redis.kill()
    answer = Client().get("/plain")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(answer.content)["type"] == "/problems/unavailable"


def test_a_local_group_counts_in_the_process(private_redis, limited, new_user):
    limited(LOCAL)
    private_redis.kill()
    assert left(Client().get("/plain")) == {"default/address": 1}
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.force_login(new_user())
    assert statuses(client, "/who", 3) == [200, 429, 429]
    # Who was denied for the user was not counted to the address.
    assert left(Client(REMOTE_ADDR="192.0.2.1").get("/plain")) == {"default/address": 0}


def test_credentials_that_are_refused_are_counted_in_the_process(private_redis, limited):
    limited(group("default", {"failures": by_address("1/m", failures=True)}, outage="local"))
    private_redis.kill()
    answers = [
        Client().get("/closed", HTTP_AUTHORIZATION=f"Token {number:064x}").status_code for number in range(3)
    ]
    assert answers == [401, 429, 429]


def test_processes_share_a_limit_that_each_counts_by_itself(private_redis, limited, settings):
    settings.RATELIMITS_PROCESSES = 4
    limited(group("default", {"address": by_address("8/m")}, outage="local"))
    private_redis.kill()
    assert statuses(Client(), "/plain", 3) == [200, 200, 429]


def test_a_denial_that_is_known_holds_without_redis(private_redis, limited):
    limited(OPEN)
    client = Client()
    assert statuses(client, "/plain", 3) == [200, 200, 429]
    private_redis.kill()
    assert client.get("/plain").status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.1").get("/plain").status_code == 200


def test_a_redis_that_stalls_is_waited_for_by_one_request_and_by_no_other(
    private_redis, limited, settings, monkeypatch: pytest.MonkeyPatch
):
    """How long that takes is measured by ``manage.py bench ratelimits``."""
    settings.RATELIMITS_TIMEOUT = 0.5
    limited(OPEN)
    client = Client()
    assert client.get("/plain").status_code == 200
    limits = engine()
    # So that nothing but the requests asks.
    limits.keeper.stop()
    asked = []
    inherited = limits.limiter.hit

    def hit(*arguments):
        asked.append(arguments)
        return inherited(*arguments)

    monkeypatch.setattr(limits.limiter, "hit", hit)
    with stopped(private_redis):
        assert statuses(client, "/plain", 20) == [200] * 20
    assert len(asked) == 1
    failure = limits.breaker.failure
    assert failure is not None
    assert failure.reason is Reason.TIMEOUT


def test_redis_is_found_again_beside_the_requests(private_redis, limited):
    limited(OPEN)
    client = Client()
    client.get("/plain")
    limits = engine()
    with stopped(private_redis):
        limits.breaker.open(Unavailable(Reason.TIMEOUT))
        client.get("/plain")
        assert limits.breaker.failure is not None
    # Its thread, not a request, has closed it.
    wait_until(lambda: limits.breaker.failure is None, seconds=30, what="the keeper to find Redis")
    # What was charged before is still there.
    assert left(client.get("/plain")) == {"default/address": 0}


def test_what_happened_without_redis_is_counted_once_it_is_back(private_redis, limited):
    limited(OPEN)
    limits = engine()
    limits.keeper.stop()
    private_redis.kill()
    client = Client()
    statuses(client, "/plain", 4)
    with pytest.raises(Unavailable):
        selectors.counts()
    limits.look_after()
    private_redis.start()
    limits.look_after()
    counted = {(one.kind, one.labels): one.count for one in selectors.counts()}
    assert counted["outages", ("default", "open")] == 4
    assert ("decisions", ("default", "allowed")) not in counted
    assert counted["failures", ("connection",)] == 1
    assert left(client.get("/plain")) == {"default/address": 1}


def test_a_server_that_cannot_write_is_away(private_redis, limited):
    limited(CLOSED)
    client = Client()
    assert client.get("/plain").status_code == 200
    command = engine().limiter.transport.command
    command("CONFIG", b"SET", b"maxmemory", b"1")
    assert client.get("/plain").status_code == 503
    failure = engine().breaker.failure
    assert failure is not None
    assert failure.reason is Reason.OOM
    # As long as that is so, it is not taken to be back.
    engine().look_after()
    assert client.get("/plain").status_code == 503
    command("CONFIG", b"SET", b"maxmemory", b"0")
    engine().look_after()
    assert left(client.get("/plain")) == {"default/address": 0}


def test_scripts_that_a_server_forgot_are_told_it_again(private_redis, limited):
    limited(OPEN)
    client = Client()
    client.get("/plain")
    engine().limiter.transport.command("SCRIPT", b"FLUSH")
    assert left(client.get("/plain")) == {"default/address": 0}


def test_engines_are_made_anew_for_other_settings_and_otherwise_not(limited, settings):
    before = engine()
    assert engine() is before
    settings.RATELIMITS_PROCESSES = 3
    after = engine()
    assert after is not before
    assert isinstance(after, Engine)
    assert after.local is not before.local
