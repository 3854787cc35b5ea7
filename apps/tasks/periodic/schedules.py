"""When an entry ticks: every so many seconds, or as a crontab expression says in a time zone.

A schedule is a fixed set of moments, the same wherever one begins to look: so every beat finds the same
ticks, whenever it was started. Moments are aware; those that are returned are in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import count
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from apps.tasks.periodic import crontabs
from apps.tasks.periodic.crontabs import ScheduleError

#: The shortest and the longest interval (seconds).
SHORTEST, LONGEST = 0.1, 366 * 86_400.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


class Schedule(Protocol):
    """A fixed set of moments without an end."""

    def next_after(self, moment: datetime) -> datetime:
        """The first tick later than *moment*."""

    def back_from(self, moment: datetime, *, after: datetime) -> Iterator[datetime]:
        """The ticks in (after, moment], the latest first."""


@dataclass(frozen=True)
class Interval:
    """Ticks at the whole multiples of *seconds* since 1970 in UTC; summer time does not touch them.

    Raises `ScheduleError` for less than `SHORTEST` and for more than `LONGEST`.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not SHORTEST <= self.seconds <= LONGEST:
            raise ScheduleError(
                f"an interval is {SHORTEST:g} to {LONGEST:.0f} seconds long, not {self.seconds:g}"
            )

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"

    def next_after(self, moment: datetime) -> datetime:
        return self._tick(self._number(moment) + 1)

    def back_from(self, moment: datetime, *, after: datetime) -> Iterator[datetime]:
        for number in range(self._number(moment), self._number(after), -1):
            yield self._tick(number)

    @property
    def _step(self) -> int:
        return round(self.seconds * 1_000_000)

    def _number(self, moment: datetime) -> int:
        """The number of the last tick that is not later than *moment*."""
        return (moment - _EPOCH) // _MICROSECOND // self._step

    def _tick(self, number: int) -> datetime:
        return _EPOCH + number * self._step * _MICROSECOND


@dataclass(frozen=True)
class Crontab:
    """Ticks when the clock of *zone* (an IANA name) shows what Celery's crontab *expression* asks for.

    A day has to match all three of its fields, as with Celery. Where the clock is put forward, what falls
    into the time that is left out ticks as much later. Where it is put back, what falls into the time
    that comes twice ticks the first time only; but both times when the expression asks for every hour.

    Raises `ScheduleError`.
    """

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        _matching(self.expression)
        zone_of(self.zone)

    def __str__(self) -> str:
        return f"{self.expression} ({self.zone})"

    def next_after(self, moment: datetime) -> datetime:
        moment = moment.astimezone(UTC)
        for days in count():
            for tick in self._of(moment.date() + days * _DAY):
                if tick > moment:
                    return tick
        raise AssertionError("every expression that is accepted ticks again")

    def back_from(self, moment: datetime, *, after: datetime) -> Iterator[datetime]:
        moment, after = moment.astimezone(UTC), after.astimezone(UTC)
        for days in range((moment.date() - after.date()).days + 1):
            for tick in reversed(self._of(moment.date() - days * _DAY)):
                if after < tick <= moment:
                    yield tick

    def _of(self, day: date) -> tuple[datetime, ...]:
        """The ticks of a day in UTC, in order."""
        matching = _matching(self.expression)
        days = tuple(filter(matching.day, (day + shift * _DAY for shift in _SHIFTS)))
        return _ticks(self, day, days) if days else ()


#: Local days of which a part may fall into a day in UTC: clocks are up to 14 hours ahead, and no clock
#: was ever put forward by more than a day.
_SHIFTS = (-2, -1, 0, 1)


class _Matching(NamedTuple):
    """What an expression asks for."""

    times: tuple[time, ...]
    days_of_month: frozenset[int]
    months: frozenset[int]
    #: Sunday is 0.
    days_of_week: frozenset[int]
    every_hour: bool

    def day(self, day: date) -> bool:
        """Whether a day matches all three fields."""
        return (
            day.month in self.months
            and day.day in self.days_of_month
            and day.isoweekday() % 7 in self.days_of_week
        )


@lru_cache(maxsize=256)
def _matching(expression: str) -> _Matching:
    parsed = vars(crontabs.parse(expression))
    return _Matching(
        times=tuple(time(hour, minute) for hour in parsed["hour"] for minute in parsed["minute"]),
        days_of_month=frozenset(parsed["day_of_month"]),
        months=frozenset(parsed["month_of_year"]),
        days_of_week=frozenset(parsed["day_of_week"]),
        every_hour=len(parsed["hour"]) == 24,
    )


@lru_cache(maxsize=128)
def _ticks(schedule: Crontab, day: date, local_days: tuple[date, ...]) -> tuple[datetime, ...]:
    """The ticks of a day in UTC, given the days of the schedule's zone that match and may fall into it."""
    matching, zone = _matching(schedule.expression), zone_of(schedule.zone)
    found = set()
    for local_day in local_days:
        for clock in matching.times:
            first = datetime.combine(local_day, clock, tzinfo=zone)
            found.add(first.astimezone(UTC))
            if matching.every_hour and _comes_twice(first):
                found.add(first.replace(fold=1).astimezone(UTC))
    return tuple(sorted(tick for tick in found if tick.date() == day))


def _comes_twice(local: datetime) -> bool:
    """Whether the clock shows this a second time, having been put back."""
    first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    return first is not None and second is not None and first > second


def zone_of(name: str) -> ZoneInfo:
    """The time zone with that IANA name. Raises `ScheduleError` where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"there is no time zone {name!r}") from None
