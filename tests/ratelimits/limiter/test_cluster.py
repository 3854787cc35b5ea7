"""Limits in a Redis Cluster: all keys of an installation lie in one slot."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
from redis.crc import key_slot

from apps.ratelimits.limiter import Algorithm, Charge, Limiter, Policy, Reason, Unavailable, connect
from apps.ratelimits.limiter.aio import AsyncLimiter, connect_async
from apps.ratelimits.limiter.asking import Keys
from apps.stack import sockets
from tests.cluster import Node, start
from tests.ratelimits.limiter.limiting import HOUR, new_id
from tests.support import wait_until

_SLOTS = 16384


def new_charge(limit: int = 100, algorithm: Algorithm = Algorithm.LOG) -> Charge:
    return Charge(Policy(new_id(), limit, HOUR, algorithm=algorithm), "user:7")


def reason_of(ask: Callable[[], object]) -> Reason:
    with pytest.raises(Unavailable) as caught:
        ask()
    return caught.value.reason


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    with ExitStack() as stack:
        yield start(stack, 3)


@pytest.fixture
def alone() -> Iterator[Node]:
    """A cluster of one that is the test's own."""
    with ExitStack() as stack:
        [node] = start(stack, 1)
        yield node


def owner(nodes: list[Node], prefix: str) -> Node:
    slot = key_slot(Keys(prefix).version)
    return nodes[slot * 3 // _SLOTS]


def other_than(nodes: list[Node], prefix: str) -> str:
    return next(node.address for node in nodes if node is not owner(nodes, prefix))


def prefixes(nodes: list[Node]) -> dict[int, str]:
    """One on each node."""
    found = {owner(nodes, prefix).port: prefix for prefix in (f"p{number}-" for number in range(100))}
    assert len(found) == 3
    return found


def test_all_keys_of_an_installation_are_in_one_slot() -> None:
    keys = Keys("some-")
    logs = [keys.log(*charge) for charge in (new_charge(), new_charge(), new_charge())]
    braces = keys.log("minute", "ip:{a}{b")
    assert len({key_slot(key) for key in (keys.version, braces, *logs)}) == 1
    assert len({key_slot(Keys(f"{number}-").version) for number in range(50)}) > 45


@pytest.mark.parametrize("algorithm", Algorithm)
def test_everything_can_be_asked_of_a_cluster_from_any_of_its_nodes(
    nodes: list[Node], algorithm: Algorithm
) -> None:
    for prefix in prefixes(nodes).values():
        limiter = Limiter(connect(other_than(nodes, prefix), timeout=10, cluster=True), prefix=prefix)
        first, second = new_charge(5, algorithm), new_charge(3, algorithm)
        version = limiter.publish()
        told = [limiter.hit([first, second]) for _ in range(4)]
        assert [one.allowed for one in told] == [True, True, True, False]
        assert {one.version for one in told} == {version} == {limiter.version()}
        assert [one.used for one in limiter.stats([first, second])] == [3, 3]
        limiter.refund(told[0])
        assert limiter.peek([first, second], 2).allowed is False
        assert [one.used for one in limiter.stats([first, second])] == [2, 2]
        assert limiter.reset("user:7", [first.policy, second.policy.id, new_id()]) == 2
        assert limiter.hit([first, second], 3).allowed


def test_coroutines_ask_a_cluster_likewise(nodes: list[Node]) -> None:
    for prefix in prefixes(nodes).values():
        limiter = AsyncLimiter(
            connect_async(other_than(nodes, prefix), timeout=10, cluster=True), prefix=prefix
        )
        charge = new_charge(30)

        async def ask(limiter: AsyncLimiter = limiter, charge: Charge = charge) -> list[bool]:
            first = await limiter.hit([charge])
            await limiter.refund(first)
            found = await asyncio.gather(*(limiter.hit([charge]) for _ in range(40)))
            return [one.allowed for one in found]

        assert sum(asyncio.run(ask())) == 30
        # In another loop.
        assert sum(asyncio.run(ask())) == 0


def test_nodes_that_forgot_the_scripts_are_told_them_again(nodes: list[Node]) -> None:
    for prefix in prefixes(nodes).values():
        limiter = Limiter(connect(nodes[0].address, timeout=10, cluster=True), prefix=prefix)
        single = AsyncLimiter(connect_async(nodes[0].address, timeout=10, cluster=True), prefix=prefix)
        charge = new_charge()
        for used in (1, 3):
            flush(nodes)
            assert limiter.hit([charge]).results[0].used == used
            flush(nodes)
            assert asyncio.run(single.hit([charge])).results[0].used == used + 1


def flush(nodes: list[Node]) -> None:
    for node in nodes:
        with redis.Redis.from_url(node.address) as client:
            client.script_flush()


def test_a_slot_that_has_moved_is_followed() -> None:
    with ExitStack() as stack:
        pair = start(stack, 2)
        prefix, charge = "moving-", new_charge(3)
        slot = key_slot(Keys(prefix).version)
        limiter = Limiter(connect(pair[0].address, timeout=10, cluster=True), prefix=prefix)
        assert limiter.hit([charge]).allowed
        source, target = (pair[0], pair[1]) if slot * 2 // _SLOTS == 0 else (pair[1], pair[0])
        clients = [stack.enter_context(redis.Redis.from_url(node.address)) for node in (source, target)]
        ids = [client.execute_command("CLUSTER MYID") for client in clients]
        clients[1].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        clients[0].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        for key in clients[0].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            clients[0].migrate(sockets.HOST, target.port, key, 0, 10_000)
        for client in reversed(clients):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
        assert limiter.hit([charge]).results[0].used == 2
        assert limiter.hit([charge]).allowed
        assert not limiter.hit([charge]).allowed


def test_a_single_servers_limiter_says_that_it_asks_a_cluster(nodes: list[Node]) -> None:
    """Configured wrongly: it is told, and decides nothing."""
    prefix = next(iter(prefixes(nodes).values()))
    limiter = Limiter(connect(other_than(nodes, prefix), timeout=10), prefix=prefix)
    assert reason_of(lambda: limiter.hit([new_charge()])) is Reason.CLUSTER


def test_a_cluster_that_is_down_is_no_answer_and_heals(alone: Node) -> None:
    limiter = Limiter(connect(alone.address, timeout=1, cluster=True))
    single = AsyncLimiter(connect_async(alone.address, timeout=1, cluster=True))
    charge = new_charge()
    assert limiter.hit([charge]).allowed
    alone.kill()
    for _ in range(2):
        for ask in (
            lambda: limiter.hit([charge]),
            lambda: limiter.reset("user:7", [charge.policy]),
            lambda: asyncio.run(single.hit([charge])),
            lambda: Limiter(connect(alone.address, timeout=1, cluster=True)).hit([charge]),
        ):
            assert reason_of(ask) in (Reason.CONNECTION, Reason.CLUSTER)
    alone.start()
    wait_until(lambda: healed(limiter, charge), what="the cluster to answer again")
    assert asyncio.run(single.hit([charge])).allowed


def test_a_node_that_has_stopped_is_waited_for_twice_at_most(alone: Node) -> None:
    timeout = 0.5
    limiter = Limiter(connect(alone.address, timeout=timeout, cluster=True))
    single = AsyncLimiter(connect_async(alone.address, timeout=timeout, cluster=True))
    charge = new_charge()

    async def ask() -> None:
        await single.hit([charge])
        alone.signal(signal.SIGSTOP)
        try:
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(Unavailable, match=r"Timeout"):
                    await single.hit([charge])
                assert time.monotonic() - began < 4 * timeout
                began = time.monotonic()
                # Of the question, or of the one for who has the slots.
                with pytest.raises(Unavailable, match=r"Timeout"):
                    limiter.hit([charge])
                assert time.monotonic() - began < 4 * timeout
        finally:
            alone.signal(signal.SIGCONT)
        # What came too late was nobody's.
        other = new_charge(7)
        assert (await single.hit([other])).results[0].remaining == 6
        assert limiter.hit([other]).results[0].remaining == 5

    limiter.hit([charge])
    asyncio.run(ask())


def healed(limiter: Limiter, charge: Charge) -> bool:
    try:
        return limiter.hit([charge]).allowed
    except Unavailable:
        return False


def test_a_slot_that_is_nobodys_is_no_answer(alone: Node) -> None:
    limiter = Limiter(connect(alone.address, timeout=10, cluster=True))
    charge = new_charge()
    limiter.hit([charge])
    with redis.Redis.from_url(alone.address) as direct:
        direct.execute_command("CLUSTER DELSLOTS", key_slot(limiter.keys.version))
    assert reason_of(lambda: limiter.hit([charge])) is Reason.CLUSTER
