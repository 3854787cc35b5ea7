"""Denials that are remembered: never for longer than they are true, and never too many."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from apps.ratelimits.limiter import Charge, Decision, Policy, Reason, Unavailable
from apps.ratelimits.limiter.breaker import Breaker
from apps.ratelimits.limiter.denials import Denials
from apps.ratelimits.limiter.local import LocalLimiter
from tests.ratelimits.limiter.limiting import MINUTE, new_id


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def truth(clock: Clock) -> LocalLimiter:
    """What is asked where no denial is known."""
    return LocalLimiter(clock=clock)


def new_charge(limit: int, window: int = 5_000, *, shadow: bool = False) -> Charge:
    return Charge(Policy(new_id(), limit, window, shadow), "user:7")


def learn(denials: Denials, truth: LocalLimiter, charges: list[Charge], cost: int = 1) -> Decision:
    asked_at = denials.now()
    decision = truth.hit(charges, cost)
    denials.learn(decision, asked_at)
    return decision


def test_nothing_is_known_before_a_denial(clock: Clock, truth: LocalLimiter) -> None:
    denials, charge = Denials(clock=clock), new_charge(1)
    assert denials.find([charge]) is None
    assert learn(denials, truth, [charge]).allowed
    assert denials.find([charge]) is None
    assert len(denials) == 0


def test_a_denial_is_known_until_there_is_room_and_no_longer(clock: Clock, truth: LocalLimiter) -> None:
    denials, charge = Denials(clock=clock), new_charge(1)
    learn(denials, truth, [charge])
    clock.now += 1.25
    told = learn(denials, truth, [charge])
    assert told.wait == 3751
    clock.now += 1.5
    found = denials.find([charge])
    assert found is not None
    assert (found.allowed, found.retry_after) == (False, 3)
    assert found.wait is not None
    assert 2251 <= found.wait <= 2252
    clock.now += 2.250
    assert denials.find([charge]) is not None
    clock.now += 0.0011
    assert truth.peek([charge]).allowed
    assert denials.find([charge]) is None
    assert len(denials) == 0


def test_the_time_that_the_question_took_is_not_added(clock: Clock, truth: LocalLimiter) -> None:
    denials, charge = Denials(clock=clock), new_charge(1)
    truth.hit([charge])
    asked_at = denials.now()
    decision = truth.hit([charge])
    clock.now += 3
    denials.learn(decision, asked_at)
    clock.now += 2.0011
    assert denials.find([charge]) is None


def test_a_denial_is_believed_for_ten_seconds_at_most(clock: Clock, truth: LocalLimiter) -> None:
    denials, hour, never = Denials(clock=clock), new_charge(1, 60 * MINUTE), new_charge(0)
    truth.hit([hour])
    for charge in (hour, never):
        learn(denials, truth, [charge])
    clock.now += 9.99
    found = denials.find([hour])
    assert found is not None
    # What is told is the truth all the same.
    assert found.retry_after == 3591
    found = denials.find([never])
    assert found is not None
    assert found.wait is None
    clock.now += 0.02
    assert denials.find([hour]) is None
    assert denials.find([never]) is None


def test_one_of_several_that_denies_is_enough(clock: Clock, truth: LocalLimiter) -> None:
    denials, full, free = Denials(clock=clock), new_charge(1), new_charge(5)
    truth.hit([full])
    learn(denials, truth, [free, full])
    found = denials.find([free, full])
    assert found is not None
    assert [one.policy for one in found.results] == [full.policy]
    assert denials.find([free]) is None
    assert denials.find([full._replace(subject="user:8")]) is None


def test_a_denial_of_much_says_nothing_of_less(clock: Clock, truth: LocalLimiter) -> None:
    denials, charge = Denials(clock=clock), new_charge(5)
    truth.hit([charge], 3)
    learn(denials, truth, [charge], 4)
    assert denials.find([charge], 2) is None
    assert denials.find([charge], 3) is None
    for cost in (4, 5, 100):
        found = denials.find([charge], cost)
        assert found is not None
        assert found.cost == cost


def test_a_shadow_is_never_remembered_to_deny(clock: Clock, truth: LocalLimiter) -> None:
    denials, shadow, real = Denials(clock=clock), new_charge(0, shadow=True), new_charge(0)
    learn(denials, truth, [shadow, real])
    assert denials.find([shadow]) is None
    assert denials.find([real]) is not None
    became = real._replace(policy=replace(real.policy, shadow=True))
    assert denials.find([became]) is None


def test_what_is_forgotten_is_asked_anew(clock: Clock, truth: LocalLimiter) -> None:
    denials, charge = Denials(clock=clock), new_charge(0)
    learn(denials, truth, [charge])
    denials.forget()
    assert denials.find([charge]) is None
    assert len(denials) == 0
    clock.now += 0.001
    learn(denials, truth, [charge])
    assert denials.find([charge]) is not None


def test_an_answer_from_before_what_was_forgotten_is_not_remembered(
    clock: Clock, truth: LocalLimiter
) -> None:
    """It was on its way while the limit was raised."""
    denials, charge = Denials(clock=clock), new_charge(0)
    asked_at = denials.now()
    decision = truth.hit([charge])
    clock.now += 0.001
    denials.forget()
    denials.learn(decision, asked_at)
    assert denials.find([charge]) is None


def test_no_more_are_kept_than_was_said(clock: Clock, truth: LocalLimiter) -> None:
    denials, policy = Denials(most=100, clock=clock), Policy("minute", 0, MINUTE)
    for number in range(1000):
        learn(denials, truth, [Charge(policy, f"user:{number}")])
        assert len(denials) <= 100
        clock.now += 0.001
    assert denials.find([Charge(policy, "user:999")]) is not None
    assert len(denials) > 50


def test_those_that_are_over_make_room_first(clock: Clock, truth: LocalLimiter) -> None:
    denials = Denials(most=10, clock=clock)
    short, long = new_charge(1, 1000).policy, new_charge(0).policy
    for number in range(5):
        learn(denials, truth, [Charge(long, f"long:{number}")])
    for number in range(5):
        truth.hit([Charge(short, f"short:{number}")])
        learn(denials, truth, [Charge(short, f"short:{number}")])
    clock.now += 2
    learn(denials, truth, [Charge(long, "long:5")])
    assert len(denials) == 6
    assert all(denials.find([Charge(long, f"long:{number}")]) for number in range(6))


def test_what_is_remembered_never_denies_what_would_be_allowed(clock: Clock, truth: LocalLimiter) -> None:
    denials, chance = Denials(clock=clock), random.Random(5)
    policies = [new_charge(limit, window).policy for limit, window in ((3, 700), (5, 3_000), (9, 20_000))]
    spared = 0
    for _ in range(5000):
        clock.now += chance.choice((0, 0.001, 0.01, 0.1, 0.7))
        charges = [Charge(policy, f"user:{chance.randint(1, 3)}") for policy in chance.sample(policies, 2)]
        cost = chance.randint(1, 4)
        found = denials.find(charges, cost)
        if found is None:
            learn(denials, truth, charges, cost)
            continue
        spared += 1
        told = truth.peek(charges, cost)
        assert not told.allowed
        [one] = found.results
        [same] = [other for other in told.denials if other.policy == one.policy]
        # Of a smaller cost, perhaps; and to the next millisecond.
        if one.wait is not None and same.wait is not None:
            assert one.wait <= same.wait + 2
    assert spared > 500


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_may_learn_and_find_at_once() -> None:
    """Those that find take out what is over, while others make room."""
    denials, truth = Denials(most=200, longest=0.002), LocalLimiter()
    policy, barrier = Policy("minute", 0, MINUTE), threading.Barrier(4)

    def run(number: int) -> int:
        barrier.wait(60)
        chance = random.Random(number)
        for _ in range(4000):
            charge = Charge(policy, f"user:{chance.randint(1, 2000)}")
            if denials.find([charge]) is None:
                denials.learn(truth.hit([charge]), denials.now())
        return len(denials)

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(run, range(4))) <= 200


def test_one_that_is_found_to_be_over_while_room_is_made_disturbs_nobody(
    clock: Clock, truth: LocalLimiter
) -> None:
    """As another thread does in the middle of the search for those that are over."""
    denials, policy = Denials(most=5, clock=clock), Policy("minute", 0, MINUTE)
    charges = [Charge(policy, f"user:{number}") for number in range(6)]
    for charge in charges[:5]:
        learn(denials, truth, [charge])
    clock.now += 20
    left = iter(charges[:5])

    class Looked(float):
        """A time that somebody asks at for each time that it is compared with."""

        def __ge__(self, other: float) -> bool:
            denials.find([next(left)])
            return float(self) >= other

    denials.learn(truth.hit(charges[5:]), Looked(denials.now()))
    assert next(left, None) is None
    assert len(denials) == 1
    assert denials.find(charges[5:]) is not None


# The breaker -------------------------------------------------------------------------------------


def test_a_breaker_is_open_from_the_first_failure_until_it_is_closed() -> None:
    breaker, failure = Breaker(), Unavailable(Reason.TIMEOUT, "no answer")
    breaker.check()
    assert [breaker.open(failure), breaker.open(failure)] == [True, False]
    with pytest.raises(Unavailable, match=r"^breaker: timeout: no answer$") as caught:
        breaker.check()
    assert caught.value.reason is Reason.BREAKER
    assert breaker.failure is failure
    assert [breaker.close(), breaker.close()] == [True, False]
    breaker.check()
    assert breaker.failure is None


def test_of_many_who_open_a_breaker_one_brings_the_news() -> None:
    breaker, barrier = Breaker(), threading.Barrier(8)

    def run(_: int) -> int:
        barrier.wait(60)
        return sum(breaker.open(Unavailable(Reason.CONNECTION)) for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1
