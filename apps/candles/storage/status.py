"""What is in force in a store, how large it is, and what waits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from apps.candles.storage import moving, policies, stores
from apps.candles.storage.capabilities import Capabilities, detect
from apps.candles.storage.policies import JobReport
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.timeframes import D1, M1, ROLLUPS
from apps.core.resources import sql

#: What takes fewer bytes than this, indexes included, is counted row by row.
_SMALL = 10_000_000


@dataclass(frozen=True, kw_only=True)
class RelationSize:
    """One relation: its size with indexes, and what compression made of it."""

    name: str
    #: Rows: counted where that is cheap, else estimated.
    rows: int
    total_bytes: int
    #: Partitions or chunks.
    parts: int
    compressed: int
    #: What the compressed ones took before and take now; None where there are none.
    before_bytes: int | None
    after_bytes: int | None
    #: Before this moment nothing can be in it; None where nobody says so.
    since: datetime | None

    @property
    def ratio(self) -> float | None:
        """How many times smaller compression made what it was applied to."""
        return self.before_bytes / self.after_bytes if self.before_bytes and self.after_bytes else None


@dataclass(frozen=True, kw_only=True)
class StoreStatus:
    """A store as it is now."""

    capabilities: Capabilities
    in_force: Store
    #: What the server and the settings allow. Another one than that in force is had by ``candles_upgrade``.
    wanted: Store
    #: The target of a move that was begun.
    moving_to: Store | None
    relations: list[RelationSize]
    jobs: list[JobReport]
    #: Changes that the roll-ups are still to be refreshed for, and since when the oldest waits.
    pending: int
    pending_since: datetime | None


def status() -> StoreStatus:
    """Look at the store in force."""
    capabilities = detect()
    store = stores.in_force()
    hypertable = store.base == Base.HYPERTABLE
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(at) FROM candle_dirty")
        pending, since = cursor.fetchone()
        cursor.execute(
            sql(__package__, "sizes_hypertable.sql" if hypertable else "sizes_portable.sql"),
            [[level.table for level in (M1, *ROLLUPS)]],
        )
        sizes = [RelationSize(**dict(zip(_SIZES, row, strict=True))) for row in cursor.fetchall()]
        counted = _counted(cursor, sizes, store)
        sizes = [
            replace(one, rows=counted[one.name])
            if one.name in counted
            else replace(one, rows=_rows(cursor, one, sizes, settled=not pending))
            for one in sizes
        ]
    return StoreStatus(
        capabilities=capabilities,
        in_force=store,
        wanted=stores.wanted(capabilities),
        moving_to=moving.unfinished(),
        relations=sizes,
        jobs=policies.reports() if hypertable else [],
        pending=pending,
        pending_since=since,
    )


_SIZES = ("name", "rows", "total_bytes", "parts", "compressed", "before_bytes", "after_bytes", "since")


def _counted(cursor: Any, sizes: list[RelationSize], store: Store) -> dict[str, int]:
    """How many rows those relations have that are small, in one query."""
    small = [one.name for one in sizes if one.total_bytes < _SMALL and not one.compressed]
    if not small:
        return {}
    aggregated = store.rollups == Rollups.AGGREGATES
    tables = [f"{name}_done" if aggregated and name != M1.table else name for name in small]
    count = sql(__package__, "rows.sql").strip().rstrip(";")
    counts = ", ".join(f"({count.format(table=table)})" for table in tables)
    cursor.execute(f"SELECT {counts}")
    return dict(zip(small, cursor.fetchone(), strict=True))


def _rows(cursor: Any, one: RelationSize, sizes: list[RelationSize], *, settled: bool) -> int:
    """How many rows a relation has that is not small: minutes by their days where those are few.

    *settled* is whether no roll-up waits for a refresh.
    """
    days = next(other for other in sizes if other.name == D1.table)
    if one.name == M1.table and days.total_bytes < _SMALL:
        # Days stay when their minutes are dropped.
        cursor.execute(sql(__package__, "rows_of_days.sql"), [one.since])
        counted = int(cursor.fetchone()[0])
        return counted if settled else max(counted, one.rows)
    return one.rows
