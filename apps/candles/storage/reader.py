"""Reading candles as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import psycopg
from django.db import connections
from django.utils import timezone

from apps.candles.ranges import Range
from apps.candles.storage.aggregates import LIVE
from apps.candles.storage.dirty import Ticks, bucket, replaced, touched
from apps.candles.storage.wire import PG_EPOCH
from apps.candles.timeframes import D1, M1, ROLLUPS, Timeframe, to_datetime, to_ms
from apps.core.resources import sql

#: Buckets in one value, at most.
_PIECE = 50_000

_COLUMNS = ("ts", "open", "high", "low", "close", "volume")


class ScalesChanged(Exception):
    """The instrument's scales are not those of the state any more: its bars are in other units now."""


@dataclass(frozen=True, kw_only=True)
class State:
    """An instrument as the store knows it at one moment."""

    id: int
    price_scale: int
    volume_scale: int
    #: The first and last touched minutes (ms) of what changed since the roll-ups were made.
    changed: tuple[Range, ...]
    #: Whether the roll-ups are views of TimescaleDB's.
    aggregates: bool


def read_state(exchange: str, symbol: str, using: str = "default") -> State | None:
    """The state of an instrument; None when it is not known."""
    connection = connections[using]
    connection.ensure_connection()
    # Prepared, because to plan it would take several times as long.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        query = sql(__package__, "state.sql")
        cursor.execute(query, {"exchange": exchange, "symbol": symbol}, prepare=True)
        found = cursor.fetchone()
    return None if found is None else _state(*found)


def read_states(
    names: Sequence[tuple[str, str]], *, start: int, end: int, using: str = "default"
) -> dict[tuple[str, str], tuple[State, int]]:
    """The states of those of the *names* (exchange and symbol) that are known, in one query.

    Each with the version of the minutes of the months that [start, end) milliseconds touches, 0 when none
    were ever stored: what is read by this state is of this version or of a later one.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            sql(__package__, "states.sql"),
            {
                "exchanges": [exchange for exchange, _ in names],
                "symbols": [symbol for _, symbol in names],
                "first": to_datetime(start).date().replace(day=1),
                "last": to_datetime(end),
            },
        )
        return {
            (exchange, symbol): (_state(*found), version or 0)
            for exchange, symbol, *found, version in cursor.fetchall()
            if (exchange, symbol) in names
        }


def _state(
    pk: int,
    price_scale: int,
    volume_scale: int,
    lo: list[datetime] | None,
    hi: list[datetime] | None,
    aggregates: bool,
) -> State:
    changed = tuple((to_ms(a), to_ms(b)) for a, b in zip(lo or (), hi or (), strict=True))
    return State(
        id=pk, price_scale=price_scale, volume_scale=volume_scale, changed=changed, aggregates=aggregates
    )


def read_bars(*, timeframe: Timeframe, state: State, start: int, end: int, using: str = "default") -> Ticks:
    """The bars of an instrument that open in [start, end) milliseconds, in order of time.

    Six int64 arrays: ``ts`` in milliseconds, the others in units of the scales of *state*. Where a
    roll-up is not refreshed yet, its bars are made from the minutes. Raises `ScalesChanged`.
    """
    # Whole buckets, so that the last one is read to its own end.
    start, end = max(timeframe.ceil(start), _beginning(timeframe)), timeframe.ceil(end)
    ticks = _read(timeframe, state, start, end, using)
    if timeframe is M1 or not state.changed:
        return ticks
    ranges = touched(timeframe, state.changed, start, end)
    # Weeks are made of days, because the minutes of a part of one may not be kept any more.
    lower = D1 if timeframe.width > D1.width else M1
    fresh = [
        bucket(timeframe, read_bars(timeframe=lower, state=state, start=lo, end=hi, using=using))
        for lo, hi in ranges
    ]
    return replaced(ticks, ranges, fresh) if ranges else ticks


def read_last(*, timeframe: Timeframe, state: State, end: int, count: int, using: str = "default") -> Ticks:
    """The last *count* bars that open before *end* milliseconds, over any gaps; fewer when there are no more.

    Looked for where they are when nothing is missing; where something is, an index says how much earlier.
    Raises `ScalesChanged`.
    """
    end = timeframe.ceil(end)
    # One more, because the bucket that now lies in often has no bar yet.
    start = max(end - (count + 1) * timeframe.width, _beginning(timeframe))
    rows = count
    while True:
        ticks = read_bars(timeframe=timeframe, state=state, start=start, end=end, using=using)
        if len(ticks["ts"]) >= count:
            return {name: column[-count:] for name, column in ticks.items()}
        found, oldest, newest = _earlier(timeframe, state.id, end, rows, using)
        while found == rows and oldest >= start:
            # Bars that are stored and were not read: their minutes are gone, and their refresh is to come.
            rows *= 2
            found, oldest, newest = _earlier(timeframe, state.id, end, rows, using)
        if found and oldest < start:
            start = oldest
            if not state.changed:
                end = newest + timeframe.width
        elif not (ranges := touched(timeframe, state.changed, _beginning(timeframe), start)):
            return ticks
        else:
            # Roll-ups that are not refreshed yet do not show what is older.
            start = _back(timeframe, ranges, rows)
        rows *= 2


def read_first(
    *, timeframe: Timeframe, state: State, start: int, end: int, count: int, using: str = "default"
) -> Ticks:
    """The first *count* bars that open in [start, end) milliseconds, over any gaps; fewer when that is all.

    Looked for as `read_last` does, in the other direction. Raises `ScalesChanged`.
    """
    start, end = timeframe.ceil(start), timeframe.ceil(end)
    stop = min(end, start + count * timeframe.width)
    rows = count
    while True:
        ticks = read_bars(timeframe=timeframe, state=state, start=start, end=stop, using=using)
        if len(ticks["ts"]) >= count or stop >= end:
            return {name: column[:count] for name, column in ticks.items()}
        found, newest = _later(timeframe, state.id, start, end, rows, using)
        while found == rows and newest < stop:
            rows *= 2
            found, newest = _later(timeframe, state.id, start, end, rows, using)
        if found and newest >= stop:
            stop = newest + timeframe.width
        elif not (ranges := touched(timeframe, state.changed, stop, end)):
            return ticks
        else:
            # Roll-ups that are not refreshed yet do not show what is newer.
            stop = _forth(timeframe, ranges, rows)
        rows *= 2


def read_ends(*, state: State, using: str = "default") -> dict[str, Range]:
    """When the first and the last bar of each roll-up open (ms, both included), by timeframe.

    Those without bars are left out. A roll-up reaches farther than the minutes where old ones were dropped.
    Of views of TimescaleDB's it is what is materialised: what is not yet is made of minutes that are there.
    Raises `ScalesChanged`.
    """
    if state.changed:
        return _ends_of_bars(state, using)
    suffix = "_done" if state.aggregates else ""
    ends = sql(__package__, "ends.sql")
    query = " UNION ALL ".join(
        ends.format(name=level.name, table=f"{level.table}{suffix}") for level in ROLLUPS
    )
    with connections[using].cursor() as cursor:
        cursor.execute(query, {"instrument_id": state.id})
        return {
            name: (to_ms(first), to_ms(last)) for name, first, last in cursor.fetchall() if first is not None
        }


def _ends_of_bars(state: State, using: str) -> dict[str, Range]:
    """`read_ends` by way of bars, which are right although their refresh is still to come."""
    ends = {}
    for level in ROLLUPS:
        start, stop = _beginning(level), level.floor(to_ms(timezone.now())) + level.width
        first = read_first(timeframe=level, state=state, start=start, end=stop, count=1, using=using)
        last = read_last(timeframe=level, state=state, end=stop, count=1, using=using)
        if len(first["ts"]) and len(last["ts"]):
            ends[level.name] = int(first["ts"][0]), int(last["ts"][-1])
    return ends


def _beginning(frame: Timeframe) -> int:
    """The first bucket of all: no minute before 1970 is stored."""
    return frame.floor(0)


def _back(frame: Timeframe, ranges: Sequence[Range], rows: int) -> int:
    """Where the last *rows* buckets of *ranges* begin, or all when there are no more."""
    for lo, hi in reversed(ranges):
        if rows * frame.width <= hi - lo:
            return hi - rows * frame.width
        rows -= (hi - lo) // frame.width
    return ranges[0][0]


def _forth(frame: Timeframe, ranges: Sequence[Range], rows: int) -> int:
    """Where the first *rows* buckets of *ranges* end, or all when there are no more."""
    for lo, hi in ranges:
        if rows * frame.width <= hi - lo:
            return lo + rows * frame.width
        rows -= (hi - lo) // frame.width
    return ranges[-1][1]


def _earlier(frame: Timeframe, instrument_id: int, end: int, rows: int, using: str) -> tuple[int, int, int]:
    """How many bars the last *rows* stored ones before *end* are, when the oldest and the newest open.

    The times are 0 when there are none.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            sql(__package__, "earlier.sql").format(table=frame.table),
            {"instrument_id": instrument_id, "end": to_datetime(end), "rows": rows},
        )
        found, oldest, newest = cursor.fetchone()
    return (found, to_ms(oldest), to_ms(newest)) if found else (0, 0, 0)


def _later(
    frame: Timeframe, instrument_id: int, start: int, end: int, rows: int, using: str
) -> tuple[int, int]:
    """How many bars the first *rows* stored ones in [start, end) are, and when the last of them opens.

    The time is 0 when there are none.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            sql(__package__, "later.sql").format(table=frame.table),
            {
                "instrument_id": instrument_id,
                "start": to_datetime(start),
                "end": to_datetime(end),
                "rows": rows,
            },
        )
        found, newest = cursor.fetchone()
    return (found, to_ms(newest)) if found else (0, 0)


def _read(timeframe: Timeframe, state: State, start: int, end: int, using: str) -> Ticks:
    """Bars as the relation has them, in units of the scales of *state*. Raises `ScalesChanged`."""
    if start >= end:
        return {name: np.empty(0, np.int64) for name in _COLUMNS}
    table, found = timeframe.table, None
    if state.aggregates and timeframe is not M1 and end <= to_ms(timezone.now() - LIVE):
        # What is materialised can be had without the views, which take longer to plan than to read.
        guard = f"candle_materialised('{table}') >= '{to_datetime(end)}'"
        found = _fetch(timeframe, f"{table}_done", guard, state, start, end, using)
    if found is None:
        found = _fetch(timeframe, table, "true", state, start, end, using)
    packed = b"".join(found or ())
    rows = np.frombuffer(packed, ">i8").reshape(-1, len(_COLUMNS)).T.astype(np.int64, order="C")
    rows[0] = rows[0] // 1000 + PG_EPOCH
    return dict(zip(_COLUMNS, rows, strict=True))


def _fetch(
    timeframe: Timeframe, table: str, whole: str, state: State, start: int, end: int, using: str
) -> list[bytes] | None:
    """Packed bars of *table*; None where it does not hold the whole range, as the condition *whole* says."""
    name = "packed.sql" if timeframe.count(start, end) <= _PIECE else "packed_pieces.sql"
    query = sql(__package__, name).format(
        step=_PIECE * timeframe.width // 1000,
        table=table,
        whole=whole,
        instrument_id=state.id,
        start=to_datetime(start),
        end=to_datetime(end),
    )
    connection = connections[using]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(query.encode(), binary=True)
        found = cursor.fetchall()
    _check_scales(state, found[0][:2] if found else None)
    if not all(row[2] for row in found):
        return None
    return [piece for *_, piece in found if piece is not None]


def _check_scales(state: State, found: tuple[int | None, ...] | None) -> None:
    if found != (state.price_scale, state.volume_scale):
        raise ScalesChanged
