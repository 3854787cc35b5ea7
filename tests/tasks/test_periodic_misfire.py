"""Which ticks get a run when beat was down or slow: as the policy promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.tasks.periodic.misfire import COUNTED, Misfire, plan
from apps.tasks.periodic.schedules import Crontab, Interval, Schedule

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def minutes(*numbers: float) -> list[datetime]:
    return [NOON + number * MINUTE for number in numbers]


@pytest.mark.parametrize(
    ("policy", "grace", "late", "down", "runs"),
    [
        # Every minute, dealt with at noon and then again *down* minutes and *late* seconds later.
        ("skip", None, 5, 1, [1]),
        ("skip", None, 59, 1, [1]),
        ("skip", None, 5, 4, [4]),
        ("once", None, 5, 4, [4]),
        ("all", None, 5, 4, [1, 2, 3, 4]),
        ("skip", 3, 5, 4, []),
        ("once", 3, 5, 4, [4]),
        ("all", 3, 5, 4, [1, 2, 3, 4]),
        ("skip", 100, 5, 4, [3, 4]),
        ("once", 100, 5, 4, [3, 4]),
        ("all", 100, 5, 4, [1, 2, 3, 4]),
        ("skip", 5, 5, 1, []),
        ("skip", 5.5, 5, 1, [1]),
        ("skip", None, 5, 0, []),
        ("once", None, 5, 0, []),
        ("all", None, 5, 0, []),
    ],
)
def test_policies(policy: str, grace: float | None, late: float, down: int, runs: list[int]):
    now = NOON + down * MINUTE + timedelta(seconds=late)
    made = plan(
        Crontab("* * * * *"), since=NOON, now=now, policy=Misfire(policy), grace=grace, limit=100
    )  # fmt: skip
    assert list(made.runs) == minutes(*runs)
    assert made.last_tick == (NOON + down * MINUTE if down else None)
    assert made.next_tick == NOON + (down + 1) * MINUTE
    assert made.left_out == down - len(runs)


def test_without_a_grace_a_daily_tick_is_missed_after_a_minute():
    for late, runs in ((59.9, 1), (60, 0), (3600, 0)):
        made = plan(
            Crontab("0 12 * * *"), since=NOON - MINUTE, now=NOON + timedelta(seconds=late),
            policy=Misfire.SKIP, grace=None, limit=100,
        )  # fmt: skip
        assert len(made.runs) == runs


@pytest.mark.parametrize("policy", list(Misfire))
def test_no_more_runs_than_the_limit_and_of_more_ticks_the_newest(policy: Misfire):
    made = plan(Interval(1), since=NOON, now=NOON + timedelta(days=3650), policy=policy, grace=500, limit=10)
    assert list(made.runs) == [NOON + timedelta(days=3650, seconds=n) for n in range(-9, 1)]
    assert made.left_out == COUNTED - 10


def test_a_clock_that_was_set_back_makes_no_ticks():
    made = plan(
        Interval(60), since=NOON, now=NOON - timedelta(hours=1), policy=Misfire.ALL, grace=None, limit=10
    )
    assert (made.runs, made.last_tick) == ((), None)


def every_tick(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    """By looking at every second of a crontab in UTC, every multiple of an interval."""
    if isinstance(schedule, Interval):
        step = timedelta(seconds=schedule.seconds)
        first = (since - datetime(1970, 1, 1, tzinfo=UTC)) // step + 1
        numbers = range(first, (until - datetime(1970, 1, 1, tzinfo=UTC)) // step + 1)
        return [datetime(1970, 1, 1, tzinfo=UTC) + number * step for number in numbers]
    assert isinstance(schedule, Crontab)
    minute, hour = schedule.expression.split()[:2]
    fits = {"*": 1, "*/5": 5, "*/7": 7}[minute], {"*": 1, "*/3": 3}[hour]
    start = since.replace(second=0, microsecond=0) + MINUTE
    count = max((until - start) // MINUTE + 1, 0)
    moments = (start + number * MINUTE for number in range(count))
    return [m for m in moments if m.minute % fits[0] == 0 and m.hour % fits[1] == 0]


SCHEDULES = st.one_of(
    st.sampled_from([0.5, 1, 7, 30, 60, 900]).map(Interval),
    st.tuples(st.sampled_from(["*", "*/5", "*/7"]), st.sampled_from(["*", "*/3"])).map(
        lambda pair: Crontab(f"{pair[0]} {pair[1]} * * *")
    ),
)
#: Seconds from one look to the next: busy, slow, or down.
LOOKS = st.lists(
    st.one_of(st.floats(0.01, 2), st.floats(1, 90), st.floats(60, 2000)), min_size=1, max_size=12
)


@settings(max_examples=300, deadline=None)
@example(Interval(0.5), [2.0], Misfire.SKIP, 1.5247752499171845, 1.5247752499171845)
@given(
    SCHEDULES, LOOKS, st.sampled_from(Misfire), st.one_of(st.none(), st.floats(1, 300)), st.floats(0, 3600)
)
def test_whatever_the_down_times_every_policy_keeps_its_promise(schedule, looks, policy, grace, offset):
    since = start = NOON + timedelta(seconds=offset)
    now, requested, promised = start, [], []
    for look in looks:
        before, now = now, now + timedelta(seconds=look)
        made = plan(schedule, since=since, now=now, policy=policy, grace=grace, limit=10_000)
        requested += made.runs
        since = max(since, made.last_tick or since)
        due = every_tick(schedule, before, now)
        on_time = [
            tick
            for tick in due
            if now - tick < timedelta(seconds=60.0 if grace is None else grace)
            and (grace is not None or tick == due[-1])
        ]
        promised += {
            Misfire.SKIP: on_time,
            Misfire.ONCE: on_time or due[-1:],
            Misfire.ALL: due,
        }[policy]
        assert made.left_out == len(due) - len(made.runs)
    assert requested == promised
    assert len(set(requested)) == len(requested)
    if policy is Misfire.ALL:
        assert requested == every_tick(schedule, start, now)
