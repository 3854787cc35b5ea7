"""What becomes of questions when the server forgets, refuses, stops or dies."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Limiter, Policy, Reason, Unavailable, connect
from apps.stack import sockets
from apps.stack.child import Service
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import HOUR, asking, new_id, new_limiter
from tests.support import wait_until

TIMEOUT = 0.5


def new_charge(limit: int = 100, algorithm: Algorithm = Algorithm.LOG) -> Charge:
    return Charge(Policy(new_id(), limit, HOUR, algorithm=algorithm), "user:7")


@pytest.fixture
def own() -> Iterator[Valkey]:
    """A server that is the test's alone."""
    with Valkey(durable=False) as running:
        yield running


def reason_of(ask: Callable[[], object]) -> Reason:
    with pytest.raises(Unavailable) as caught:
        ask()
    return caught.value.reason


# Forgetting --------------------------------------------------------------------------------------


def test_a_server_that_forgot_the_scripts_is_told_them_again(limiter: Limiter, client: redis.Redis) -> None:
    charge = new_charge()
    for used in range(1, 4):
        client.script_flush()
        decision = limiter.hit([charge])
        assert (decision.allowed, decision.results[0].used) == (True, used)
        client.script_flush()
        limiter.refund(limiter.hit([charge]))
        assert limiter.stats([charge])[0].used == used


def test_a_server_is_told_a_script_once(limiter: Limiter, client: redis.Redis) -> None:
    client.script_flush()
    limiter.hit([new_charge()])
    client.config_resetstat()
    for _ in range(5):
        limiter.hit([new_charge()])
    stats = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 5
    assert "cmdstat_eval" not in stats


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_server_that_forgot_everything_begins_anew(
    limiter: Limiter, client: redis.Redis, algorithm: Algorithm
) -> None:
    charge = new_charge(3, algorithm)
    version = limiter.publish()
    assert [limiter.hit([charge]).allowed for _ in range(4)] == [True, True, True, False]
    client.flushall()
    told = limiter.hit([charge])
    assert (told.allowed, told.results[0].used, told.version) == (True, 1, "")
    assert limiter.publish() != version


def test_decisions_tell_the_version_of_the_rules(limiter: Limiter) -> None:
    assert limiter.version() == ""
    for _ in range(2):
        version = limiter.publish()
        assert limiter.version() == version
        assert limiter.hit([new_charge()]).version == version


def test_a_key_that_is_nobodys_log_is_an_error_and_no_decision(limiter: Limiter, client: redis.Redis) -> None:
    charge = new_charge()
    client.set(limiter.keys.log(*charge), "x")
    assert reason_of(lambda: limiter.hit([charge])) is Reason.ERROR
    assert limiter.hit([new_charge()]).allowed


# Refusing ----------------------------------------------------------------------------------------


def test_a_replica_takes_no_charges(own: Valkey) -> None:
    limiter = new_limiter(own)
    full, free = new_charge(1), new_charge(5)
    limiter.hit([full])
    limiter.hit([free])
    with asking(own) as client:
        client.execute_command("REPLICAOF", sockets.HOST, 1)
        assert reason_of(lambda: limiter.hit([free])) is Reason.READONLY
        assert reason_of(lambda: limiter.publish()) is Reason.READONLY
        # What can be said without writing is said.
        assert not limiter.hit([full]).allowed
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert limiter.hit([free]).results[0].used == 2


def test_a_connection_to_what_became_a_replica_is_given_up(own: Valkey) -> None:
    """Behind the same address may be another primary since."""
    limiter = new_limiter(own)
    limiter.hit([new_charge()])
    with asking(own) as client:
        client.execute_command("REPLICAOF", sockets.HOST, 1)
        before = client.info("stats")["total_connections_received"]
        assert reason_of(lambda: limiter.hit([new_charge()])) is Reason.READONLY
        client.execute_command("REPLICAOF", "NO", "ONE")
        limiter.hit([new_charge()])
        assert client.info("stats")["total_connections_received"] == before + 1


def test_a_replica_that_lost_its_primary_and_says_nothing_is_away(own: Valkey) -> None:
    limiter = new_limiter(own)
    limiter.hit([new_charge()])
    with asking(own) as client:
        client.config_set("replica-serve-stale-data", "no")
        client.execute_command("REPLICAOF", sockets.HOST, 1)
        assert reason_of(lambda: limiter.hit([new_charge()])) is Reason.CONNECTION
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert limiter.hit([new_charge()]).allowed


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_server_without_memory_charges_none_of_several(own: Valkey, algorithm: Algorithm) -> None:
    limiter = new_limiter(own)
    old, new = new_charge(5, algorithm), new_charge(5, algorithm)
    limiter.hit([old])
    with asking(own) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        for _ in range(2):
            assert reason_of(lambda: limiter.hit([old, new])) is Reason.OOM
        client.config_set("maxmemory", 0)
        assert [one.used for one in limiter.stats([old, new])] == [1, 0]
        assert limiter.hit([old, new]).allowed


@contextmanager
def endless(server: Valkey) -> Iterator[None]:
    """Another's script that does not end, of which the server says so after a millisecond."""
    with asking(server, socket_timeout=None) as runs, asking(server) as client:
        client.config_set("busy-reply-threshold", 1)

        def run() -> None:
            with suppress(redis.ResponseError):
                runs.eval("while true do end", 0)

        thread = Thread(target=run)
        thread.start()

        def busy() -> bool:
            try:
                return not client.ping()
            except redis.ResponseError as exc:
                return "BUSY" in str(exc)

        try:
            wait_until(busy, what="the server to be busy")
            yield
        finally:
            client.script_kill()
            thread.join(60)


def test_a_server_that_is_busy_with_a_script_is_no_answer(own: Valkey) -> None:
    limiter, fresh = new_limiter(own), new_limiter(own)
    charge = new_charge()
    limiter.hit([charge])
    with endless(own):
        assert reason_of(lambda: limiter.hit([charge])) is Reason.BUSY
        assert reason_of(lambda: limiter.reset("user:7", [charge.policy])) is Reason.BUSY
        assert reason_of(lambda: fresh.hit([charge])) is Reason.BUSY
    assert limiter.hit([charge]).results[0].used == 2


class Slow(Valkey):
    """One that takes a millisecond for each key of its file, and answers meanwhile."""

    def _service(self) -> Service:
        service = super()._service()
        own = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
        return replace(service, argv=(*service.argv, *own))


def test_a_server_that_reads_its_file_is_loading() -> None:
    with Slow(durable=False) as own:
        limiter, charge = new_limiter(own), new_charge()
        limiter.hit([charge])
        with asking(own) as client:
            client.mset({f"other:{number}": "x" * 50 for number in range(3000)})
            client.save()
        own.kill()
        own.launch()
        wait_until(lambda: _reason(limiter, charge) is Reason.LOADING, every=0.01)
        own.wait_ready()
        assert limiter.hit([charge]).results[0].used == 2


def _reason(limiter: Limiter, charge: Charge) -> Reason | None:
    try:
        limiter.peek([charge])
    except Unavailable as exc:
        return exc.reason
    return None


# Being away --------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_refused_each_time(own: Valkey) -> None:
    limiter = new_limiter(own)
    limiter.hit([new_charge()])
    own.kill()
    for ask in (
        lambda: limiter.hit([new_charge()]),
        lambda: limiter.peek([new_charge()]),
        lambda: limiter.version(),
        lambda: limiter.reset("user:7", ["minute"]),
        lambda: new_limiter(own).hit([new_charge()]),
    ):
        assert reason_of(ask) is Reason.CONNECTION


def test_a_port_where_nobody_listens_is_no_answer() -> None:
    held = sockets.listen()
    port = sockets.port_of(held)
    held.close()
    limiter = Limiter(connect(f"redis://{sockets.HOST}:{port}/0", timeout=TIMEOUT))
    assert reason_of(lambda: limiter.hit([new_charge()])) is Reason.CONNECTION


def test_a_connection_that_is_held_heals_at_once_when_the_server_is_there_again(own: Valkey) -> None:
    limiter = new_limiter(own)
    charge = new_charge(3)
    limiter.hit([charge])
    own.kill()
    own.start()
    # It was never seen to be away; and it has forgotten all, the script included.
    assert limiter.hit([charge]).results[0].used == 1
    own.kill()
    assert reason_of(lambda: limiter.hit([charge])) is Reason.CONNECTION
    own.start()
    assert limiter.hit([charge]).results[0].used == 1


def test_a_connection_that_the_server_closed_is_replaced_unseen(
    limiter: Limiter, client: redis.Redis
) -> None:
    charge = new_charge()
    for used in range(1, 4):
        assert limiter.hit([charge]).results[0].used == used
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_server_that_has_stopped_is_waited_for_once_and_not_longer(own: Valkey) -> None:
    limiter, fresh = new_limiter(own, timeout=TIMEOUT), new_limiter(own, timeout=TIMEOUT)
    charge = new_charge()
    limiter.hit([charge])
    own.signal(signal.SIGSTOP)
    try:
        for asked in (limiter, limiter, fresh):
            began = time.monotonic()
            assert reason_of(lambda asked=asked: asked.hit([charge])) is Reason.TIMEOUT
            assert time.monotonic() - began < 3 * TIMEOUT
    finally:
        own.signal(signal.SIGCONT)
    # Answers that came too late are nobody's.
    other = new_charge(7)
    told = limiter.hit([other])
    assert (told.allowed, told.results[0].remaining) == (True, 6)


def test_what_the_server_says_is_told_as_it_was(own: Valkey) -> None:
    limiter = new_limiter(own)
    own.kill()
    with pytest.raises(Unavailable, match=r"^connection: ConnectionError: ") as caught:
        limiter.hit([new_charge()])
    assert isinstance(caught.value.__cause__, redis.ConnectionError)
