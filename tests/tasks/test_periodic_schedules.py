"""When entries tick: against Celery's own crontab, through summer time and ends of months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from apps.tasks.periodic import crontabs
from apps.tasks.periodic.crontabs import ScheduleError
from apps.tasks.periodic.schedules import Crontab, Interval, Schedule, zone_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ticks(schedule: Schedule, start: str, count: int) -> list[datetime]:
    moment, found = at(start), []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(moment)
    return found


def celery_next(expression: str, zone: str, moment: datetime) -> datetime:
    """What Celery's crontab makes of it, in a beat whose time zone is *zone*."""
    schedule = crontabs.parse(expression)
    schedule.app = current_app
    schedule.tz = ZoneInfo(zone)
    schedule.nowfun = lambda: moment
    return (moment + schedule.remaining_estimate(moment)).astimezone(UTC)


def celery_ticks(expression: str, zone: str, start: str, count: int) -> list[datetime]:
    moment, found = at(start), []
    for _ in range(count):
        moment = celery_next(expression, zone, moment)
        found.append(moment)
    return found


# The 29th of March 2026, 02:00 to 03:00, does not exist in Berlin; the 25th of October has it twice.
@pytest.mark.parametrize(
    ("expression", "zone", "start"),
    [
        ("0 0 31 * *", "UTC", "2026-01-01T00:00Z"),
        ("0 0 28-31 * *", "UTC", "2026-02-01T00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z"),
        ("59 23 31 12 *", "America/New_York", "2025-12-30T00:00Z"),
        ("0 0 30,31 * mon", "UTC", "2026-01-01T00:00Z"),
        ("*/7 5-9/2 * * 1-5", "UTC", "2026-01-31T00:00Z"),
        ("0 0 1 */3 *", "Asia/Tokyo", "2026-01-31T00:00Z"),
        ("30 22-2 * * *", "Asia/Kolkata", "2026-01-31T00:00Z"),
        ("0 12 * * *", "Europe/Berlin", "2026-03-27T12:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00Z"),
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00Z"),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00Z"),
        ("15,45 1-3 25 10 *", "Europe/Berlin", "2026-10-24T12:00Z"),
        ("0 0 * * *", "America/Santiago", "2026-09-03T12:00Z"),
        ("0 2 * * sun", "Australia/Lord_Howe", "2026-09-01T00:00Z"),
        ("0 2 * * sun", "America/New_York", "2026-10-20T00:00Z"),
    ],
)
def test_a_crontab_ticks_when_celerys_does(expression: str, zone: str, start: str):
    assert ticks(Crontab(expression, zone), start, 12) == celery_ticks(expression, zone, start, 12)


def test_time_that_is_left_out_ticks_as_much_later():
    assert ticks(Crontab("30 2 * * *", "Europe/Berlin"), "2026-03-28T12:00Z", 2) == [
        at("2026-03-29T03:30+02:00"), at("2026-03-30T02:30+02:00"),
    ]  # fmt: skip


def test_time_that_comes_twice_ticks_the_first_time_only():
    assert ticks(Crontab("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00Z", 2) == [
        at("2026-10-25T02:30+02:00"), at("2026-10-26T02:30+01:00"),
    ]  # fmt: skip


def test_what_ticks_in_every_hour_ticks_in_the_hour_that_comes_twice_both_times():
    """Celery leaves out the second: an every-minute entry would stand still for an hour."""
    start = "2026-10-24T23:30Z"
    assert ticks(Crontab("*/30 * * * *", "Europe/Berlin"), start, 6) == [
        at("2026-10-25T02:00+02:00"), at("2026-10-25T02:30+02:00"),
        at("2026-10-25T02:00+01:00"), at("2026-10-25T02:30+01:00"),
        at("2026-10-25T03:00+01:00"), at("2026-10-25T03:30+01:00"),
    ]  # fmt: skip
    assert celery_ticks("*/30 * * * *", "Europe/Berlin", start, 3)[-1] == at("2026-10-25T03:00+01:00")


def test_every_minute_is_every_minute_in_every_time_zone():
    for zone in (
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Santiago",
        "Asia/Kathmandu",
    ):
        schedule = Crontab("* * * * *", zone)
        for start in ("2026-04-04T10:00Z", "2026-10-24T23:00Z", "2011-12-29T20:00Z"):
            expected = [at(start) + timedelta(minutes=n + 1) for n in range(1500)]
            assert ticks(schedule, start, 1500) == expected


def test_a_day_that_a_country_left_out_ticks_a_day_later():
    """Samoa went from the 29th to the 31st of December 2011."""
    assert ticks(Crontab("0 12 30 12 *", "Pacific/Apia"), "2011-12-01T00:00Z", 2) == [
        at("2011-12-31T12:00+14:00"), at("2012-12-30T12:00+14:00"),
    ]  # fmt: skip


def fields(low: int, high: int, words: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    parts = [number.map(str), spans, st.tuples(spans, st.integers(1, 9)).map(lambda p: f"{p[0]}/{p[1]}")]
    if words:
        parts.append(st.sampled_from(words))
    listed = st.lists(st.one_of(parts), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, high).map(lambda n: f"*/{n}"), listed)


EXPRESSIONS = st.tuples(
    fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12, ("jan", "feb")), fields(0, 6, ("sun", "fri"))
).map(" ".join)
MOMENTS = st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])


def parsed(expression: str, zone: str = "UTC") -> Crontab:
    try:
        return Crontab(expression, zone)
    except ScheduleError as exc:
        assume("never occurs" not in str(exc))
        raise


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, MOMENTS)
@example("0 0 29 2 mon", at("2026-01-01T00:00Z"))
def test_random_crontabs_tick_when_celerys_do(expression: str, moment: datetime):
    assert parsed(expression).next_after(moment) == celery_next(expression, "UTC", moment)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, ZONES, MOMENTS)
def test_random_crontabs_tick_when_celerys_do_in_zones_while_the_clock_is_not_put(expression, zone, moment):
    tick = parsed(expression, zone).next_after(moment)
    offsets = {
        (tick + timedelta(days=days)).astimezone(zone_of(zone)).utcoffset() for days in (-2, -1, 0, 1)
    } | {moment.astimezone(zone_of(zone)).utcoffset()}
    assume(len(offsets) == 1)
    assert tick == celery_next(expression, zone, moment)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.floats(0.1, 100_000).map(Interval),
        st.tuples(EXPRESSIONS, ZONES),
    ),
    MOMENTS,
)
def test_looking_back_finds_what_looking_ahead_finds(schedule, moment):
    if isinstance(schedule, tuple):
        schedule = parsed(*schedule)
    ahead = list(islice(iter_ticks(schedule, moment), 5))
    back = list(schedule.back_from(ahead[-1], after=moment))
    assert back == ahead[::-1]
    assert ahead == sorted(set(ahead))
    # A moment is none of the ticks after itself, and the last of those up to itself.
    assert schedule.next_after(ahead[0]) == ahead[1]
    assert next(schedule.back_from(ahead[0], after=moment)) == ahead[0]


def iter_ticks(schedule: Schedule, moment: datetime):
    while True:
        moment = schedule.next_after(moment)
        yield moment


def test_intervals_count_from_1970_wherever_one_begins():
    assert ticks(Interval(90), "2026-03-29T00:00:31.5+01:00", 2) == [
        at("2026-03-28T23:01:30Z"), at("2026-03-28T23:03:00Z"),
    ]  # fmt: skip
    half = Interval(0.5)
    assert ticks(half, "2026-01-01T00:00:00.499999Z", 2) == [
        at("2026-01-01T00:00:00.5Z"), at("2026-01-01T00:00:01Z"),
    ]  # fmt: skip
    assert list(half.back_from(at("2026-01-01T00:00:01Z"), after=at("2026-01-01T00:00:00Z"))) == [
        at("2026-01-01T00:00:01Z"), at("2026-01-01T00:00:00.5Z"),
    ]  # fmt: skip
    assert half.next_after(datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))) == at(
        "2026-01-01T00:00:00.5Z"
    )


@pytest.mark.parametrize("seconds", [0, -1, 0.05, float("nan"), float("inf"), 1e9])
def test_intervals_that_cannot_work_are_refused(seconds: float):
    with pytest.raises(ScheduleError, match=r"an interval is 0\.1 to 31622400 seconds long"):
        Interval(seconds)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("* * * *", "five fields"),
        ("", "five fields"),
        ("60 * * * *", "minute '60': Invalid end range: 60 > 59"),
        ("* 24 * * *", "hour '24': Invalid end range: 24 > 23"),
        ("* * 0 * *", "day of month '0': Invalid beginning range: 0 < 1"),
        ("* * * 13 *", "month '13': Invalid end range: 13 > 12"),
        ("* * * * 7", "day of week '7': Invalid end range: 7 > 6"),
        ("1-5-9 * * * *", "minute '1-5-9': expected"),
        ("mon * * * *", "minute 'mon': 'mon' is not a number"),
        ("* * * * jan", "day of week 'jan': 'jan' is not a number or one of sun, mon"),
        ("*/0 * * * *", "minute '*/0': a step is 1 or more"),
        ("5/10 * * * *", "minute '5/10': a step is 1 or more, and follows"),
        ("1,,2 * * * *", "minute '': expected"),
        ("@daily", "five fields"),
        ("0 0 31 feb *", "day_of_month '31' never occurs in month_of_year 'feb'"),
    ],
)
def test_a_crontab_that_cannot_be_read_is_refused_with_the_field_at_fault(expression: str, message: str):
    with pytest.raises(ScheduleError) as caught:
        Crontab(expression)
    assert message in str(caught.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "a\0b"])
def test_a_time_zone_that_does_not_exist_is_refused(zone: str):
    with pytest.raises(ScheduleError, match="there is no time zone"):
        Crontab("* * * * *", zone)


def test_a_crontab_made_in_python_is_written_as_an_expression():
    from celery.schedules import crontab

    assert crontabs.expression_of(crontab()) == "* * * * *"
    made = crontab(minute=5, hour={8, 12}, day_of_month="1, 15", month_of_year=[3], day_of_week="mon-fri")
    assert crontabs.expression_of(made) == "5 8,12 1,15 3 mon-fri"
    assert crontabs.parse(crontabs.expression_of(made)) == made
    with pytest.raises(ScheduleError, match="nowfun"):
        crontabs.expression_of(crontab(nowfun=datetime.now))
