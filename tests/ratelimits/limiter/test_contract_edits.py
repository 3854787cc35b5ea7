"""What every limiter must do when limits and windows are changed: in either form, and between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.ratelimits.limiter import Algorithm, Charge, Policy
from tests.ratelimits.limiter.doors import Door, only
from tests.ratelimits.limiter.limiting import MINUTE, new_id


def edited(charge: Charge, **changes: int) -> Charge:
    return charge._replace(policy=replace(charge.policy, **changes))


def test_a_limit_that_is_changed_keeps_what_was_charged(door: Door) -> None:
    fifty = door.charge(50)
    two_hundred = edited(fifty, limit=200)
    assert sum(door.hits(fifty, 60)) == 50
    door.at(100)
    assert sum(door.hits(two_hundred, 160)) == 150
    lowered = door.limiter.hit([fifty])
    assert (lowered.allowed, only(lowered).used, only(lowered).remaining) == (False, 200, 0)
    assert lowered.wait == MINUTE + 1
    told = door.limiter.stats([fifty])[0]
    assert (told.used, told.remaining, told.full) == (200, 0, True)
    door.at(MINUTE + 101)
    assert sum(door.hits(fifty, 60)) == 50


def test_a_limit_that_is_lowered_allows_again_when_enough_is_over(door: Door) -> None:
    charge = door.charge(20)
    for second in range(20):
        door.at(second * 1000)
        door.limiter.hit([charge])
    lowered = edited(charge, limit=5)
    # 16 of the 20 have to be over.
    assert door.limiter.peek([lowered]).wait == 15_000 + MINUTE + 1 - 19_000
    door.at(15_000 + MINUTE + 1)
    assert door.hits(lowered, 2) == [True, False]


@pytest.mark.parametrize("first", [Algorithm.LOG, Algorithm.TICKS])
def test_a_limit_that_is_changed_across_the_forms_keeps_what_was_charged(
    door: Door, first: Algorithm
) -> None:
    """Both ways, and back."""
    low, high = (Policy("x" + new_id(), limit, MINUTE) for limit in (900, 5000))
    low, high = Charge(low, "user:9"), Charge(replace(high, id=low.id), "user:9")
    order = [low, high, low] if first is Algorithm.LOG else [high, low, high]
    used = 0
    for index, charge in enumerate(order):
        door.at(index * 5_000)
        for cost in (100, 150, 33):
            assert door.limiter.hit([charge], cost).allowed
            used += cost
            assert door.used(low, high) == [used, used]
    door.at(MINUTE + 2_000)
    assert door.used(low, high) == [566, 566]
    assert door.limiter.hit([low], 334).allowed
    assert not door.limiter.hit([low]).allowed
    assert door.limiter.hit([high], 4_100).allowed
    assert not door.limiter.hit([high]).allowed
    door.at(2 * MINUTE + 4_000)
    assert door.used(low, high) == [0, 0]
    assert door.limiter.hit([low], 900).allowed


def test_what_was_charged_beyond_a_lowered_limit_stays_until_it_is_over(door: Door) -> None:
    high = Charge(Policy("y" + new_id(), 5000, MINUTE), "user:9")
    low = edited(high, limit=10)
    door.limiter.hit([high], 3000)
    denied = door.limiter.hit([low])
    assert (only(denied).used, only(denied).remaining, denied.wait) == (3000, 0, MINUTE + 1)
    door.at(MINUTE + 1)
    assert door.limiter.hit([low], 10).allowed


def test_a_window_that_is_changed_keeps_what_it_reaches(door: Door) -> None:
    minute = door.charge(5)
    ten, hour = edited(minute, window=10_000), edited(minute, window=60 * MINUTE)
    door.hits(minute, 2)
    door.at(20_000)
    door.hits(minute, 1)
    assert door.used(ten, minute, hour) == [1, 3, 3]
    assert door.hits(hour, 3) == [True, True, False]
    assert door.used(ten, minute, hour) == [3, 5, 5]
    door.at(MINUTE + 1)
    assert door.used(ten, minute, hour) == [0, 3, 5]


def test_what_is_over_for_a_shorter_window_at_a_charge_is_gone(door: Door) -> None:
    minute = door.charge(5)
    ten = edited(minute, window=10_000)
    door.hits(minute, 3)
    door.at(20_000)
    door.limiter.peek([ten])
    assert door.used(minute) == [3]
    door.limiter.hit([ten])
    assert door.used(minute) == [1]
