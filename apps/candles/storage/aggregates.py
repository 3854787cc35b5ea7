"""Roll-ups that TimescaleDB keeps as continuous aggregates.

TimescaleDB computes what is not materialised yet when it is read, so new minutes are in every roll-up at
once. What changes below the part that is materialised is another matter: TimescaleDB shows the old
roll-up until its policy has been there. So changes are logged here too (by `candle_1m_changed`), made up
for on reading (`dirty`), and refreshed in one go for all instruments: TimescaleDB knows only the times of
what changed, and remaking a month for one instrument costs as much as for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import OperationalError, connection
from django.utils import timezone
from psycopg.errors import LockNotAvailable

from apps.candles.ranges import merged
from apps.candles.timeframes import DAY, MINUTE, ROLLUPS, Timeframe, to_datetime, to_ms
from apps.core.resources import sql

#: What is younger than this is never materialised. A transaction that stores minutes and takes less than
#: half of it (see `schema`) can therefore not be overtaken by a refresh that does not see them.
LIVE = timedelta(hours=1)
#: How many buckets TimescaleDB refreshes at once; its default of 10 takes nine times as long.
BUCKETS_PER_BATCH = 2016
#: Changes closer together than this are refreshed as one.
_NEAR = DAY
#: Entries of the log that are dealt with in one round.
_ROUND = 10_000

#: Seconds for which another refresh of the same range is waited for.
_PATIENCE = 60.0

#: What has been done of how much, in refreshes of one range on one level.
OnStep = Callable[[int, int], None]


class InTransaction(RuntimeError):
    """TimescaleDB cannot refresh its aggregates within a transaction."""


def refresh(on_step: OnStep | None = None) -> int:
    """Refresh what the log names, bottom-up, and take it off the log. Returns the entries dealt with.

    Entries that are written meanwhile stay for the next time. Several may run at once, TimescaleDB's policies
    among them: they do work twice, and no harm. Raises `InTransaction`.
    """
    if connection.in_atomic_block:
        raise InTransaction("continuous aggregates cannot be refreshed within a transaction")
    done = 0
    while entries := _logged():
        refresh_ranges(((lo, hi) for _, lo, hi in entries), on_step=on_step)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM candle_dirty WHERE id = ANY (%s)", [[entry[0] for entry in entries]])
        done += len(entries)
    return done


def _logged() -> list[tuple[int, int, int]]:
    """Entries of the log: id, first and last touched minute (ms), in order of time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, lo, hi FROM candle_dirty ORDER BY lo LIMIT %s", [_ROUND])
        return [(entry, to_ms(lo), to_ms(hi)) for entry, lo, hi in cursor.fetchall()]


def refresh_ranges(
    changed: Iterable[tuple[int, int]], *, suffix: str = "", on_step: OnStep | None = None
) -> None:
    """Materialise the buckets that ranges of minutes (ms, both included) touch, on every level.

    Only whole buckets that ended more than `LIVE` ago: everything later is computed on reading. TimescaleDB
    computes only what is newer than all that is materialised, so where a range goes beyond that, what lies
    between is materialised with it: minutes that were new when they were stored, which nobody has logged.
    """
    limit = to_ms(timezone.now() - LIVE)
    spans = merged(((lo, hi + MINUTE) for lo, hi in changed), near=_NEAR)
    steps = [
        (level, lo, min(hi, level.floor(limit)))
        for level in ROLLUPS
        for lo, hi in merged(((level.floor(lo), level.ceil(hi)) for lo, hi in spans), near=_NEAR)
        if lo < level.floor(limit)
    ]
    for done, (level, lo, hi) in enumerate(steps):
        if on_step is not None:
            on_step(done, len(steps))
        if not suffix:
            mark = level.floor(_materialised(level))
            lo = min(lo, mark) if hi > mark else lo
        _call(f"{level.table}{suffix}", lo, hi)


def _materialised(level: Timeframe) -> int:
    """Up to when (ms) a level is materialised; where nothing is, when the first month with minutes begins."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "materialised.sql"), [level.table])
        (mark,) = cursor.fetchone()
    return to_ms(mark)


def _call(view: str, lo: int, hi: int) -> None:
    """Refresh, after whoever refreshes the same just now: TimescaleDB would not wait, but fail."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            _refresh(view, lo, hi)
        except OperationalError as exc:
            if not isinstance(exc.__cause__, LockNotAvailable) or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _refresh(view: str, lo: int, hi: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CALL refresh_continuous_aggregate('{view}', '{to_datetime(lo)}', '{to_datetime(hi)}',"
            f" force => true, options => '{{\"buckets_per_batch\": {BUCKETS_PER_BATCH}}}')"
        )
