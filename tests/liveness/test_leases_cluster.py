"""Leases in a Redis Cluster: a whole set lies in one slot, and different ones may lie anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.retry import Retry

from apps.liveness.leases import Beat, Claim, LeaseSet, Timing, Unavailable, Verdict
from apps.stack import sockets
from tests.cluster import Node, start
from tests.liveness.leasing import elapse

TIMING = Timing(stale_after=30, orphan_after=90, claim_for=60)
LATE = 100.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with ExitStack() as stack:
        yield connect(stack, start(stack, 3))


def connect(stack: ExitStack, nodes: list[Node]) -> RedisCluster:
    retry = Retry(NoBackoff(), 0)
    return stack.enter_context(RedisCluster(host=sockets.HOST, port=nodes[0].port, retry=retry))


def new_set(cluster: RedisCluster) -> LeaseSet:
    """An empty set that was rebuilt long ago, under a name of its own."""
    leases = LeaseSet(f"worker:{uuid4().hex}", TIMING, lambda: cluster)
    leases.rebuild([])
    elapse(leases, cluster, 2 * LATE)
    return leases


def test_the_slots_are_divided(cluster: RedisCluster) -> None:
    owners = {cluster.get_node_from_key(name).port for name in map(str, range(100))}
    assert len(owners) == 3


def test_a_set_lies_in_one_slot_and_different_ones_in_different_ones() -> None:
    sets = [LeaseSet(name, TIMING, redis.Redis) for name in ("worker:all", "task:all", *map(str, range(50)))]
    slots = [{key_slot(key.encode()) for key in leases.keys} for leases in sets]
    assert [len(one) for one in slots] == [1] * len(sets)
    assert len(set.union(*slots)) > 45
    assert sets[0].keys[0] == "worker:all"
    assert len(set(sets[0].keys)) == 5


def test_a_whole_life_in_a_cluster(cluster: RedisCluster) -> None:
    """Of a set on each node."""
    names = {cluster.get_node_from_key(name).port: name for name in (f"life:{one}" for one in range(100))}
    assert len(names) == 3
    for name in names.values():
        leases = LeaseSet(name, TIMING, lambda: cluster)
        assert leases.beat("7", 1) is Beat.REGISTER
        assert leases.reap().verdict is Verdict.LOST
        assert leases.register("7", 1) is Beat.BEATING
        assert leases.rebuild([("7", 1), ("8", 2), ("9", 3)]) == 3
        assert leases.reap().verdict is Verdict.GRACE
        elapse(leases, cluster, 2 * LATE)
        assert leases.beat("9", 3) is Beat.BEATING
        assert leases.stale() == ["7", "8"]
        found = leases.reap()
        assert (found.verdict, found.members, found.orphans) == (Verdict.ACTED, 3, 2)
        assert {(one.member, one.token) for one in found.claims} == {("7", 1), ("8", 2)}
        assert (leases.beat("7", 1), leases.register("7", 1)) == (Beat.FENCED, Beat.FENCED)
        [seven] = [one for one in found.claims if one.member == "7"]
        [eight] = [one for one in found.claims if one.member == "8"]
        leases.acknowledge([seven])
        assert leases.restore(eight)
        assert leases.beat("8", 2) is Beat.BEATING
        assert leases.reap().claims == ()
        assert [(mark and mark.token, claimed) for mark, claimed in leases.look([("7", 1), ("8", 2)])] == [
            (None, False),
            (2, False),
        ]
        counts = leases.counts()
        assert (counts.alive, counts.stale, counts.orphaned, counts.claimed) == (2, 0, 0, 0)
        assert leases.release("8", 2)
        assert [mark.member for page in leases.marks() for mark in page] == ["9"]


def test_a_claim_that_was_left_behind_is_another_reapers_in_a_cluster(cluster: RedisCluster) -> None:
    leases = new_set(cluster)
    leases.register("7", 1)
    elapse(leases, cluster, LATE)
    leases.reap()
    elapse(leases, cluster, TIMING.claim_for + 1)
    assert leases.reap().claims == (Claim(member="7", token=1, beat_at=None),)


def test_many_members_of_one_set_in_a_cluster(cluster: RedisCluster) -> None:
    leases = new_set(cluster)
    holders = [(str(user), user + 1) for user in range(1203)]
    assert set(leases.register_many(holders)) == {Beat.BEATING}
    assert set(leases.beat_many(holders)) == {Beat.BEATING}
    assert {mark.member: mark.token for page in leases.marks() for mark in page} == dict(holders)
    assert all(mark is not None and not claimed for mark, claimed in leases.look(holders))
    assert leases.counts().alive == 1203
    elapse(leases, cluster, LATE)
    claims = leases.reap(limit=2000, force=True).claims
    assert len(claims) == 1203
    leases.acknowledge(claims)
    assert leases.counts().claimed == 0


def test_nodes_that_forgot_the_scripts_are_told_them_again(cluster: RedisCluster) -> None:
    for leases in [new_set(cluster) for _ in range(6)]:
        cluster.script_flush()
        assert leases.register("7", 1) is Beat.BEATING
        cluster.script_flush()
        assert leases.reap().verdict is Verdict.ACTED


def test_a_cluster_that_is_down_is_no_answer() -> None:
    with ExitStack() as stack:
        [node] = start(stack, 1)
        cluster = connect(stack, [node])
        leases = new_set(cluster)
        node.kill()
        for _ in range(2):
            with pytest.raises(Unavailable):
                leases.beat("7", 1)
            with pytest.raises(Unavailable):
                leases.reap()
            with pytest.raises(Unavailable):
                list(leases.marks())
        unmade = LeaseSet(leases.name, TIMING, lambda: RedisCluster(host=sockets.HOST, port=node.port))
        with pytest.raises(Unavailable, match="RedisClusterException"):
            unmade.beat("7", 1)


def test_a_set_whose_slot_is_nobodys_is_no_answer() -> None:
    with ExitStack() as stack:
        [node] = start(stack, 1)
        cluster = connect(stack, [node])
        leases = new_set(cluster)
        with redis.Redis.from_url(node.url()) as direct:
            direct.execute_command("CLUSTER DELSLOTS", key_slot(leases.name.encode()))
        with pytest.raises(Unavailable):
            leases.beat("7", 1)
