"""Reading candles as arrays."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from apps.candles.storage.dirty import Range, Ticks, bucket, replaced, touched
from apps.candles.storage.wire import layout
from apps.candles.timeframes import M1, Timeframe, to_datetime, to_ms
from apps.core.resources import sql

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


def _read(timeframe: Timeframe, instrument_id: int, start: int, end: int, using: str) -> Ticks:
    wire = layout(timeframe.table, _COLUMNS, using)
    query = sql(__package__, "read.sql").format(
        columns=", ".join(_COLUMNS),
        table=timeframe.table,
        instrument_id=instrument_id,
        start=to_datetime(start),
        end=to_datetime(end),
    )
    stream = bytearray()
    connection = connections[using]
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as copy:
        # Joining the pieces at the end would take several times as long: there is one for every row.
        for piece in copy:
            stream += piece
    return wire.decode(stream)
