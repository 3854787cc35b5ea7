"""Reapers and workers in processes of their own on one set: each death is found once, and no life is."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis

from apps.liveness.leases import Timing
from apps.stack.testing import Valkey
from tests.liveness import racing
from tests.liveness.leasing import elapse, server_time
from tests.liveness.racing import Kind, Lived, Taken
from tests.support import wait_until

#: Short, for deaths to be found soon; and so that claims run out only where a test makes them.
TIMING = Timing(stale_after=0.2, orphan_after=0.5, claim_for=3600, mass_share=1)
REAPERS, PROCESSES, MEMBERS = 4, 3, 100

# Forked from a process that has what they need, and nothing of this test's.
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload([racing.__name__])


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey(durable=False) as running:
        yield running


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url(), socket_timeout=10) as connected:
        yield connected


def race(server: Valkey, client: redis.Redis, *, mortal: bool) -> tuple[list[Lived], list[Taken]]:
    """What workers lived and what reapers took, from the start of all to the death of all who stop."""
    name, url = f"worker:{uuid4().hex}", server.url()
    leases = racing.lease_set(client, name, TIMING)
    leases.rebuild([])
    elapse(leases, client, 60)
    ended, stop, out = forked.Event(), forked.Event(), forked.Queue()
    barrier, taken_out = forked.Barrier(REAPERS), forked.Queue()
    played = [forked.Event() for _ in range(PROCESSES)]
    workers = [
        forked.Process(
            target=racing.work,
            args=(
                url,
                name,
                TIMING,
                [(f"{index}-{one}", one + 1) for one in range(MEMBERS)],
                event,
                ended,
                out,
            ),
        )
        for index, event in enumerate(played)
    ]
    reapers = [
        forked.Process(
            target=racing.reap,
            args=(url, name, TIMING, barrier, stop, taken_out),
            kwargs={"mortal": mortal and bool(index)},
        )
        for index in range(REAPERS)
    ]
    stops = [f"{index}-{one}" for index in range(PROCESSES) for one in range(MEMBERS) if one % 4 == 1]
    try:
        for process in (*workers, *reapers):
            process.start()
        wait_until(
            lambda: all(event.is_set() for event in played), seconds=100, what="all to have been silent"
        )
        wait_until(
            lambda: client.zmscore(name, stops) == [None] * len(stops) and not leases.counts().claimed,
            seconds=100,
            what="all who stopped to be settled",
        )
        # Reapers first: who is told to stop is not dead.
        stop.set()
        taken = [one for _ in reapers for one in taken_out.get(timeout=60)]
        # The last one finds what others died of at the end.
        while leases.counts().claimed:
            taken += [racing.take(client, leases, one, settled=True) for one in leases.reap().claims]
        ended.set()
        lives = [one for _ in workers for one in out.get(timeout=60)]
        for process in (*workers, *reapers):
            process.join(60)
            assert process.exitcode == 0
    finally:
        for process in (*workers, *reapers):
            if process.is_alive():
                process.kill()
    return lives, taken


def test_of_four_reapers_one_gets_each_orphan_and_none_gets_who_beats(
    server: Valkey, client: redis.Redis
) -> None:
    lives, taken = race(server, client, mortal=False)
    assert racing.wrong(lives, taken, TIMING.orphan_after) == []
    assert max(Counter(one.life for one in taken).values()) == 1
    kinds = Counter(one.kind for one in lives if one.fenced)
    assert kinds[Kind.SLEEPS] >= PROCESSES * MEMBERS / 4
    reaped = {one.life for one in taken}
    assert {(one.member, one.token) for one in lives if one.kind is Kind.STOPS and not one.fenced} <= reaped


def test_what_reapers_die_of_is_settled_once_by_others(server: Valkey, client: redis.Redis) -> None:
    lives, taken = race(server, client, mortal=True)
    assert racing.wrong(lives, taken, TIMING.orphan_after) == []
    left = Counter(one.life for one in taken if not one.settled)
    assert left.total() > 0
    for life, count in Counter(one.life for one in taken).items():
        assert count == left[life] + 1


def test_a_naive_reaper_would_be_found_out(client: redis.Redis) -> None:
    """Two that read before either removes reap twice; and one reaps who beats in between."""
    leases = racing.lease_set(client, f"worker:{uuid4().hex}", TIMING)
    leases.register_many([("dead", 1), ("alive", 1)])
    beat_at = server_time(client)
    lives = {
        member: Lived(member=member, token=1, kind=kind, heard=(beat_at - 100, beat_at))
        for member, kind in (("dead", Kind.STOPS), ("alive", Kind.NAPS))
    }
    elapse(leases, client, 10)
    barrier = threading.Barrier(3)
    with ThreadPoolExecutor(2) as pool:
        naive = [pool.submit(racing.reap_naively, client, leases.name, TIMING, barrier) for _ in range(2)]
        barrier.wait(60)
        before = server_time(client)
        leases.beat("alive", 1)
        lives["alive"].heard = (before, server_time(client))
        barrier.wait(60)
        taken = [one for each in naive for one in each.result(60)]
    found = racing.wrong(lives.values(), taken, TIMING.orphan_after)
    assert "('dead', 1) was reaped 2 times" in found
    assert "('dead', 1) was settled 2 times" in found
    assert any(text.startswith("('alive', 1) was heard in") for text in found)
