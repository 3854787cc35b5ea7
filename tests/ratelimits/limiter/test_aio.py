"""Limits for coroutines: one connection for each loop, whatever becomes of those who wait on it."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from apps.ratelimits.limiter import Charge, Policy, Reason, Unavailable
from apps.ratelimits.limiter.aio import AsyncLimiter, MultiplexedTransport, connect_async
from apps.stack import sockets
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import HOUR, asking, new_id, new_limiter
from tests.support import wait_until

TIMEOUT = 0.5


def new_charge(limit: int = 100_000) -> Charge:
    return Charge(Policy(new_id(), limit, HOUR), "user:7")


def new_async(server: Valkey, *, timeout: float = 10) -> AsyncLimiter:
    return AsyncLimiter(connect_async(server.url(), timeout=timeout), prefix=new_id())


def connections(client: redis.Redis) -> int:
    return int(client.info("stats")["total_connections_received"])


@pytest.fixture
def own() -> Iterator[Valkey]:
    """A server that is the test's alone."""
    with Valkey(durable=False) as running:
        yield running


def test_what_a_coroutine_charges_counts_for_everybody(server: Valkey) -> None:
    limiter = new_limiter(server)
    single = AsyncLimiter(connect_async(server.url(), timeout=10))
    single.keys = limiter.keys
    charge = new_charge(3)

    async def ask() -> list[bool]:
        return [(await single.hit([charge])).allowed for _ in range(2)]

    assert asyncio.run(ask()) == [True, True]
    assert limiter.hit([charge]).allowed
    assert not asyncio.run(single.hit([charge])).allowed


def test_many_at_once_share_a_connection_and_each_gets_its_answer(
    server: Valkey, client: redis.Redis
) -> None:
    limiter = new_async(server)
    shared = new_charge(120)

    async def one(number: int) -> tuple[int, bool]:
        told = (await limiter.hit([new_charge(1000 + number)])).results[0]
        return told.remaining, (await limiter.hit([shared])).allowed

    async def ask() -> list[tuple[int, bool]]:
        return await asyncio.gather(*(one(number) for number in range(300)))

    before = connections(client)
    found = asyncio.run(ask())
    assert [remaining for remaining, _ in found] == [999 + number for number in range(300)]
    assert sum(allowed for _, allowed in found) == 120
    assert connections(client) == before + 1


def test_each_loop_has_its_own_connection_and_what_ended_is_forgotten(
    server: Valkey, client: redis.Redis
) -> None:
    limiter = new_async(server)
    before, open_before = connections(client), len(client.client_list())
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def ask() -> bool:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return (await limiter.hit([new_charge()])).allowed

    assert [asyncio.run(ask()) for _ in range(5)] == [True] * 5
    assert connections(client) == before + 5
    wait_until(lambda: len(client.client_list()) == open_before, what="connections to be closed")
    gc.collect()
    # The last is forgotten with the next.
    assert sum(loop() is not None for loop in loops) <= 1


def test_loops_in_threads_ask_at_once(server: Valkey) -> None:
    limiter = new_async(server)
    shared, barrier = new_charge(90), threading.Barrier(4)

    async def ask() -> int:
        return sum([(await limiter.hit([shared])).allowed for _ in range(50)])

    def run(_: int) -> int:
        barrier.wait(60)
        return asyncio.run(ask())

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 90


def test_a_server_that_forgot_the_script_is_told_it_again(server: Valkey, client: redis.Redis) -> None:
    limiter = new_async(server)
    charge = new_charge()

    async def ask() -> list[int]:
        used = []
        for _ in range(3):
            client.script_flush()
            used.append((await limiter.hit([charge])).results[0].used)
        return used

    assert asyncio.run(ask()) == [1, 2, 3]


# Giving up ---------------------------------------------------------------------------------------


def test_cancelling_in_the_middle_leaves_everybody_elses_answers_theirs(
    server: Valkey, client: redis.Redis
) -> None:
    limiter = new_async(server)

    async def ask() -> tuple[list[int], int]:
        await limiter.hit([new_charge()])
        tasks = [asyncio.create_task(limiter.hit([new_charge(1000 + number)])) for number in range(200)]
        # All are sent, and none is answered.
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        rest = [task for number, task in enumerate(tasks) if number % 3]
        answers = [decision.results[0].remaining for decision in await asyncio.gather(*rest)]
        return answers, sum(task.cancelled() for task in tasks)

    before = connections(client)
    answers, cancelled = asyncio.run(ask())
    assert answers == [999 + number for number in range(200) if number % 3]
    assert cancelled == 67
    assert connections(client) == before + 1


def test_cancelling_who_sends_much_leaves_the_connection_to_the_others(own: Valkey) -> None:
    """More is on its way than the sockets hold, while the server reads nothing."""
    limiter = new_async(own, timeout=60)
    many = [Charge(Policy(new_id(), 10, HOUR), f"user:{number}" + "x" * 1000) for number in range(1000)]
    charge = new_charge(9)

    async def ask() -> list[int]:
        await limiter.hit([charge])
        own.signal(signal.SIGSTOP)
        try:
            tasks = [asyncio.create_task(limiter.hit(many)) for _ in range(8)]
            await asyncio.sleep(0)
            other = asyncio.create_task(limiter.hit([charge]))
            await asyncio.sleep(0)
            for task in tasks[1:]:
                task.cancel()
            await asyncio.sleep(0)
        finally:
            own.signal(signal.SIGCONT)
        return [(await tasks[0]).results[-1].remaining, (await other).results[0].remaining]

    with asking(own) as client:
        before = connections(client)
        remaining = asyncio.run(ask())
        assert connections(client) == before + 1
    assert remaining == [9, 7]


def test_cancelling_who_waits_for_the_connection_leaves_it_to_the_others(
    server: Valkey, client: redis.Redis
) -> None:
    limiter = new_async(server)
    before = connections(client)

    async def ask() -> int:
        first, second = (asyncio.create_task(limiter.hit([new_charge(9)])) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return (await second).results[0].remaining

    assert asyncio.run(ask()) == 8
    assert connections(client) == before + 1


def test_who_waited_too_long_fails_and_who_asked_later_has_its_own_time(own: Valkey) -> None:
    limiter = new_async(own, timeout=1.5)

    async def ask() -> tuple[object, object, object]:
        await limiter.hit([new_charge()])
        own.signal(signal.SIGSTOP)
        try:
            early = asyncio.create_task(limiter.hit([new_charge(9)]))
            await asyncio.sleep(1)
            late = asyncio.create_task(limiter.hit([new_charge(8)]))
            await asyncio.wait([early])
        finally:
            own.signal(signal.SIGCONT)
        after = await limiter.hit([new_charge(7)])
        return early.exception(), (await late).results[0].remaining, after.results[0].remaining

    early, late, after = asyncio.run(ask())
    assert isinstance(early, Unavailable)
    assert early.reason is Reason.TIMEOUT
    assert (late, after) == (7, 6)


def test_a_server_that_has_stopped_fails_everybody_in_time_and_comes_back(own: Valkey) -> None:
    limiter = new_async(own, timeout=TIMEOUT)

    async def ask() -> tuple[list[object], int]:
        await limiter.hit([new_charge()])
        own.signal(signal.SIGSTOP)
        try:
            found: list[object] = []
            for _ in range(2):
                found += await asyncio.gather(
                    *(limiter.hit([new_charge()]) for _ in range(20)), return_exceptions=True
                )
        finally:
            own.signal(signal.SIGCONT)
        return found, (await limiter.hit([new_charge(9)])).results[0].remaining

    began = time.monotonic()
    found, remaining = asyncio.run(ask())
    assert [one.reason for one in found if isinstance(one, Unavailable)] == [Reason.TIMEOUT] * 40
    assert time.monotonic() - began < 6 * TIMEOUT
    assert remaining == 8


def test_a_loop_that_was_kept_busy_still_reads_what_came_in_time(server: Valkey) -> None:
    limiter = new_async(server, timeout=TIMEOUT)

    async def ask() -> list[int]:
        await limiter.hit([new_charge()])
        tasks = [asyncio.create_task(limiter.hit([new_charge(9)])) for _ in range(5)]
        await asyncio.sleep(0)
        time.sleep(3 * TIMEOUT)
        return [decision.results[0].remaining for decision in await asyncio.gather(*tasks)]

    assert asyncio.run(ask()) == [8] * 5


# Being away --------------------------------------------------------------------------------------


def test_a_connection_that_was_closed_is_replaced_unseen_any_number_of_times(
    server: Valkey, client: redis.Redis
) -> None:
    limiter = new_async(server)
    charge = new_charge()

    async def ask() -> list[int]:
        used = []
        for _ in range(150):
            used.append((await limiter.hit([charge])).results[0].used)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return used

    assert asyncio.run(ask()) == list(range(1, 151))


def test_a_server_that_dies_while_many_wait_is_no_answer_and_heals(own: Valkey) -> None:
    limiter = new_async(own)

    async def ask() -> tuple[list[object], int]:
        await limiter.hit([new_charge()])
        own.signal(signal.SIGSTOP)
        tasks = [asyncio.create_task(limiter.hit([new_charge()])) for _ in range(20)]
        await asyncio.sleep(0)
        own.kill()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        own.start()
        return list(found), (await limiter.hit([new_charge(9)])).results[0].remaining

    found, remaining = asyncio.run(ask())
    assert [one.reason for one in found if isinstance(one, Unavailable)] == [Reason.CONNECTION] * 20
    assert remaining == 8


def test_a_server_that_is_not_there_is_no_answer(own: Valkey) -> None:
    limiter = new_async(own)
    own.kill()

    async def ask() -> list[object]:
        return list(
            await asyncio.gather(*(limiter.hit([new_charge()]) for _ in range(5)), return_exceptions=True)
        )

    found = asyncio.run(ask())
    assert [one.reason for one in found if isinstance(one, Unavailable)] == [Reason.CONNECTION] * 5


def test_a_replica_is_given_up_and_the_next_question_finds_the_new_primary(own: Valkey) -> None:
    limiter = new_async(own)
    charge = new_charge()

    async def ask(client: redis.Redis) -> tuple[Reason, int, int]:
        await limiter.hit([charge])
        client.execute_command("REPLICAOF", sockets.HOST, 1)
        before = connections(client)
        with pytest.raises(Unavailable) as caught:
            await limiter.hit([charge])
        client.execute_command("REPLICAOF", "NO", "ONE")
        used = (await limiter.hit([charge])).results[0].used
        return caught.value.reason, used, connections(client) - before

    with asking(own) as client:
        assert asyncio.run(ask(client)) == (Reason.READONLY, 2, 1)


def test_an_error_is_only_his_whose_question_it_answers(server: Valkey, client: redis.Redis) -> None:
    limiter = new_async(server)
    wrong = new_charge()
    client.set(limiter.keys.log(*wrong), "x")

    async def ask() -> list[object]:
        asked = [limiter.hit([charge]) for charge in (new_charge(9), wrong, new_charge(8))]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    first, error, last = asyncio.run(ask())
    assert isinstance(error, Unavailable)
    assert error.reason is Reason.ERROR
    assert [one.results[0].remaining for one in (first, last)] == [8, 7]  # type: ignore[attr-defined]


def test_a_single_server_is_asked_over_lines_and_a_cluster_is_not(server: Valkey) -> None:
    assert isinstance(connect_async(server.url(), timeout=1), MultiplexedTransport)
    assert not isinstance(connect_async(server.url(), timeout=1, cluster=True), MultiplexedTransport)
