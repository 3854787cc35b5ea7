"""Keeping the roll-ups equal to the minutes they are made of.

Triggers log which minutes changed, whoever changed them. A refresh takes what is logged for some
instruments and remakes the buckets concerned, bottom-up: 5m from 1m, 15m from 5m, up to 1w from 1d. So
late minutes, corrections and deletions reach every level. What is logged and not refreshed yet is made
up for when it is read (`dirty`), so that nobody is ever shown an old roll-up.

A change that is not committed yet is not seen by the refresh, and neither is its entry in the log:
the entry waits for the next refresh. That holds under READ COMMITTED, PostgreSQL's and Django's
default, where every statement sees what was committed before it began.

Where TimescaleDB keeps the roll-ups, see `aggregates`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import psycopg
from django.db import connection, transaction

from apps.candles.models import Instrument
from apps.candles.storage import aggregates, locks, stores
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.storage.stores import Rollups, Store
from apps.candles.timeframes import DAY, M1, ROLLUPS, to_datetime, to_ms
from apps.core.resources import sql

#: Instruments that are refreshed in one transaction.
_TOGETHER = 50
#: Ranges of a small refresh.
_FEW = 20
#: Minutes of a large one.
_MANY = 100_000


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Minutes that changed: of instruments, from the first to the last touched minute within one UTC day."""

    ids: Sequence[int]
    lo: Sequence[datetime]
    hi: Sequence[datetime]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, days: Sequence[tuple[Any, ...]]) -> Self:
        """Of rows that begin with an instrument, the first and the last minute."""
        return cls(ids=[day[0] for day in days], lo=[day[1] for day in days], hi=[day[2] for day in days])

    @property
    def whole_days(self) -> bool:
        """Whether these are many minutes, and most of their days."""
        minutes = sum((hi - lo) / timedelta(minutes=1) + 1 for lo, hi in zip(self.lo, self.hi, strict=True))
        return minutes >= max(_MANY, len(self) * 720)

    def parameters(self) -> dict[str, Any]:
        """For SQL."""
        return {"ids": list(self.ids), "lo": list(self.lo), "hi": list(self.hi)}


def refresh_rollups(*, instrument: Instrument | None = None) -> int:
    """Bring the roll-ups of one instrument, or of all, up to date. Returns the instrument days remade.

    Some instruments at a time are a transaction of their own, unless the caller is in one. Raises
    `ScaleOverflow` when the volumes of an instrument add up to too much; all others are refreshed then. Where
    TimescaleDB keeps the roll-ups, all that is logged is refreshed, whichever instrument is named, since it
    knows times only; that cannot be done within a transaction.
    """
    store = stores.in_force()
    if store.rollups == Rollups.AGGREGATES:
        return aggregates.refresh()
    if instrument is not None:
        return _refresh([instrument.pk], store)
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT instrument_id FROM candle_dirty ORDER BY instrument_id")
        ids = [row[0] for row in cursor.fetchall()]
    done, refused = 0, []
    for at in range(0, len(ids), _TOGETHER):
        together = ids[at : at + _TOGETHER]
        try:
            done += _refresh(together, store)
        except ScaleOverflow:
            # Somebody has stored, by SQL, what cannot be summed up: that is not the trouble of the others.
            for one in together:
                try:
                    done += _refresh([one], store)
                except ScaleOverflow as exc:
                    refused.append(f"instrument {one}: {exc}")
    if refused:
        raise ScaleOverflow("; ".join(refused))
    return done


@transaction.atomic
def _refresh(ids: list[int], store: Store) -> int:
    locks.lock_instruments(ids)
    return refresh_locked(ids, store)


def refresh_locked(ids: Iterable[int], store: Store) -> int:
    """The refresh itself, for callers that hold the instruments' locks. Returns the instrument days remade.

    Raises `ScaleOverflow` when the volumes of a bucket add up to more than a float64 holds exactly.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "dirty_take.sql"), {"ids": list(ids)})
        days = cursor.fetchall()
    if days:
        remake(Ranges.of(days), store, emptied=Ranges.of([day for day in days if day[3]]))
    return len(days)


def remake(
    ranges: Ranges, store: Store, *, emptied: Ranges | None = None, suffix: str = "", base_suffix: str = ""
) -> None:
    """Make the buckets of our own roll-ups that *ranges* touch anew, on every level.

    *emptied* are those of the ranges from which minutes may be gone, all of them by default: buckets without
    minutes are removed there. The roll-ups are those with *suffix*, the minutes those with *base_suffix*.
    Raises `ScaleOverflow`.
    """
    if emptied is None or ranges.whole_days:
        # It takes a quarter less to clear all of it than to look for each bucket whether it is there.
        emptied = ranges
    conflict = "" if emptied is ranges else sql(__package__, "rollup_conflict.sql")
    first, last = to_ms(min(ranges.lo)), to_ms(max(ranges.hi))
    # A small refresh would mostly wait for the planner: PostgreSQL keeps the plans of prepared statements.
    # TimescaleDB has to see the times themselves, by which it leaves chunks and batches out.
    prepare = store.base == stores.Base.PARTITIONS or len(ranges) <= _FEW
    with connection.cursor() as cursor:
        unlimited(cursor, store)
    # Django's own cursor puts parameters into the text, which could not be prepared.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        for level in ROLLUPS:
            assert level.lower is not None
            of_minutes = level.lower is M1
            names = {
                "table": f"{level.table}{suffix}",
                "lower": f"{level.lower.table}{base_suffix if of_minutes else suffix}",
                "minutes": "count(*)" if of_minutes else "sum(n)",
                "width": timedelta(milliseconds=level.width),
                "span": timedelta(milliseconds=max(level.width, DAY)),
                "conflict": conflict,
            }
            # Around all buckets, and no farther: what lies within is decompressed before anything is changed.
            bounds = {"first": to_datetime(level.floor(first)), "last": to_datetime(level.ceil(last + 1))}
            if emptied:
                clear = sql(__package__, "rollup_clear.sql").format(**names)
                cursor.execute(clear, emptied.parameters() | bounds, prepare=prepare)
            fill = sql(__package__, "rollup_fill.sql").format(**names)
            try:
                cursor.execute(fill, ranges.parameters() | bounds, prepare=prepare)
            except psycopg.IntegrityError as exc:
                raise ScaleOverflow(f"a volume in {level.table} does not fit: {exc}") from exc


def unlimited(cursor: Any, store: Store) -> None:
    """Let this transaction change as many rows of compressed chunks as it needs to."""
    if store.base == stores.Base.HYPERTABLE:
        cursor.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
