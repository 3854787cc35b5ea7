"""What charges take of the server's memory, beside a sorted set of the same; and for how long."""

from __future__ import annotations

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Limiter, Policy
from apps.ratelimits.limiter.scripts import script
from tests.ratelimits.limiter.limiting import HOUR, MINUTE, new_id, set_clock, timed

START = 900 * 2**31 + 5 * HOUR


def usage(client: redis.Redis, key: bytes | str) -> int:
    return int(client.memory_usage(key, samples=0))


def test_a_log_takes_a_twelfth_of_a_sorted_set_at_most(limiter: Limiter, client: redis.Redis) -> None:
    limiter._decide = timed(script("decide"), client)
    charge = Charge(Policy(new_id(), 1000, HOUR), "user:7")
    for number in range(1000):
        now = START + number * 3600
        set_clock(client, now)
        assert limiter.hit([charge]).allowed
        # As limiters do that keep each request by itself: two may be of one millisecond.
        client.zadd("peer", {new_id(): now / 1000})
    assert usage(client, limiter.keys.log(*charge)) * 12 <= usage(client, "peer")


def test_ticks_take_less_than_a_kilobyte_whatever_the_limit(limiter: Limiter, client: redis.Redis) -> None:
    limiter._decide = timed(script("decide"), client)
    for limit, cost in ((5000, 4), (4_000_000, 3200)):
        charge = Charge(Policy(new_id(), limit, HOUR), "user:7")
        most = 0
        for number in range(1600):
            # A little slower than the limit allows: the log is as full as it can be, and goes round.
            set_clock(client, START + number * HOUR // 1200)
            assert limiter.hit([charge], cost).allowed
            if number % 50 == 49:
                most = max(most, usage(client, limiter.keys.log(*charge)))
        assert limiter.stats([charge])[0].used >= 1200 * cost
        assert 300 <= most <= 800


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_log_ends_with_its_last_charge_and_not_before(
    limiter: Limiter, client: redis.Redis, algorithm: Algorithm
) -> None:
    charge = Charge(Policy(new_id(), 3, MINUTE, algorithm=algorithm), "user:7")
    key = limiter.keys.log(*charge)
    ends: list[int] = []
    for _ in range(2):
        decision = limiter.hit([charge])
        ends.append(client.pexpiretime(key))
        # Not gone while it may still count, and soon after that.
        last = decision.moment + (ends[-1] - decision.moment) // 2**31 * 2**31
        assert MINUTE + 1 <= ends[-1] - last <= MINUTE + 100
    longer = charge._replace(policy=Policy(charge.policy.id, 3, HOUR, algorithm=algorithm))
    limiter.hit([longer])
    assert client.pttl(key) > HOUR - MINUTE


def test_denials_and_peeks_leave_no_trace_in_memory(limiter: Limiter, client: redis.Redis) -> None:
    none, free = Charge(Policy(new_id(), 0, HOUR), "user:7"), Charge(Policy(new_id(), 9, HOUR), "user:7")
    before = client.dbsize()
    limiter.hit([free, none])
    limiter.peek([free])
    limiter.stats([free, none])
    assert client.dbsize() == before


def test_a_denial_writes_nothing(limiter: Limiter, client: redis.Redis) -> None:
    """It is not sent to replicas, and not written to disk, however often it is asked for."""
    charges = [Charge(Policy(new_id(), 2, HOUR, algorithm=algorithm), "user:7") for algorithm in Algorithm]
    for _ in range(2):
        limiter.hit(charges)
    before = client.info("persistence")["rdb_changes_since_last_save"]
    for _ in range(5):
        assert not limiter.hit(charges).allowed
        assert not limiter.peek(charges).allowed
    assert client.info("persistence")["rdb_changes_since_last_save"] == before
    client.incr("other")
    assert client.info("persistence")["rdb_changes_since_last_save"] == before + 1
