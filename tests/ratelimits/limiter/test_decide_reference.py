"""Long random histories of the real script, in time that tests pass, against a limiter that adds up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Decision, Limiter, Policy
from apps.ratelimits.limiter.scripts import script
from apps.ratelimits.limiter.values import TICKS
from tests.ratelimits.limiter.limiting import DAY, HOUR, MINUTE, WRAP, new_id, set_clock, timed
from tests.ratelimits.limiter.reference import Reference

#: Where times begin anew in the middle of what follows: they are kept modulo 2^31.
BEFORE_WRAP = 900 * WRAP - 2 * HOUR
DECISIONS = 4000


@pytest.fixture
def timely(client: redis.Redis, limiter: Limiter) -> Limiter:
    limiter._decide = timed(script("decide"), client)
    return limiter


@dataclass
class World:
    """Policies that an operator changes, subjects that ask under them, and the time."""

    client: redis.Redis
    limiter: Limiter
    policies: list[Policy]
    limits: dict[str, list[int]]
    windows: dict[str, list[int]]
    random: random.Random
    now: int = BEFORE_WRAP

    def steps(self, count: int) -> Iterator[tuple[list[Charge], int]]:
        """Requests, with the time between them, and now and then an edit."""
        for _ in range(count):
            self.now += self.random.choice((0, 0, 1, 40, 900, 5_000, self.random.randint(0, 120_000)))
            if self.random.random() < 0.02:
                self.now += self.random.randint(0, 2 * HOUR)
            set_clock(self.client, self.now)
            if self.random.random() < 0.05:
                self.edit()
            asked = self.random.sample(self.policies, self.random.randint(1, len(self.policies)))
            charges = [Charge(policy, f"user:{self.random.randint(1, 3)}") for policy in asked]
            yield charges, self.random.choice((1, 1, 1, 1, 2, 3, 7))

    def edit(self) -> None:
        index = self.random.randrange(len(self.policies))
        policy = self.policies[index]
        self.policies[index] = replace(
            policy,
            limit=self.random.choice(self.limits[policy.id]),
            window=self.random.choice(self.windows[policy.id]),
            shadow=self.random.random() < 0.2,
        )


def world(
    client: redis.Redis, limiter: Limiter, algorithm: Algorithm | None, limits: list[list[int]], seed: int
) -> World:
    windows = [[MINUTE, 10 * MINUTE], [10 * MINUTE, 10 * MINUTE + 7], [HOUR, 2 * HOUR, MINUTE]]
    ids = [new_id() for _ in limits]
    return World(
        client=client,
        limiter=limiter,
        policies=[
            Policy(each, some[0], window[0], algorithm=algorithm)
            for each, some, window in zip(ids, limits, windows, strict=True)
        ],
        limits=dict(zip(ids, limits, strict=True)),
        windows=dict(zip(ids, windows, strict=True)),
        random=random.Random(seed),
    )


def said(decision: Decision) -> tuple[bool, list[tuple[bool, int, int, int | None]]]:
    return decision.allowed, [(one.full, one.used, one.remaining, one.wait) for one in decision.results]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_says_exactly_what_adding_up_says(timely: Limiter, client: redis.Redis, seed: int) -> None:
    limits = [[5, 12, 3, 0], [20, 30, 10], [50, 200, 60]]
    around = world(client, timely, Algorithm.LOG, limits, seed)
    reference = Reference()
    allowed = denied = 0
    charged: list[tuple[int, Decision]] = []
    for charges, cost in around.steps(DECISIONS):
        now = around.now
        if around.random.random() < 0.2:
            ours, theirs = timely.peek(charges, cost), reference.peek(charges, cost, now)
        else:
            ours, theirs = timely.hit(charges, cost), reference.hit(charges, cost, now)
            allowed += ours.allowed
            denied += not ours.allowed
            if ours.allowed:
                charged.append((now, ours))
        assert said(ours) == (theirs[0], [(one.full, one.used, one.remaining, one.wait) for one in theirs[1]])
        assert ours.moment == now % WRAP
        if charged and around.random.random() < 0.05:
            at, back = charged.pop(around.random.randrange(max(0, len(charged) - 20), len(charged)))
            timely.refund(back)
            for one in back.results:
                if not one.full:
                    reference.refund(one.policy, one.subject, at, back.cost)
    assert around.now > BEFORE_WRAP + 4 * HOUR
    assert min(allowed, denied) > DECISIONS / 10


@pytest.mark.parametrize(
    ("algorithm", "limits"),
    [
        (Algorithm.TICKS, [[5, 12, 3, 0], [20, 30, 10], [50, 200, 60]]),
        # Between the forms, and so that the most is reached in both.
        (None, [[900, 1500, 1001, 1000], [700, 1100], [999, 3000, 50]]),
    ],
)
@pytest.mark.parametrize("windows_change", [False, True])
def test_ticks_never_admit_more_and_hold_a_64th_of_the_window_longer_at_most(
    timely: Limiter,
    client: redis.Redis,
    algorithm: Algorithm | None,
    limits: list[list[int]],
    windows_change: bool,
) -> None:
    """Checked against all that was ever admitted, and not against what the limiter remembers of it."""
    around = world(client, timely, algorithm, limits, seed=3)
    if not windows_change:
        around.windows = {each.id: [each.window] for each in around.policies}
    by = 1 if algorithm else 60
    # Entries were made in the widths of all windows that there were.
    longer = {each: max(ceil(one / TICKS) for one in some) for each, some in around.windows.items()}
    # What a window that was shorter for a while did not reach is forgotten with its tick at the latest.
    admitted, held = Reference(), Reference()
    counts = {"allowed": 0, "denied": 0, "held longer": 0}
    charged: list[tuple[int, Decision]] = []
    for charges, units in around.steps(DECISIONS):
        now, cost = around.now, units * by
        decision = timely.hit(charges, cost)
        counts["allowed" if decision.allowed else "denied"] += 1
        for charge, one in zip(charges, decision.results, strict=True):
            limit, slack = charge.policy.limit, longer[charge.policy.id]
            least, most = admitted.used(charge, now), held.used(charge, now, slack)
            own = cost if decision.allowed and not one.full else 0
            assert least <= one.used - own <= most
            if own:
                assert least + cost <= limit
                admitted.charge(charge, cost, now)
                held.charge(charge, cost, now, slack)
            elif one.full:
                assert most + cost > limit
                counts["held longer"] += least + cost <= limit
        if decision.allowed:
            charged.append((now, decision))
        if charged and around.random.random() < 0.03:
            at, back = charged.pop(around.random.randrange(max(0, len(charged) - 20), len(charged)))
            timely.refund(back)
            for one in back.results:
                if not one.full:
                    admitted.refund(one.policy, one.subject, at, back.cost)
    assert around.now > BEFORE_WRAP + 4 * HOUR
    assert min(counts["allowed"], counts["denied"]) > DECISIONS / 20
    assert counts["held longer"] > 0


def test_a_log_in_ticks_has_as_many_entries_as_ticks_and_holds_each_unit(
    timely: Limiter, client: redis.Redis
) -> None:
    charge = Charge(Policy(new_id(), 1_000_000, 10 * MINUTE), "user:7")
    key = timely.keys.log(*charge)
    for step in range(3000):
        set_clock(client, BEFORE_WRAP + 2 * HOUR - 10 * MINUTE + step * 700)
        timely.hit([charge], 1 + step % 3)
        assert client.llen(key) <= TICKS + 2
    [told] = timely.stats([charge])
    assert 2 * (10 * MINUTE // 700) <= told.used <= 2 * (10 * MINUTE // 700) * 66 / 64 + 6


# The clock's steps -------------------------------------------------------------------------------

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


# Edits with many charges -------------------------------------------------------------------------


def test_a_thousand_charges_are_kept_when_limits_cross_the_forms(
    timely: Limiter, client: redis.Redis
) -> None:
    """50 → 200 → 50 and 1,000 → 5,000 → 800, with charges all over the window."""
    ids = new_id(), new_id()
    start = BEFORE_WRAP

    def charges(*limits: int) -> list[Charge]:
        return [Charge(Policy(name, limit, HOUR), "user:7") for name, limit in zip(ids, limits, strict=True)]

    admitted: list[int] = []

    def until_denied(at: int, asked: list[Charge]) -> int:
        set_clock(client, at)
        count = 0
        while timely.hit(asked).allowed:
            admitted.append(at)
            count += 1
        return count

    for passed, limits, expected in (
        (0, (50, 1000), 50),
        (60_000, (200, 1000), 150),
        (120_000, (50, 1000), 0),
        (180_000, (50, 5000), 0),
        (240_000, (2000, 5000), 1800),
        (300_000, (2000, 800), 0),
        (360_000, (5000, 3000), 1000),
        (420_000, (999, 999), 0),
        # The first fifty are over, and it is still far too many for less than a thousand.
        (HOUR + 60_000, (999, 999), 0),
        (HOUR + 240_000 + 60_000, (1500, 1200), 200),
        (2 * HOUR + 300_000 + 60_000 + 60_000, (900, 800), 800),
    ):
        assert until_denied(start + passed, charges(*limits)) == expected, (passed, limits)


def test_a_log_above_a_thousand_by_name_takes_over_what_was_in_ticks(
    timely: Limiter, client: redis.Redis
) -> None:
    ticks = Charge(Policy(new_id(), 5000, HOUR, algorithm=Algorithm.TICKS), "user:7")
    log = ticks._replace(policy=replace(ticks.policy, algorithm=Algorithm.LOG))
    set_clock(client, BEFORE_WRAP)
    assert timely.hit([ticks], 3000).allowed
    for second in range(1, 4):
        set_clock(client, BEFORE_WRAP + second * 1000)
        assert timely.hit([log], 500).allowed
    assert timely.stats([log])[0].used == 4500
    # Not one for each of the units that were in ticks.
    assert client.llen(timely.keys.log(*log)) == 4
    assert timely.peek([log], 501).wait == HOUR + 1 - 3000
    set_clock(client, BEFORE_WRAP + HOUR + 1)
    assert timely.hit([log], 10).allowed
    set_clock(client, BEFORE_WRAP + HOUR + 1001)
    assert timely.stats([log])[0].used == 1010
