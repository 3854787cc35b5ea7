"""Held connections: one for each thread and process, and never another's answer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis.connection import AbstractConnection

from apps.ratelimits.limiter import Charge, Limiter, Policy
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import HOUR, new_id, new_limiter
from tests.support import in_child


def new_charge(limit: int = 100_000) -> Charge:
    return Charge(Policy(new_id(), limit, HOUR), "user:7")


def connections(client: redis.Redis) -> int:
    return int(client.info("stats")["total_connections_received"])


# Threads and processes ---------------------------------------------------------------------------


def test_a_thread_keeps_its_connection(limiter: Limiter, client: redis.Redis) -> None:
    before = connections(client)
    for _ in range(20):
        limiter.hit([new_charge()])
        limiter.version()
    assert connections(client) == before + 1


def test_threads_ask_at_once_and_each_gets_its_own_answers(limiter: Limiter, client: redis.Redis) -> None:
    before = connections(client)
    barrier = threading.Barrier(6)
    shared = new_charge(150)

    def ask(own: Charge) -> tuple[list[int], int]:
        barrier.wait(60)
        told = [limiter.hit([own]).results[0] for _ in range(100)]
        assert all((one.policy, one.subject) == own for one in told)
        return [one.used for one in told], sum(limiter.hit([shared]).allowed for _ in range(50))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, [new_charge(1000 + one) for one in range(6)]))
    assert [used for used, _ in found] == [list(range(1, 101))] * 6
    assert sum(allowed for _, allowed in found) == 150
    assert connections(client) == before + 6


def test_a_thread_that_ends_gives_its_connection_up(limiter: Limiter, client: redis.Redis) -> None:
    limiter.hit([new_charge()])
    before = len(client.client_list())
    for _ in range(5):
        thread = threading.Thread(target=limiter.hit, args=([new_charge()],))
        thread.start()
        thread.join(60)
    # The server sees what was closed before the next question of the same client.
    assert len(client.client_list()) <= before + 1


def test_connections_can_be_lost_any_number_of_times(limiter: Limiter, client: redis.Redis) -> None:
    charge = new_charge()
    for used in range(1, 151):
        assert limiter.hit([charge]).results[0].used == used
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_forked_child_has_a_connection_of_its_own(limiter: Limiter, client: redis.Redis) -> None:
    charge = new_charge()
    limiter.hit([charge])
    before = connections(client)

    def ask() -> bool:
        return [limiter.hit([charge]).results[0].used for _ in range(3)] == [2, 3, 4]

    assert in_child(ask) == 0
    # The child's end did not close the parent's.
    assert limiter.hit([charge]).results[0].used == 5
    assert connections(client) == before + 1


def test_a_fork_between_question_and_answer_leaves_the_answer_to_the_parent(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge, other = new_charge(), new_charge(9)
    limiter.hit([charge])
    statuses: list[int] = []

    def fork() -> None:
        statuses.append(in_child(lambda: limiter.hit([other]).results[0].remaining == 8))

    with between(fork, monkeypatch):
        told = limiter.hit([charge])
    assert statuses == [0]
    assert (told.results[0].policy, told.results[0].used) == (charge.policy, 2)
    assert limiter.hit([charge]).results[0].used == 3
    assert limiter.stats([other])[0].used == 1


# Interruptions -----------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As what a signal's handler raises, such as a worker's time limit."""


@contextmanager
def between(do: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do it once, when the next question has been sent and its answer was not yet read."""
    real = AbstractConnection.read_response

    def first(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(AbstractConnection, "read_response", real)
        do()
        return real(*args, **options)

    monkeypatch.setattr(AbstractConnection, "read_response", first)
    yield
    assert AbstractConnection.read_response is real


@contextmanager
def handling(handler: Callable[..., Any]) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_who_was_interrupted_reads_no_answer_of_before(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge, other = new_charge(50), new_charge(9)
    limiter.hit([charge])

    def interrupt(*_: object) -> None:
        raise Interrupted

    with (
        handling(interrupt),
        between(lambda: signal.raise_signal(signal.SIGUSR1), monkeypatch),
        pytest.raises(Interrupted),
    ):
        limiter.hit([charge])
    told = limiter.hit([other]).results[0]
    assert (told.policy, told.used, told.remaining) == (other.policy, 1, 8)
    # It was sent, and counts.
    assert limiter.stats([charge])[0].used == 2


def test_who_asks_while_another_question_is_open_gets_its_own_answer(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a handler of a signal does, in the same thread."""
    charge, other = new_charge(50), new_charge(9)
    limiter.hit([charge])
    inner: list[int] = []

    def ask(*_: object) -> None:
        inner.append(limiter.hit([other]).results[0].remaining)

    with handling(ask), between(lambda: signal.raise_signal(signal.SIGUSR1), monkeypatch):
        told = limiter.hit([charge]).results[0]
    assert (told.policy, told.remaining) == (charge.policy, 48)
    assert inner == [8]
    assert limiter.hit([other]).results[0].remaining == 7


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interruptions_at_any_time_never_desynchronise(server: Valkey) -> None:
    """A timer interrupts wherever the thread is just then."""
    limiter = new_limiter(server)
    charges = [new_charge(50_000 + number) for number in range(40)]
    interrupted = answered = 0

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1500):
            charge = charges[number % 40]
            try:
                # Longer and longer, from before the question is sent to after the answer is read.
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + (number % 60) * 5e-6)
                try:
                    told = limiter.hit([charge])
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupted += 1
                continue
            answered += 1
            [result] = told.results
            assert result.used + result.remaining == charge.policy.limit
            assert 1 <= result.used <= 1500 / 40 + 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 10
    assert limiter.hit([new_charge(3)]).results[0].remaining == 2
    assert answered + interrupted == 1500
