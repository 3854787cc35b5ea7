"""Moving a store that is in use to another kind: to TimescaleDB, or from one keeper of roll-ups to the other.

The new relations are made beside the old ones, with the suffix ``_next``, and filled month by month while
readers and writers go on with the old ones. What they change meanwhile is logged (by triggers) and copied
again. Then, in one short transaction that keeps everybody out, the rest of the log is copied and the new
relations take the place of the old ones. Every step is a transaction of its own and is noted, so a move that
was broken off goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from django.db import OperationalError, connection, transaction

from apps.candles.storage import aggregates, locks, schema, stores
from apps.candles.storage.partitions import ensure_partitions
from apps.candles.storage.rollups import Ranges, remake, unlimited
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.timeframes import ROLLUPS, to_ms
from apps.core.resources import sql

NEXT = "_next"
#: What is materialised of an aggregate, which can be written as well.
_DONE = "_done"
#: How long the last step waits for those who use the tables before it lets them go on and tries again.
_PATIENCE = "5s"
_SHORT_PATIENCE = "500ms"
_TRIES = 60
#: With fewer days than this left to copy again, the last step copies them while everybody waits.
_FEW = 200


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is being done, and how much of it is done."""

    name: str
    done: int
    total: int


OnStep = Callable[[Step], None]


class MoveUnderWay(RuntimeError):
    """Another move works on this database, or one to another kind of store was broken off."""


def move(target: Store, *, on_step: OnStep) -> None:
    """Make *target* the store in force, with all that is stored, while it is in use.

    Broken off, it goes on where it was when it is called again. Raises `MoveUnderWay`. Not to be called in
    a transaction.
    """
    with locks.moving() as alone:
        if not alone:
            raise MoveUnderWay("another move is under way")
        source = stores.in_force()
        if source == target:
            return
        _begin(source, target)
        months = _months()
        if source.base != target.base:
            _by_month("copying minutes", months, lambda month: _copy_month(target, month), on_step)
        _keep_old(source, target)
        _by_month("making roll-ups", months, lambda month: _fill_month(source, target, month), on_step)
        _finish(source, target, on_step)


def unfinished() -> Store | None:
    """The target of a move that was begun and not ended; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('candle_move')")
        if cursor.fetchone()[0] is None:
            return None
        cursor.execute("SELECT base, rollups FROM candle_move")
        base, rollups = cursor.fetchone()
    return Store(base=Base(base), rollups=Rollups(rollups))


@transaction.atomic
def abandon() -> bool:
    """Remove what a move that was broken off has made. Returns whether there was one."""
    target = unfinished()
    if target is None:
        return False
    source = stores.in_force()
    if source.base != target.base:
        schema.drop(target, suffix=NEXT)
    else:
        schema.drop_rollups(target, suffix=NEXT)
    schema.run("move_end.sql")
    return True


def remake_all(store: Store) -> None:
    """Make the roll-ups of *store*, which is in force and keeps its own, from all minutes."""
    for month in _months():
        _remake_month(store, month, "", "")


@transaction.atomic
def convert(target: Store) -> None:
    """`move` in one transaction that keeps everybody out: for migrations.

    Where there are minutes, *target* must be one whose roll-ups are our own.
    """
    source = stores.in_force()
    _create(source, target)
    months = _months()
    for month in months:
        if source.base != target.base:
            _copy_rows(target, month)
    _copy_old(source, target)
    for month in months:
        _remake_month(target, month, NEXT, _base_suffix(source, target))
    _replace(source, target)


@transaction.atomic
def _begin(source: Store, target: Store) -> None:
    """Make the empty relations and start to log changes, unless that has been done."""
    begun = unfinished()
    if begun == target:
        return
    if begun is not None:
        raise MoveUnderWay(f"a move to {begun.name} was broken off: finish or abandon it first")
    _create(source, target)
    schema.run("move_begin.sql", base=target.base.value, rollups=target.rollups.value)
    schema.run(f"move_begin_{schema.row_by_row(source)}.sql")


def _create(source: Store, target: Store) -> None:
    """The empty relations of *target* that *source* does not share."""
    if source.base != target.base:
        schema.create(target, suffix=NEXT)
    else:
        schema.create_rollups(target, suffix=NEXT)


def _base_suffix(source: Store, target: Store) -> str:
    """Which minutes the new roll-ups are made of: their own, or those that stay where they are."""
    return NEXT if source.base != target.base else ""


def _months() -> list[date]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT month FROM candles_revision ORDER BY month")
        return [month for (month,) in cursor.fetchall()]


def _by_month(name: str, months: Sequence[date], work: Callable[[date], None], on_step: OnStep) -> None:
    """Do *work* for every month of which it is not noted as done."""
    for done, month in enumerate(months):
        on_step(Step(name=name, done=done, total=len(months)))
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM candle_move_done WHERE step = %s AND month = %s", [name, month])
            if cursor.fetchone() is not None:
                continue
        work(month)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO candle_move_done (step, month) VALUES (%s, %s)", [name, month])
    on_step(Step(name=name, done=len(months), total=len(months)))


def _bounds(month: date) -> tuple[datetime, datetime]:
    """The first moment of a month and of the one after it."""
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    return start, datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


@transaction.atomic
def _copy_month(target: Store, month: date) -> None:
    """Copy the minutes of a month. What is there of it was copied by an attempt whose note was lost."""
    start, end = _bounds(month)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM candle_1m_next WHERE ts >= %s AND ts < %s", [start, end])
    _copy_rows(target, month)


def _copy_rows(target: Store, month: date) -> None:
    start, end = _bounds(month)
    if target.base == Base.PARTITIONS:
        ensure_partitions(np.array([to_ms(start)], np.int64), suffix=NEXT)
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "move_month.sql"), {"start": start, "end": end})


@transaction.atomic
def _keep_old(source: Store, target: Store) -> None:
    """Copy the roll-ups that could not be made again, unless that is noted as done."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO candle_move_done (step, month) VALUES ('old roll-ups', '1970-01-01')"
            " ON CONFLICT DO NOTHING"
        )
        if not cursor.rowcount:
            return
    _copy_old(source, target)


def _copy_old(source: Store, target: Store) -> None:
    """Copy the roll-ups of minutes that are not kept any more."""
    before, after = (_DONE if one.rollups == Rollups.AGGREGATES else "" for one in (source, target))
    with connection.cursor() as cursor:
        for level in ROLLUPS:
            cursor.execute(
                sql(__package__, "move_old.sql").format(
                    old=f"{level.table}{before}",
                    new=f"{level.table}{NEXT}{after}",
                    width=timedelta(milliseconds=level.width),
                )
            )


def _fill_month(source: Store, target: Store, month: date) -> None:
    """Make the roll-ups of a month. Weeks that reach into the next one are whole after that one."""
    if target.rollups == Rollups.AGGREGATES:
        start, end = _bounds(month)
        with connection.cursor() as cursor:
            # Where no minutes are kept, a refresh would remove what there is.
            span = sql(__package__, "move_span.sql").format(suffix=_base_suffix(source, target))
            cursor.execute(span, {"start": start, "end": end})
            first, last = cursor.fetchone()
        if first is not None:
            aggregates.refresh_ranges([(to_ms(first), to_ms(last))], suffix=NEXT)
    else:
        with transaction.atomic():
            _remake_month(target, month, NEXT, _base_suffix(source, target))


def _remake_month(target: Store, month: date, suffix: str, base_suffix: str) -> None:
    start, end = _bounds(month)
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "move_days.sql").format(suffix=base_suffix), {"start": start, "end": end}
        )
        days = cursor.fetchall()
    if days:
        remake(Ranges.of(days), target, suffix=suffix, base_suffix=base_suffix)


def _finish(source: Store, target: Store, on_step: OnStep) -> None:
    """Copy what was changed meanwhile until little is left, then swap."""
    while (left := _logged()) > _FEW:
        on_step(Step(name="catching up", done=0, total=left))
        with transaction.atomic():
            _catch_up(source, target)
    for attempt in range(_TRIES):
        on_step(Step(name="swapping", done=attempt, total=_TRIES))
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
                    cursor.execute("LOCK TABLE candle_1m IN ACCESS EXCLUSIVE MODE")
                    # A refresh holds roll-ups and may wait for the minutes now. It is not to be the one that
                    # PostgreSQL ends: it looks for deadlocks after a second.
                    cursor.execute(f"SET LOCAL lock_timeout = '{_SHORT_PATIENCE}'")
                    if source.rollups == Rollups.INCREMENTAL:
                        tables = ", ".join(level.table for level in ROLLUPS)
                        cursor.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
                    cursor.execute("SET LOCAL lock_timeout = 0")
                _catch_up(source, target)
                _log_touched(target)
                schema.run("move_end.sql")
                _replace(source, target)
        except OperationalError as exc:
            # Somebody uses the table for longer than that: wait behind them once more.
            if "lock timeout" not in str(exc) and "deadlock" not in str(exc):
                raise
        else:
            on_step(Step(name="swapping", done=_TRIES, total=_TRIES))
            return
    raise MoveUnderWay("candle_1m was in use all the time: call again to go on from here")


def _logged() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT DISTINCT instrument_id, day FROM candle_move_log) AS days"
        )
        count: int = cursor.fetchone()[0]
    return count


def _catch_up(source: Store, target: Store) -> None:
    """Copy the days again that the log names, as they are now, and make their roll-ups."""
    moved = source.base != target.base
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "move_log_take.sql"))
        days: list[tuple[int, datetime, datetime]] = cursor.fetchall()
        if not days:
            return
        parameters: dict[str, Any] = {
            "ids": [day[0] for day in days],
            "lo": [day[1] for day in days],
            "hi": [day[2] for day in days],
            "first": min(day[1] for day in days),
            "last": max(day[2] for day in days),
        }
        if moved:
            if target.base == Base.PARTITIONS:
                ensure_partitions(np.array([to_ms(day[1]) for day in days], np.int64), suffix=NEXT)
            unlimited(cursor, target)
            cursor.execute(sql(__package__, "move_days_clear.sql"), parameters)
            cursor.execute(sql(__package__, "move_days_copy.sql"), parameters)
    if target.rollups == Rollups.INCREMENTAL:
        remake(Ranges.of(days), target, suffix=NEXT, base_suffix=_base_suffix(source, target))


def _log_touched(target: Store) -> None:
    """Let readers and the next refresh know what was copied again after it was materialised."""
    if target.rollups == Rollups.AGGREGATES:
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "move_touched.sql"))


def _replace(source: Store, target: Store) -> None:
    """Put the new relations into the place of the old ones, which are gone then."""
    if source.base != target.base:
        schema.drop(source)
        schema.rename_minutes(before=NEXT, after="")
        schema.rename_rollups(target, before=NEXT, after="")
    else:
        schema.drop_rollups(source)
        schema.rename_rollups(target, before=NEXT, after="")
    schema.activate(target)
