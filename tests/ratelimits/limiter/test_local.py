"""What only limits within one process do: they end, they are shared out, and threads are kept apart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.ratelimits.limiter import Algorithm, Charge, Policy
from apps.ratelimits.limiter.local import LocalLimiter
from tests.ratelimits.limiter.limiting import HOUR, MINUTE, new_id


def test_who_was_charged_longest_ago_is_forgotten_first() -> None:
    limiter = LocalLimiter(most=3)
    policy = Policy("minute", 1, MINUTE)
    names = ["a", "b", "c"]
    for name in names:
        assert limiter.hit([Charge(policy, name)]).allowed
    assert limiter.hit([Charge(Policy("hour", 5, HOUR), "d")]).allowed
    assert len(limiter) == 3
    assert [limiter.peek([Charge(policy, name)]).allowed for name in names] == [True, False, False]


def test_looking_and_denying_keep_nothing() -> None:
    limiter = LocalLimiter()
    for name in range(50):
        limiter.peek([Charge(Policy("minute", 1, MINUTE), f"user:{name}")])
        limiter.hit([Charge(Policy("none", 0, MINUTE), f"user:{name}")])
    assert len(limiter) == 0


def test_all_logs_together_have_an_end() -> None:
    time = [0.0]
    limiter = LocalLimiter(most_entries=500, clock=lambda: time[0])
    policy = Policy("hour", 1000, HOUR)
    for number in range(3000):
        time[0] += 0.001
        limiter.hit([Charge(policy, f"user:{number % 10}")])
        assert sum(len(log.entries) for log in limiter._logs.values()) == limiter._entries <= 500


def test_one_log_that_is_larger_than_all_may_be_is_kept() -> None:
    time = [0.0]
    limiter = LocalLimiter(most_entries=10, clock=lambda: time[0])
    charge = Charge(Policy("hour", 30, HOUR), "user:7")
    allowed = 0
    for _ in range(50):
        time[0] += 1
        allowed += limiter.hit([charge]).allowed
    assert allowed == 30


def test_a_large_limit_takes_as_many_entries_as_ticks() -> None:
    time = [0.0]
    limiter = LocalLimiter(clock=lambda: time[0])
    charge = Charge(Policy("minute", 1_000_000, MINUTE), "user:7")
    for _ in range(20_000):
        time[0] += 0.007
        limiter.hit([charge])
    assert limiter._entries <= 66
    assert 60 / 0.007 - 1 <= limiter.stats([charge])[0].used <= 61 / 0.007


@pytest.mark.parametrize("algorithm", Algorithm)
def test_entries_are_counted_through_refunds_and_resets(algorithm: Algorithm) -> None:
    time = [0.0]
    limiter = LocalLimiter(clock=lambda: time[0])
    charge = Charge(Policy("minute", 50, MINUTE, algorithm=algorithm), "user:7")
    charged = []
    for _ in range(8):
        time[0] += 2
        charged.append(limiter.hit([charge], 2))
    for decision in charged[::2]:
        limiter.refund(decision)
    assert (limiter._entries, limiter.stats([charge])[0].used) == (4, 8)
    assert limiter.reset("user:7", ["minute"]) == 1
    assert (limiter._entries, len(limiter)) == (0, 0)


@pytest.mark.parametrize(("limit", "share", "each"), [(10, 4, 2), (3, 4, 1), (0, 4, 0), (10, 1, 10)])
def test_processes_that_share_a_limit_admit_their_part(limit: int, share: int, each: int) -> None:
    limiter = LocalLimiter(share=share)
    charge = Charge(Policy(new_id(), limit, HOUR), "user:7")
    told = [limiter.hit([charge]) for _ in range(12)]
    assert sum(one.allowed for one in told) == each
    assert told[-1].results[0].remaining == 0


def test_threads_admit_no_more_than_the_limit_together() -> None:
    limiter, barrier = LocalLimiter(), threading.Barrier(6)
    first, second = (Charge(Policy(new_id(), limit, HOUR), "user:7") for limit in (300, 500))

    def run(_: int) -> int:
        barrier.wait(60)
        return sum(limiter.hit([first, second]).allowed for _ in range(200))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(run, range(6))) == 300
    assert [one.used for one in limiter.stats([first, second])] == [300, 300]
