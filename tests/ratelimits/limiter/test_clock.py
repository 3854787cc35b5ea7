"""Clocks of servers that are set back or forward, and times that begin anew, with the real script."""

from __future__ import annotations

from math import ceil

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Limiter, Policy
from apps.ratelimits.limiter.values import TICKS
from tests.ratelimits.limiter.limiting import BEFORE_WRAP, DAY, HOUR, MINUTE, WRAP, new_id, set_clock

STEPS = [900, 1001, 10_000, 10 * MINUTE, HOUR, 3 * DAY, 4 * DAY]
FORMS = [Algorithm.LOG, Algorithm.TICKS]


def filled(timely: Limiter, client: redis.Redis, algorithm: Algorithm, now: int, window: int) -> Charge:
    """Ten of ten charges, over the last half of a window."""
    charge = Charge(Policy(new_id(), 10, window, algorithm=algorithm), "user:7")
    for back in range(9, -1, -1):
        set_clock(client, now - back * window // 20)
        assert timely.hit([charge]).allowed
    return charge


@pytest.mark.parametrize("algorithm", FORMS)
@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_window(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm, step: int
) -> None:
    now = BEFORE_WRAP + 2 * HOUR + 30_000
    charge = filled(timely, client, algorithm, now, MINUTE)
    back = now - step
    set_clock(client, back)
    told = timely.hit([charge])
    small = 0 if step > 1000 else step
    if not told.allowed:
        assert told.wait is not None
        assert told.wait <= MINUTE + 1 + small
        set_clock(client, back + told.wait)
        assert timely.peek([charge]).allowed
    set_clock(client, back + MINUTE + 1 + small)
    assert timely.hit([charge], 9).allowed


@pytest.mark.parametrize("algorithm", FORMS)
@pytest.mark.parametrize("step", [1001, 10_000, 10 * MINUTE, HOUR])
def test_what_is_charged_after_the_clock_was_set_back_hides_nothing_ahead_of_it(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm, step: int
) -> None:
    """The log had room: it was charged again, and then asked until it was full."""
    now = BEFORE_WRAP + 2 * HOUR + 30_000
    charge = Charge(Policy(new_id(), 10, MINUTE, algorithm=algorithm), "user:7")
    for passed in (0, 20_000):
        set_clock(client, now + passed)
        assert timely.hit([charge], 3).allowed
    back = now + 20_000 - step
    set_clock(client, back)
    assert timely.hit([charge], 4).allowed
    assert not timely.hit([charge]).allowed
    set_clock(client, back + MINUTE + 1)
    assert timely.hit([charge], 10).allowed


@pytest.mark.parametrize("algorithm", FORMS)
def test_a_small_step_back_rewrites_nothing(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm
) -> None:
    now = BEFORE_WRAP
    charge = filled(timely, client, algorithm, now, MINUTE)
    key = timely.keys.log(*charge)
    before = client.lrange(key, 0, -1)
    set_clock(client, now - 900)
    assert not timely.hit([charge]).allowed
    assert client.lrange(key, 0, -1) == before


@pytest.mark.parametrize("algorithm", FORMS)
def test_a_charge_after_a_small_step_back_ends_no_other_sooner(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm
) -> None:
    """In ticks both are one entry, which is over with the later of them."""
    charge = Charge(Policy(new_id(), 10, HOUR, algorithm=algorithm), "user:7")
    for passed in (0, -900):
        set_clock(client, BEFORE_WRAP + passed)
        assert timely.hit([charge]).allowed
    set_clock(client, BEFORE_WRAP + HOUR)
    assert timely.stats([charge])[0].used == 2
    set_clock(client, BEFORE_WRAP + HOUR + 1)
    assert timely.stats([charge])[0].used == 0


@pytest.mark.parametrize("algorithm", FORMS)
def test_a_peek_after_a_step_back_rewrites_nothing_and_says_what_a_hit_does(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm
) -> None:
    now = BEFORE_WRAP
    charge = filled(timely, client, algorithm, now, MINUTE)
    key = timely.keys.log(*charge)
    before = client.lrange(key, 0, -1)
    set_clock(client, now - HOUR)
    peeked = timely.peek([charge])
    assert client.lrange(key, 0, -1) == before
    assert timely.hit([charge]) == peeked
    assert client.lrange(key, 0, -1) != before


@pytest.mark.parametrize("algorithm", FORMS)
@pytest.mark.parametrize("step", [40_000, 10 * MINUTE, HOUR, 9 * DAY])
def test_a_clock_that_is_set_forward_ends_what_is_older_by_it(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm, step: int
) -> None:
    now = BEFORE_WRAP + 2 * HOUR + 3_000
    charge = filled(timely, client, algorithm, now, MINUTE)
    set_clock(client, now + step)
    [told] = timely.stats([charge])
    # Three seconds between charges.
    by_log = sum(back * 3_000 + step <= MINUTE for back in range(10))
    assert by_log <= told.used <= by_log + (algorithm is Algorithm.TICKS)
    assert timely.hit([charge], 10 - told.used).allowed
    assert not timely.hit([charge]).allowed


@pytest.mark.parametrize("algorithm", FORMS)
@pytest.mark.parametrize("window", [MINUTE, HOUR, 10 * DAY])
def test_times_that_begin_anew_are_told_from_old_ones(
    timely: Limiter, client: redis.Redis, algorithm: Algorithm, window: int
) -> None:
    wrap = 901 * WRAP
    charge = Charge(Policy(new_id(), 4, window, algorithm=algorithm), "user:7")
    width = ceil(window / TICKS) if algorithm is Algorithm.TICKS else 1
    times = [wrap - window // 2, wrap - 1, wrap, wrap + window // 3]
    for time in times:
        set_clock(client, time)
        assert timely.hit([charge]).allowed
    assert not timely.hit([charge]).allowed
    set_clock(client, times[0] + window)
    assert not timely.peek([charge]).allowed
    set_clock(client, times[0] + window + 1)
    assert timely.hit([charge]).allowed
    set_clock(client, times[1] + window)
    assert not timely.peek([charge]).allowed
    set_clock(client, times[2] + window + width)
    assert timely.hit([charge], 2).allowed
    set_clock(client, times[0] + 2 * window + 1)
    assert timely.stats([charge])[0].used <= 3
