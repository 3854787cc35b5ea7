"""Writing minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from numpy.typing import ArrayLike, NDArray

from apps.candles.models import Instrument
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.storage.partitions import ensure_partitions
from apps.candles.storage.rollups import refresh_locked
from apps.candles.storage.scales import raise_scale
from apps.candles.storage.wire import layout
from apps.candles.timeframes import MINUTE, to_datetime
from apps.core.resources import sql

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


@transaction.atomic
def write_candles(*, instrument: Instrument, minutes: Minutes) -> WriteResult:
    """Store *minutes*, replacing those that differ, and bring the instrument's roll-ups up to date.

    All of it happens in the caller's transaction (or in one of its own): nobody ever sees part of
    the minutes, or the minutes without their roll-ups. Writers of one instrument wait for each
    other; whoever writes several instruments in one transaction takes them in ascending order of id.

    The scales of *minutes* and of the instrument are brought together: whichever is lower is raised.

    Raises ValueError when the arrays are not what `Minutes` promises, and `ScaleOverflow` when a
    value does not stay below 2^53. Nothing is stored then.
    """
    rows = _check(minutes)
    if not rows:
        return WriteResult()
    # Takes the instrument's lock, which is held from here to the end of the transaction.
    raise_scale(instrument=instrument, price_scale=minutes.price_scale, volume_scale=minutes.volume_scale)
    values: dict[str, ArrayLike] = {"instrument_id": instrument.pk, "ts": minutes.ts}
    values.update(_scaled(minutes, instrument))
    ensure_partitions(minutes.ts)
    wire = layout("candle_1m", _COLUMNS)
    with connection.cursor() as cursor:
        before = _stored(cursor, instrument, minutes)
        if before:
            cursor.execute(sql(__package__, "stage.sql"))
            cursor.execute("DELETE FROM candle_stage")
        table = "candle_stage" if before else "candle_1m"
        with (
            connection.wrap_database_errors,
            cursor.copy(f"COPY {table} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT binary)") as copy,
        ):
            for piece in wire.encode(rows, values):
                copy.write(piece)
        if before:
            cursor.execute(sql(__package__, "upsert.sql"))
            written = cursor.rowcount
            inserted = _stored(cursor, instrument, minutes) - before
        else:
            inserted = written = rows
    refresh_locked(instrument.pk)
    return WriteResult(inserted=inserted, updated=written - inserted, unchanged=rows - written)


def _stored(cursor: CursorWrapper, instrument: Instrument, minutes: Minutes) -> int:
    """How many minutes are stored between the first and the last given one."""
    cursor.execute(
        "SELECT count(*) FROM candle_1m WHERE instrument_id = %s AND ts BETWEEN %s AND %s",
        [instrument.pk, to_datetime(int(minutes.ts[0])), to_datetime(int(minutes.ts[-1]))],
    )
    count: int = cursor.fetchone()[0]
    return count


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


def _scaled(minutes: Minutes, instrument: Instrument) -> dict[str, NDArray[np.int64]]:
    """Prices and volume with the decimals of the instrument, which has at least as many."""
    scaled = {}
    for name in (*_PRICES, "volume"):
        array: NDArray[np.int64] = getattr(minutes, name)
        if name == "volume":
            factor = 10 ** (instrument.volume_scale - minutes.volume_scale)
        else:
            factor = 10 ** (instrument.price_scale - minutes.price_scale)
        if max(int(array.max()), -int(array.min())) * factor >= LIMIT:
            raise ScaleOverflow(f"{instrument}: {name} does not fit at the scale of the instrument")
        scaled[name] = array * factor
    return scaled
