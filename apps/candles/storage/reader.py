"""Reading candles as arrays."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from apps.candles.storage import arrow
from apps.candles.storage.dirty import Range, Ticks, bucket, replaced, touched
from apps.candles.storage.wire import layout
from apps.candles.timeframes import M1, Timeframe, to_datetime, to_ms
from apps.core.resources import sql

#: From so many bars on it pays to read through `arrow`.
_MANY = 20_000

_COLUMNS = ("ts", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True)
class State:
    """An instrument as the store knows it at one moment."""

    id: int
    price_scale: int
    volume_scale: int
    #: The first and last touched minutes (ms) of what changed since the roll-ups were made.
    changed: tuple[Range, ...]


def read_state(exchange: str, symbol: str, using: str = "default") -> State | None:
    """The state of an instrument; None when it is not known."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql(__package__, "state.sql"), {"exchange": exchange, "symbol": symbol})
        found = cursor.fetchone()
    if found is None:
        return None
    pk, price_scale, volume_scale, lo, hi = found
    changed = tuple((to_ms(a), to_ms(b)) for a, b in zip(lo or (), hi or (), strict=True))
    return State(id=pk, price_scale=price_scale, volume_scale=volume_scale, changed=changed)


def read_bars(*, timeframe: Timeframe, state: State, start: int, end: int, using: str = "default") -> Ticks:
    """The bars of an instrument that open in [start, end) milliseconds, in order of time.

    Six int64 arrays: ``ts`` in milliseconds, the others in units of the instrument's scales. Where a
    roll-up is not refreshed yet, its bars are made from the minutes.
    """
    # Whole buckets, so that the last one is read to its own end.
    start, end = timeframe.ceil(start), timeframe.ceil(end)
    ticks = _read(timeframe, state.id, start, end, using)
    if timeframe is M1 or not state.changed:
        return ticks
    ranges = touched(timeframe, state.changed, start, end)
    fresh = [bucket(timeframe, _read(M1, state.id, lo, hi, using)) for lo, hi in ranges]
    return replaced(ticks, ranges, fresh) if ranges else ticks


def read_last(*, timeframe: Timeframe, state: State, end: int, count: int, using: str = "default") -> Ticks:
    """The last *count* bars that open before *end* milliseconds, over any gaps; fewer when there are no more.

    Looked for where they are when nothing is missing; where something is, an index says how much earlier.
    """
    end = timeframe.ceil(end)
    start = end - count * timeframe.width
    rows = count
    while True:
        ticks = read_bars(timeframe=timeframe, state=state, start=start, end=end, using=using)
        if len(ticks["ts"]) >= count:
            return {name: column[-count:] for name, column in ticks.items()}
        earlier = _earlier(timeframe, state.id, end, rows, using)
        if earlier is None or earlier >= start:
            # Roll-ups that are not refreshed yet do not show what is older.
            earlier = min((timeframe.floor(lo) for lo, _ in state.changed), default=start)
        if earlier >= start:
            return ticks
        start, rows = earlier, 2 * rows


def through_arrow(bars: int, *, in_transaction: bool) -> bool:
    """Whether to read up to so many bars on a connection that does not see what the transaction changed."""
    return bars >= _MANY and not in_transaction


def _earlier(frame: Timeframe, instrument_id: int, end: int, rows: int, using: str) -> int | None:
    """The open time of the oldest of the last *rows* stored bars before *end*; None when there are none."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            sql(__package__, "earlier.sql").format(table=frame.table),
            {"instrument_id": instrument_id, "end": to_datetime(end), "rows": rows},
        )
        (ts,) = cursor.fetchone()
    return None if ts is None else to_ms(ts)


def _read(timeframe: Timeframe, instrument_id: int, start: int, end: int, using: str) -> Ticks:
    query = sql(__package__, "read.sql").format(
        columns=", ".join(_COLUMNS),
        table=timeframe.table,
        instrument_id=instrument_id,
        start=to_datetime(start),
        end=to_datetime(end),
    )
    connection = connections[using]
    if through_arrow(timeframe.count(start, end), in_transaction=connection.in_atomic_block):
        return dict(zip(_COLUMNS, arrow.read_columns(query, using), strict=True))
    wire = layout(timeframe.table, _COLUMNS, using)
    stream = bytearray()
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy,
    ):
        # Joining the pieces at the end would take several times as long: there is one for every row.
        for piece in copy:
            stream += piece
    return wire.decode(stream)
