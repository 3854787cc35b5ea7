"""Writing and deleting minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from apps.candles import conf
from apps.candles.models import Instrument
from apps.candles.storage import locks, stores
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.storage.partitions import check_times, ensure_partitions
from apps.candles.storage.revisions import merge_revisions
from apps.candles.storage.rollups import refresh_locked, unlimited
from apps.candles.storage.scales import raise_scale
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.storage.wire import layout
from apps.candles.timeframes import DAY, MINUTE, W1, to_datetime, to_ms
from apps.core.resources import sql

#: Rows of several instruments, column by column.
Columns = dict[str, NDArray[np.int64]]

_PRICES = ("open", "high", "low", "close")
_COLUMNS = ("instrument_id", "ts", *_PRICES, "volume")


class Minutes(Protocol):
    """Minutes ready to be stored: int64 arrays of one length, in ascending order of ``ts``.

    ``ts`` is the open time in milliseconds. Prices and volumes are integers: the value times ten to
    the power of the scale given here, which need not be the scale of the instrument.
    """

    @property
    def ts(self) -> NDArray[np.int64]: ...
    @property
    def open(self) -> NDArray[np.int64]: ...
    @property
    def high(self) -> NDArray[np.int64]: ...
    @property
    def low(self) -> NDArray[np.int64]: ...
    @property
    def close(self) -> NDArray[np.int64]: ...
    @property
    def volume(self) -> NDArray[np.int64]: ...
    @property
    def price_scale(self) -> int: ...
    @property
    def volume_scale(self) -> int: ...


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
    results = [WriteResult()] * len(batch)
    places = sorted(
        (place for place, (_, minutes) in enumerate(batch) if _check(minutes)),
        key=lambda place: batch[place][0].pk,
    )
    if not places:
        return results
    given = [batch[place] for place in places]
    ids = [instrument.pk for instrument, _ in given]
    if len(set(ids)) < len(ids):
        raise ValueError("an instrument is named twice")
    _check_retention(given)
    locks.lock_instruments(ids)
    _level_scales(given)
    columns = _columns(given)
    store = stores.in_force()
    if store.base == Base.PARTITIONS:
        ensure_partitions(columns["ts"])
    else:
        check_times(columns["ts"])
    before = _stored(given)
    days = _store(store, columns, {pk for pk, count in before.items() if count})
    after = _stored([pair for pair in given if before[pair[0].pk]])
    if days:
        _log(days)
        merge_revisions(ids, since=int(columns["ts"].min()))
    if refresh and store.rollups == Rollups.INCREMENTAL:
        refresh_locked(ids)
    else:
        _check_weeks(given)
    written: Counter[int] = Counter()
    for day in days:
        written[day.instrument_id] += day.rows
    for place, (instrument, minutes) in zip(places, given, strict=True):
        pk, rows = instrument.pk, len(minutes.ts)
        changed = written[pk]
        inserted = after[pk] - before[pk] if before[pk] else rows
        results[place] = WriteResult(inserted=inserted, updated=changed - inserted, unchanged=rows - changed)
    return results


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
    merge_revisions([instrument.pk], since=to_ms(start))
    if store.rollups == Rollups.INCREMENTAL:
        refresh_locked([instrument.pk])
    return deleted


def _check(minutes: Minutes) -> int:
    """The number of minutes. Raises ValueError unless the arrays keep the promises of `Minutes`."""
    ts = minutes.ts
    for name in ("ts", *_PRICES, "volume"):
        array = getattr(minutes, name)
        if array.dtype != np.int64 or array.shape != (len(ts),):
            raise ValueError(f"{name} is not an int64 array of {len(ts)} minutes")
    if np.any(ts % MINUTE):
        raise ValueError("ts holds times that are not whole minutes")
    if np.any(np.diff(ts) <= 0):
        raise ValueError("ts is not strictly ascending")
    return len(ts)


def _check_retention(batch: Sequence[tuple[Instrument, Minutes]]) -> None:
    kept = conf.retention()
    if kept is None:
        return
    oldest = to_ms(timezone.now() - kept)
    for instrument, minutes in batch:
        if minutes.ts[0] < oldest:
            raise BeyondRetention(
                f"{instrument}: minutes before {to_datetime(oldest):%Y-%m-%d %H:%M} UTC are not kept"
            )


def _level_scales(batch: Sequence[tuple[Instrument, Minutes]]) -> None:
    """Raise the scales of the instruments where their minutes are finer, and see what they are now."""
    stored = Instrument.objects.in_bulk([instrument.pk for instrument, _ in batch])
    for instrument, minutes in batch:
        now = stored[instrument.pk]
        instrument.price_scale, instrument.volume_scale = now.price_scale, now.volume_scale
        if minutes.price_scale > now.price_scale or minutes.volume_scale > now.volume_scale:
            raise_scale(
                instrument=instrument, price_scale=minutes.price_scale, volume_scale=minutes.volume_scale
            )


def _columns(batch: Sequence[tuple[Instrument, Minutes]]) -> Columns:
    """All rows, column by column, with the decimals of the instruments, which have at least as many."""
    scaled = [_scaled(minutes, instrument) for instrument, minutes in batch]
    return {
        "instrument_id": np.repeat(
            [instrument.pk for instrument, _ in batch], [len(minutes.ts) for _, minutes in batch]
        ),
        "ts": np.concatenate([minutes.ts for _, minutes in batch]),
        **{name: np.concatenate([columns[name] for columns in scaled]) for name in (*_PRICES, "volume")},
    }


def _scaled(minutes: Minutes, instrument: Instrument) -> Columns:
    scaled = {}
    for name in (*_PRICES, "volume"):
        array: NDArray[np.int64] = getattr(minutes, name)
        if name == "volume":
            factor = 10 ** (instrument.volume_scale - minutes.volume_scale)
        else:
            factor = 10 ** (instrument.price_scale - minutes.price_scale)
        if max(int(array.max()), -int(array.min())) * factor >= LIMIT:
            raise ScaleOverflow(f"{instrument}: {name} does not fit at the scale of the instrument")
        scaled[name] = array * factor if factor > 1 else array
    return scaled


def _stored(batch: Sequence[tuple[Instrument, Minutes]]) -> dict[int, int]:
    """How many minutes are stored between the first and the last given one, by instrument."""
    if not batch:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "stored.sql"),
            {
                "ids": [instrument.pk for instrument, _ in batch],
                "lo": [to_datetime(int(minutes.ts[0])) for _, minutes in batch],
                "hi": [to_datetime(int(minutes.ts[-1])) for _, minutes in batch],
                "first": to_datetime(min(int(minutes.ts[0]) for _, minutes in batch)),
                "last": to_datetime(max(int(minutes.ts[-1]) for _, minutes in batch)),
            },
        )
        return dict(cursor.fetchall())


class _Day(NamedTuple):
    """What was written in one UTC day of one instrument."""

    instrument_id: int
    first: datetime
    last: datetime
    rows: int


def _store(store: Store, columns: Columns, present: set[int]) -> list[_Day]:
    """Write the rows: those of instruments in *present* replace what is there, the others are new.

    Returns the days in which a value changed.
    """
    days: list[_Day] = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.quiet = 'on'")
        old = np.isin(columns["instrument_id"], list(present))
        if not old.all():
            new = {name: column[~old] for name, column in columns.items()} if present else columns
            _copy("candle_1m", new)
            days += _days(new)
        if present:
            cursor.execute(sql(__package__, "stage.sql"))
            cursor.execute("DELETE FROM candle_stage")
            _copy("candle_stage", {name: column[old] for name, column in columns.items()})
            unlimited(cursor, store)
            cursor.execute(sql(__package__, "upsert.sql"))
            days += [_Day(*row) for row in cursor.fetchall()]
        cursor.execute("SET LOCAL chandlery.quiet = 'off'")
    return days


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
    wire = layout(table, _COLUMNS)
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(f"COPY {table} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        for piece in wire.encode(len(columns["ts"]), columns):
            copy.write(piece)


def _check_weeks(batch: Sequence[tuple[Instrument, Minutes]]) -> None:
    """Raise `ScaleOverflow` when a week's volume is more than a float64 holds.

    For roll-ups that do not say so now: those that are made later, and views, which have no constraints.
    """
    for instrument, minutes in batch:
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
