"""Writing and deleting minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import psycopg
from django.db import connection, transaction
from django.utils import timezone

from apps.candles import conf
from apps.candles.models import Instrument
from apps.candles.storage import locks, stores
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.storage.given import COLUMNS, Columns, Given, Minutes, gather
from apps.candles.storage.partitions import check_times, ensure_partitions
from apps.candles.storage.rollups import refresh_locked, unlimited
from apps.candles.storage.scales import raise_scale
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.storage.wire import layout
from apps.candles.timeframes import DAY, MINUTE, W1, to_datetime, to_ms
from apps.core.resources import sql

#: Up to so many rows are stored by a single statement.
_FEW = 1000


class BeyondRetention(ValueError):
    """Minutes older than ``CANDLES_RETENTION_DAYS`` are not kept. Nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What became of the minutes of one write."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """How many minutes were given, all of which are now stored."""
        return self.inserted + self.updated + self.unchanged


def write_candles(*, instrument: Instrument, minutes: Minutes, refresh: bool = True) -> WriteResult:
    """Store the *minutes* of one instrument: `write_batch` for one."""
    return write_batch(batch=[(instrument, minutes)], refresh=refresh)[0]


@transaction.atomic
def write_batch(*, batch: Sequence[tuple[Instrument, Minutes]], refresh: bool = True) -> list[WriteResult]:
    """Store minutes of several instruments, replacing those that differ. A result for each, in their order.

    All of it happens in the caller's transaction (or in one of its own): nobody ever sees part of
    the minutes, or the minutes without their roll-ups. Writers of one instrument wait for each
    other; whoever calls this several times in one transaction goes up in the instruments' ids.

    Our own roll-ups are brought up to date as well. Without *refresh* they are left to the next one
    (`refresh_rollups`), and readers are given what they will be: for those who write a lot piece by piece.
    What no roll-up could hold is refused all the same.
    Of roll-ups that TimescaleDB keeps, the log alone is written here.

    The scales of *minutes* and of the instrument are brought together: whichever is lower is raised.

    Raises ValueError when the arrays are not what `Minutes` promises or an instrument is named twice,
    `BeyondRetention`, and `ScaleOverflow` when a value does not stay below 2^53. Nothing is stored then.
    """
    given = gather(batch)
    if not given.pairs:
        return [WriteResult()] * len(batch)
    _check_retention(given)
    locks.lock_instruments(given.ids)
    _level_scales(given)
    columns = given.columns()
    store = stores.in_force()
    if store.base == Base.PARTITIONS:
        ensure_partitions(given.ts)
    else:
        check_times(given.ts)
    days, inserted = _store(store, given, columns)
    if days:
        _log(days)
    if refresh and store.rollups == Rollups.INCREMENTAL:
        refresh_locked(given.ids, store)
    else:
        _check_weeks(given)
    written: Counter[int] = Counter()
    for day in days:
        written[day.instrument_id] += day.rows
    return [
        _result(len(minutes.ts), inserted[instrument.pk], written[instrument.pk])
        if len(minutes.ts)
        else WriteResult()
        for instrument, minutes in batch
    ]


def _result(given: int, inserted: int, written: int) -> WriteResult:
    return WriteResult(inserted=inserted, updated=written - inserted, unchanged=given - written)


@transaction.atomic
def delete_candles(*, instrument: Instrument, start: datetime, end: datetime) -> int:
    """Remove an instrument's minutes that open in [start, end), roll-ups included. Returns how many."""
    locks.lock_instruments([instrument.pk])
    store = stores.in_force()
    with connection.cursor() as cursor:
        unlimited(cursor, store)
        cursor.execute(
            "DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= %s AND ts < %s",
            [instrument.pk, start, end],
        )
        deleted: int = cursor.rowcount
    if store.rollups == Rollups.INCREMENTAL:
        refresh_locked([instrument.pk], store)
    return deleted


def _check_retention(given: Given) -> None:
    kept = conf.retention()
    if kept is None:
        return
    oldest = to_ms(timezone.now() - kept)
    for instrument, minutes in given.pairs:
        if minutes.ts[0] < oldest:
            raise BeyondRetention(
                f"{instrument}: minutes before {to_datetime(oldest):%Y-%m-%d %H:%M} UTC are not kept"
            )


def _level_scales(given: Given) -> None:
    """Raise the scales of the instruments where their minutes are finer, and see what they are now."""
    stored = Instrument.objects.in_bulk(given.ids)
    for instrument, minutes in given.pairs:
        now = stored[instrument.pk]
        instrument.price_scale, instrument.volume_scale = now.price_scale, now.volume_scale
        if minutes.price_scale > now.price_scale or minutes.volume_scale > now.volume_scale:
            raise_scale(
                instrument=instrument, price_scale=minutes.price_scale, volume_scale=minutes.volume_scale
            )


class _Day(NamedTuple):
    """What was written in one UTC day of one instrument."""

    instrument_id: int
    first: datetime
    last: datetime
    rows: int


class _Written(NamedTuple):
    """What a write has changed."""

    days: list[_Day]
    #: How many of the rows had not been there, by instrument.
    inserted: Counter[int]


def _store(store: Store, given: Given, columns: Columns) -> _Written:
    """Write the rows; those that are there already with the same values are left alone."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.quiet = 'on'")
        unlimited(cursor, store)
        written = _insert(columns) if len(given.ts) <= _FEW else _load(given, columns)
        cursor.execute("SET LOCAL chandlery.quiet = 'off'")
    return written


def _insert(columns: Columns) -> _Written:
    """Write a few rows."""
    rows: dict[str, Any] = {name: column.tolist() for name, column in columns.items()}
    rows["ts"] = [to_datetime(ts) for ts in rows["ts"]]
    rows["first"], rows["last"] = min(rows["ts"]), max(rows["ts"])
    # Django's own cursor puts parameters into the text, which could not be prepared.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_upsert("insert.sql", "given"), rows, prepare=True)
        found = cursor.fetchall()
    inserted: Counter[int] = Counter()
    for day in found:
        inserted[day[0]] += day[4]
    return _Written([_Day(*day[:4]) for day in found], inserted)


def _load(given: Given, columns: Columns) -> _Written:
    """Write many rows: those of instruments that have minutes there by way of a stage, the others at once."""
    before = _stored(given.pairs)
    known = [pair for pair in given.pairs if before[pair[0].pk]]
    inserted = Counter(dict(zip(given.ids, given.counts.tolist(), strict=True)))
    if not known:
        _copy("candle_1m", columns)
        return _Written(_days(columns), inserted)
    days = []
    old = np.isin(columns["instrument_id"], [instrument.pk for instrument, _ in known])
    if not old.all():
        new = {name: column[~old] for name, column in columns.items()}
        _copy("candle_1m", new)
        days += _days(new)
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "stage.sql"))
        cursor.execute("DELETE FROM candle_stage")
        _copy("candle_stage", {name: column[old] for name, column in columns.items()})
        cursor.execute(_upsert("load.sql", "candle_stage"))
        days += [_Day(*row) for row in cursor.fetchall()]
    for pk, rows in _stored(known).items():
        inserted[pk] = rows - before[pk]
    return _Written(days, inserted)


def _upsert(name: str, given: str) -> str:
    return sql(__package__, name).format(upsert=sql(__package__, "upsert.sql").format(given=given).strip())


def _stored(pairs: Sequence[tuple[Instrument, Minutes]]) -> dict[int, int]:
    """How many minutes are stored between the first and the last given one, by instrument."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "stored.sql"),
            {
                "ids": [instrument.pk for instrument, _ in pairs],
                "lo": [to_datetime(int(minutes.ts[0])) for _, minutes in pairs],
                "hi": [to_datetime(int(minutes.ts[-1])) for _, minutes in pairs],
                "first": to_datetime(min(int(minutes.ts[0]) for _, minutes in pairs)),
                "last": to_datetime(max(int(minutes.ts[-1]) for _, minutes in pairs)),
            },
        )
        return dict(cursor.fetchall())


def _days(columns: Columns) -> list[_Day]:
    """The days of rows that are sorted by instrument and time."""
    ids, ts = columns["instrument_id"], columns["ts"]
    day = ts // DAY
    heads = np.flatnonzero((np.diff(ids, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    tails = np.append(heads[1:], len(ts))
    return [
        _Day(int(ids[head]), to_datetime(int(ts[head])), to_datetime(int(ts[tail - 1])), int(tail - head))
        for head, tail in zip(heads, tails, strict=True)
    ]


def _log(days: Sequence[_Day]) -> None:
    """What the triggers do for changes by others."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "log.sql"),
            {
                "ids": [day.instrument_id for day in days],
                "lo": [day.first for day in days],
                "hi": [day.last for day in days],
            },
        )


def _copy(table: str, columns: Columns) -> None:
    wire = layout(table, COLUMNS)
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(f"COPY {table} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        for piece in wire.encode(len(columns["ts"]), columns):
            copy.write(piece)


def _check_weeks(given: Given) -> None:
    """Raise `ScaleOverflow` when a week's volume is more than a float64 holds.

    For roll-ups that do not say so now: those that are made later, and views, which have no constraints.
    """
    for instrument, minutes in given.pairs:
        factor = 10 ** (instrument.volume_scale - minutes.volume_scale)
        if int(minutes.volume.max()) * factor < LIMIT // (W1.width // MINUTE):
            continue
        parameters: dict[str, Any] = {
            "instrument_id": instrument.pk,
            "first": to_datetime(W1.floor(int(minutes.ts[0]))),
            "last": to_datetime(W1.floor(int(minutes.ts[-1])) + W1.width),
        }
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "week_volume.sql"), parameters)
            if (cursor.fetchone()[0] or 0) >= LIMIT:
                raise ScaleOverflow(f"{instrument}: the volume of a week does not fit")
