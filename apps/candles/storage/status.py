"""What is in force in a store, how large it is, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.candles.storage import moving, policies, stores
from apps.candles.storage.capabilities import Capabilities, detect
from apps.candles.storage.policies import JobReport
from apps.candles.storage.stores import Base, Store
from apps.candles.timeframes import M1, ROLLUPS
from apps.core.resources import sql


@dataclass(frozen=True, kw_only=True)
class RelationSize:
    """One relation: its size with indexes, and what compression made of it."""

    name: str
    #: Rows, estimated by the server's statistics.
    rows: int
    total_bytes: int
    #: Partitions or chunks.
    parts: int
    compressed: int
    #: What the compressed ones took before and take now; None where there are none.
    before_bytes: int | None
    after_bytes: int | None

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


_SIZES = ("name", "rows", "total_bytes", "parts", "compressed", "before_bytes", "after_bytes")
