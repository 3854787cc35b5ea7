"""What every limiter must do: in Redis in either form, for coroutines, and within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Decision, Limiter, Policy
from apps.ratelimits.limiter.aio import AsyncLimiter, connect_async
from apps.ratelimits.limiter.local import LocalLimiter
from apps.ratelimits.limiter.scripts import script
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import MINUTE, Synchronous, new_id, set_clock, timed

#: On a boundary of the 64ths of a minute, far from where stamps begin anew.
START = 1_000_000 * 938


@dataclass
class Door:
    """A limiter of one kind, and its time."""

    limiter: Any
    algorithm: Algorithm
    to: Callable[[int], None]
    now: int = START

    def at(self, passed: int) -> None:
        """So many milliseconds after the start."""
        self.now = START + passed
        self.to(self.now)

    def policy(self, limit: int, window: int = MINUTE, *, shadow: bool = False) -> Policy:
        return Policy(new_id(), limit, window, shadow, self.algorithm)

    def charge(self, limit: int, window: int = MINUTE, *, shadow: bool = False) -> Charge:
        return Charge(self.policy(limit, window, shadow=shadow), "user:7")

    def hits(self, charge: Charge, count: int) -> list[bool]:
        return [self.limiter.hit([charge]).allowed for _ in range(count)]

    def used(self, *charges: Charge) -> list[int]:
        return [one.used for one in self.limiter.stats(charges)]


@pytest.fixture(params=["log", "ticks", "coroutines", "local log", "local ticks"])
def door(
    request: pytest.FixtureRequest, server: Valkey, client: redis.Redis, limiter: Limiter
) -> Iterator[Door]:
    algorithm = Algorithm.TICKS if "ticks" in request.param else Algorithm.LOG
    if "local" in request.param:
        time = [0]
        local = LocalLimiter(clock=lambda: time[0] / 1000)
        door = Door(local, algorithm, lambda now: time.__setitem__(0, now))
        door.at(0)
        yield door
        return
    timely = limiter._decide = timed(script("decide"), client)
    door = Door(limiter, algorithm, lambda now: set_clock(client, now))
    door.at(0)
    if request.param != "coroutines":
        yield door
        return
    with asyncio.Runner() as runner:
        single = AsyncLimiter(connect_async(server.url(), timeout=10))
        single.keys, single._decide = limiter.keys, timely
        door.limiter = Synchronous(single, runner.get_loop(), limiter)
        yield door


def only(decision: Decision) -> Any:
    [result] = decision.results
    return result


# Limits ------------------------------------------------------------------------------------------


def test_as_many_as_the_limit_are_allowed_and_no_more(door: Door) -> None:
    assert door.hits(door.charge(5), 7) == [True] * 5 + [False] * 2


def test_what_is_left_and_used_is_told(door: Door) -> None:
    charge = door.charge(3)
    told = [only(door.limiter.hit([charge])) for _ in range(4)]
    assert [(one.remaining, one.used, one.full) for one in told] == [
        (2, 1, False),
        (1, 2, False),
        (0, 3, False),
        (0, 3, True),
    ]
    assert all((one.policy, one.subject) == charge for one in told)


def test_a_decision_tells_its_time_and_cost(door: Door) -> None:
    decision = door.limiter.hit([door.charge(3)], 2)
    assert (decision.moment % 2**31, decision.cost, decision.version) == (START % 2**31, 2, "")


def test_room_comes_back_when_a_charge_is_older_than_a_window_and_not_before(door: Door) -> None:
    charge = door.charge(2)
    door.limiter.hit([charge])
    door.at(1000)
    door.limiter.hit([charge])
    door.at(MINUTE)
    assert not door.limiter.hit([charge]).allowed
    door.at(MINUTE + 1)
    assert door.hits(charge, 2) == [True, False]
    door.at(MINUTE + 1001)
    assert door.hits(charge, 2) == [True, False]


def test_the_wait_that_is_told_is_the_shortest_that_helps(door: Door) -> None:
    charge = door.charge(3)
    for passed in (0, 10_000, 20_000):
        door.at(passed)
        door.limiter.hit([charge])
    door.at(30_000)
    for cost, free_at in ((1, MINUTE + 1), (2, MINUTE + 10_001), (3, MINUTE + 20_001)):
        door.at(30_000)
        denied = door.limiter.peek([charge], cost)
        assert (denied.allowed, denied.wait) == (False, free_at - 30_000)
        door.at(free_at - 1)
        assert not door.limiter.peek([charge], cost).allowed
        door.at(free_at)
        assert door.limiter.peek([charge], cost).allowed


def test_an_allowed_request_is_told_when_its_oldest_charge_ends(door: Door) -> None:
    charge = door.charge(3)
    assert only(door.limiter.peek([charge])).wait == 0
    assert only(door.limiter.hit([charge])).wait == MINUTE + 1
    door.at(10_000)
    decision = door.limiter.hit([charge])
    assert (only(decision).wait, decision.wait, decision.retry_after) == (MINUTE - 9_999, None, None)


def test_a_cost_is_charged_whole_or_not_at_all(door: Door) -> None:
    charge = door.charge(10)
    assert door.limiter.hit([charge], 7).allowed
    denied = door.limiter.hit([charge], 4)
    assert (denied.allowed, only(denied).used, only(denied).remaining) == (False, 7, 3)
    assert only(door.limiter.hit([charge], 3)).remaining == 0


def test_a_cost_above_the_limit_never_fits(door: Door) -> None:
    charge = door.charge(3)
    for decision in (door.limiter.hit([charge], 4), door.limiter.peek([charge], 4)):
        assert (decision.allowed, decision.wait, decision.retry_after) == (False, None, None)
    assert door.used(charge) == [0]


def test_a_limit_of_nothing_allows_nothing(door: Door) -> None:
    charge = door.charge(0)
    assert door.hits(charge, 2) == [False, False]
    assert only(door.limiter.peek([charge])).wait is None


def test_a_cost_below_one_is_refused(door: Door) -> None:
    charge = door.charge(3)
    for cost in (0, -1):
        with pytest.raises(ValueError, match="a cost is at least 1"):
            door.limiter.hit([charge], cost)
    with pytest.raises(ValueError, match="a cost is"):
        door.limiter.peek([charge], -1)
    assert door.used(charge) == [0]


def test_subjects_and_policies_are_counted_apart(door: Door) -> None:
    one, other = door.charge(1), door.charge(1)
    assert door.hits(one, 2) == [True, False]
    assert door.hits(other, 2) == [True, False]
    assert door.hits(one._replace(subject="user:8"), 2) == [True, False]


def test_nobody_is_denied_who_is_asked_nothing(door: Door) -> None:
    decision = door.limiter.hit([])
    assert (decision.allowed, decision.results) == (True, ())


def test_many_charges_over_many_windows_are_each_counted_once(door: Door) -> None:
    """Each of 40 windows takes what the limit says, though its charges are spread over it."""
    charge = door.charge(8)
    admitted = 0
    for tenth in range(400):
        door.at(tenth * (MINUTE // 10 + 1))
        admitted += sum(door.hits(charge, 2))
    assert 40 * 8 - 8 <= admitted <= 41 * 8


# Several at once ---------------------------------------------------------------------------------


def test_a_denied_request_charges_nothing(door: Door) -> None:
    wide, narrow, other = door.charge(10), door.charge(2), door.charge(5)
    for _ in range(2):
        assert door.limiter.hit([wide, narrow, other]).allowed
    for _ in range(3):
        denied = door.limiter.hit([wide, narrow, other])
        assert [one.policy for one in denied.denials] == [narrow.policy]
    assert door.used(wide, narrow, other) == [2, 2, 2]


def test_all_that_deny_are_told_and_the_longest_wait_counts(door: Door) -> None:
    minute, hour, open_ = door.charge(1), door.charge(1, 60 * MINUTE), door.charge(5)
    door.limiter.hit([minute, hour, open_])
    denied = door.limiter.hit([open_, minute, hour])
    assert [one.policy for one in denied.denials] == [minute.policy, hour.policy]
    assert [one.wait for one in denied.results] == [MINUTE + 1, MINUTE + 1, 60 * MINUTE + 1]
    assert (denied.wait, denied.retry_after) == (60 * MINUTE + 1, 3601)


def test_a_wait_is_not_told_where_one_of_them_never_ends(door: Door) -> None:
    minute, never = door.charge(1), door.charge(0)
    door.limiter.hit([minute])
    denied = door.limiter.hit([minute, never])
    assert (len(denied.denials), denied.wait) == (2, None)


def test_one_subject_under_several_names_of_policies_and_many_subjects_under_one(door: Door) -> None:
    policy = door.policy(1)
    charges = [Charge(policy, f"user:{name}") for name in range(20)]
    assert door.limiter.hit(charges).allowed
    assert not door.limiter.hit(charges[7:8]).allowed


# Shadows -----------------------------------------------------------------------------------------


def test_a_shadow_is_counted_and_never_denies(door: Door) -> None:
    shadow = door.charge(2, shadow=True)
    told = [door.limiter.hit([shadow]) for _ in range(4)]
    assert [one.allowed for one in told] == [True] * 4
    assert [only(one).full for one in told] == [False, False, True, True]
    assert [only(one).denied for one in told] == [False] * 4
    assert [only(one).used for one in told] == [1, 2, 2, 2]
    assert all(one.denials == () for one in told)


def test_a_full_shadow_tells_how_long_it_would_have_denied(door: Door) -> None:
    shadow = door.charge(1, shadow=True)
    door.limiter.hit([shadow])
    door.at(15_000)
    decision = door.limiter.hit([shadow])
    assert (only(decision).wait, decision.wait) == (MINUTE - 14_999, None)


def test_a_full_shadow_keeps_nobody_else_from_being_charged(door: Door) -> None:
    shadow, real = door.charge(1, shadow=True), door.charge(3)
    assert [door.limiter.hit([shadow, real]).allowed for _ in range(4)] == [True] * 3 + [False]
    assert door.used(shadow, real) == [1, 3]


def test_a_shadow_is_not_charged_for_what_others_deny(door: Door) -> None:
    shadow, real = door.charge(5, shadow=True), door.charge(1)
    assert [door.limiter.hit([shadow, real]).allowed for _ in range(3)] == [True, False, False]
    assert door.used(shadow, real) == [1, 1]


def test_a_shadow_that_becomes_real_has_its_past(door: Door) -> None:
    shadow = door.charge(2, shadow=True)
    door.hits(shadow, 2)
    real = shadow._replace(policy=replace(shadow.policy, shadow=False))
    assert not door.limiter.hit([real]).allowed


# Looking, forgetting, giving back ----------------------------------------------------------------


def test_a_peek_says_what_a_hit_would_and_charges_nothing(door: Door) -> None:
    charge = door.charge(2)
    for used in (0, 1):
        for _ in range(2):
            peeked = door.limiter.peek([charge])
            assert (peeked.allowed, only(peeked).used, only(peeked).remaining) == (True, used, 2 - used)
        door.limiter.hit([charge])
    assert door.limiter.peek([charge]) == door.limiter.hit([charge])


def test_stats_tell_what_is_used_of_each(door: Door) -> None:
    one, other = door.charge(5), door.charge(9)
    door.limiter.hit([one, other], 3)
    door.limiter.hit([other])
    told = door.limiter.stats([one, other])
    assert [(each.used, each.remaining, each.full) for each in told] == [(3, 2, False), (4, 5, False)]


def test_a_reset_forgets_the_subject_and_nobody_else(door: Door) -> None:
    one, other = door.charge(1), door.charge(1)
    elsewhere = one._replace(subject="user:8")
    for charge in (one, other, elsewhere):
        door.limiter.hit([charge])
    assert door.limiter.reset("user:7", [one.policy, other.policy.id, new_id()]) == 2
    assert door.used(one, other, elsewhere) == [0, 0, 1]
    assert door.limiter.reset("user:7", [one.policy, other.policy.id]) == 0
    assert door.hits(one, 2) == [True, False]


def test_a_refund_gives_back_what_was_charged_and_no_more(door: Door) -> None:
    one, other = door.charge(10), door.charge(20)
    door.limiter.hit([one, other], 2)
    door.at(5)
    charged = door.limiter.hit([one, other], 3)
    door.at(10_000)
    door.limiter.hit([one, other], 4)
    door.limiter.refund(charged)
    assert door.used(one, other) == [6, 6]
    door.at(MINUTE + 1)
    assert door.used(one, other)[0] in ({Algorithm.LOG: (4,), Algorithm.TICKS: (4, 6)}[door.algorithm])
    door.at(MINUTE + 1000)
    assert door.used(one, other) == [4, 4]


def test_a_refund_of_a_denied_request_is_nothing(door: Door) -> None:
    charge = door.charge(2)
    door.hits(charge, 2)
    door.limiter.refund(door.limiter.hit([charge]))
    assert door.used(charge) == [2]


def test_a_refund_takes_nothing_from_a_shadow_that_was_not_charged(door: Door) -> None:
    shadow, real = door.charge(1, shadow=True), door.charge(5)
    door.limiter.hit([shadow, real])
    door.limiter.refund(door.limiter.hit([shadow, real]))
    assert door.used(shadow, real) == [1, 1]


def test_a_refund_of_what_is_over_takes_nothing_from_later_charges(door: Door) -> None:
    charge = door.charge(5)
    over = door.limiter.hit([charge], 2)
    door.at(30_000)
    door.limiter.hit([charge], 2)
    door.at(MINUTE + 1)
    door.limiter.hit([charge], 1)
    assert door.used(charge) == [3]
    door.limiter.refund(over)
    assert door.used(charge) == [3]


def test_a_refund_after_a_reset_takes_nothing_from_later_charges(door: Door) -> None:
    charge = door.charge(5)
    forgotten = door.limiter.hit([charge], 2)
    door.limiter.reset("user:7", [charge.policy])
    door.at(5_000)
    door.limiter.hit([charge], 1)
    door.limiter.refund(forgotten)
    assert door.used(charge) == [1]


# Edits -------------------------------------------------------------------------------------------


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
