"""Making and removing the relations of a store.

Everything here is DDL that may run in a transaction. Names may carry a suffix: a store that is being
filled beside the one in force has the same relations under other names (see `moving`).
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.timeframes import M1, ROLLUPS, Timeframe
from apps.core.resources import sql

#: A chunk of a roll-up spans this many times what a chunk of minutes does.
ROLLUP_CHUNKS = 10
#: The days that a chunk of minutes spans until `policies` knows how many instruments there are.
CHUNK_DAYS = 30

#: Continuous aggregates answer for the newest minutes without our help: nothing younger than
#: `aggregates.LIVE` is ever materialised. Half of that is left to transactions that are slow to commit.
_LOGGED = {
    Rollups.INCREMENTAL: "true",
    Rollups.AGGREGATES: "lo < clock_timestamp() - interval '30 minutes'",
}


def create(store: Store, *, suffix: str = "") -> None:
    """Make the empty relations of *store*, without the triggers that make it the one in force."""
    table = f"candle_1m{suffix}"
    parted = store.base == Base.PARTITIONS
    run("minutes.sql", table=table, partitioning="PARTITION BY RANGE (ts)" if parted else "")
    if not parted:
        run("hypertable.sql", table=table, days=CHUNK_DAYS)
        run("columnstore.sql", table=table)
        run("batches.sql")
    create_rollups(store, suffix=suffix, base_suffix=suffix)


def create_rollups(store: Store, *, suffix: str = "", base_suffix: str = "") -> None:
    """Make the empty roll-ups of *store* on the minutes in ``candle_1m<base_suffix>``."""
    for level in ROLLUPS:
        create_rollup(level, store, suffix=suffix, base_suffix=base_suffix)


def create_rollup(level: Timeframe, store: Store, *, suffix: str = "", base_suffix: str = "") -> None:
    """Make one empty roll-up."""
    table = f"{level.table}{suffix}"
    assert level.lower is not None
    if store.rollups == Rollups.AGGREGATES:
        of_minutes = level.lower is M1
        run(
            "aggregate.sql",
            table=table,
            lower=f"{level.lower.table}{base_suffix if of_minutes else suffix}",
            width=timedelta(milliseconds=level.width),
            minutes="count(*)" if of_minutes else "sum(n)",
        )
        run("aggregate_columnstore.sql", table=table)
        run("aggregate_done.sql", table=table)
        return
    run("rollup.sql", table=table)
    if store.base == Base.HYPERTABLE:
        run("hypertable.sql", table=table, days=CHUNK_DAYS * ROLLUP_CHUNKS)
        run("columnstore.sql", table=table)


def activate(store: Store) -> None:
    """Have what changes in ``candle_1m`` logged as *store* needs it from now on, and no longer as before."""
    rollups = ", ".join(level.table for level in ROLLUPS)
    run("functions.sql", logged=_LOGGED[store.rollups], rollups=rollups)
    run("triggers.sql")
    if store.rollups == Rollups.AGGREGATES:
        run("materialised.sql")
    else:
        _execute("DROP FUNCTION IF EXISTS candle_materialised(name)")
    run(f"trigger_inserted_{'row' if store.rollups == Rollups.AGGREGATES else 'statement'}.sql")
    run(f"trigger_deleted_{row_by_row(store)}.sql")


def row_by_row(store: Store) -> str:
    """How deletions are logged: the part of files' names that says so."""
    return "row" if store.base == Base.HYPERTABLE else "statement"


def drop(store: Store, *, suffix: str = "") -> None:
    """Remove the relations of *store* with all that is in them."""
    drop_rollups(store, suffix=suffix)
    _execute(f"DROP TABLE candle_1m{suffix}")


def drop_rollups(store: Store, *, suffix: str = "") -> None:
    """Remove the roll-ups of *store*, the highest first."""
    kind = "MATERIALIZED VIEW" if store.rollups == Rollups.AGGREGATES else "TABLE"
    for level in reversed(ROLLUPS):
        if store.rollups == Rollups.AGGREGATES:
            _execute(f"DROP VIEW {level.table}{suffix}_done")
        _execute(f"DROP {kind} {level.table}{suffix}")


def rename_rollups(store: Store, *, before: str, after: str) -> None:
    """Give the roll-ups with the suffix *before* the suffix *after*."""
    aggregates = store.rollups == Rollups.AGGREGATES
    for level in ROLLUPS:
        old, new = f"{level.table}{before}", f"{level.table}{after}"
        _execute(f"ALTER {'MATERIALIZED VIEW' if aggregates else 'TABLE'} {old} RENAME TO {new}")
        if aggregates:
            _execute(f"ALTER VIEW {old}_done RENAME TO {new}_done")
        else:
            _execute(f"ALTER TABLE {new} RENAME CONSTRAINT {old}_pkey TO {new}_pkey")


def rename_minutes(*, before: str, after: str) -> None:
    """Give the minutes with the suffix *before* the suffix *after*."""
    old, new = f"candle_1m{before}", f"candle_1m{after}"
    _execute(f"ALTER TABLE {old} RENAME TO {new}")
    _execute(f"ALTER TABLE {new} RENAME CONSTRAINT {old}_pkey TO {new}_pkey")
    run("rename_partitions.sql")


def run(name: str, **names: object) -> None:
    """Execute a file of statements with these names in it."""
    _execute(sql(__package__, f"schema/{name}").format(**names))


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
