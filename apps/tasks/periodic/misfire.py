"""What becomes of ticks that beat comes to: which of them get a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import models

from apps.tasks.periodic.schedules import Schedule

#: The longest grace of an entry that names none, and the shortest that it may name (seconds).
OWN_GRACE, SHORTEST_GRACE = 60.0, 1.0
#: Missed ticks are counted up to this number, and no further.
COUNTED = 10_000


class Misfire(models.TextChoices):
    """What becomes of ticks that were missed, because beat was down or slow."""

    SKIP = "skip", "Skip: they are left out"
    ONCE = "once", "Once: one run makes up for all of them"
    ALL = "all", "All: each of them gets its run"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done about an entry at one moment."""

    #: The ticks that get a run, in order.
    runs: tuple[datetime, ...]
    #: The newest tick that is dealt with herewith; None when there is none to deal with.
    last_tick: datetime | None
    next_tick: datetime
    #: How many ticks get no run; what is beyond the newest `COUNTED` ticks is not counted.
    left_out: int


def plan(
    schedule: Schedule, *, since: datetime, now: datetime, policy: Misfire, grace: float | None, limit: int
) -> Plan:
    """What is to be done at *now* about the ticks in (since, now].

    A tick that is late by less than *grace* seconds is on time and gets its run under every policy; without
    a grace, one that is late by less than `OWN_GRACE` and has no later tick after it. All others were
    missed: `SKIP` leaves them out; `ONCE` makes one run for all of them, namely that of the newest tick,
    and none if a later tick is on time; `ALL` makes one run for each. More than *limit* runs are never
    made at a time: the oldest ticks are left out.
    """
    due = list(islice(schedule.back_from(now, after=since), COUNTED))
    if grace is None:
        on_time = [tick for tick in due[:1] if now - tick < timedelta(seconds=OWN_GRACE)]
    else:
        on_time = [tick for tick in due if now - tick < timedelta(seconds=grace)]
    match policy:
        case Misfire.SKIP:
            chosen = on_time
        case Misfire.ONCE:
            chosen = on_time or due[:1]
        case Misfire.ALL:
            chosen = due
    chosen = chosen[:limit]
    return Plan(
        runs=tuple(reversed(chosen)),
        last_tick=due[0] if due else None,
        next_tick=schedule.next_after(now),
        left_out=len(due) - len(chosen),
    )
