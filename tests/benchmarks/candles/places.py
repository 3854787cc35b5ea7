"""Databases of the area: each an empty copy of the migrated one, with the store that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from django.db import connection

from apps.candles.models import Instrument
from apps.candles.storage import aggregates, moving, schema, stores
from apps.candles.storage.capabilities import detect
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.stores import AGGREGATES, PORTABLE, Base, Rollups, Store
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import MINUTE, ROLLUPS
from tests.benchmarks import database
from tests.benchmarks.candles import data
from tests.benchmarks.candles.data import MARKETS, Market, Minutes
from tests.benchmarks.experiment import Bench


def obstacle() -> str | None:
    """Why there is no TimescaleDB here; None when there is."""
    return detect().obstacle


class Place:
    """A database with the store *store*, named *name*, that this process can work on."""

    def __init__(self, name: str, store: Store) -> None:
        self.name, self.store = name, store
        database.drop(name)
        database.copy(name)
        with database.using(name):
            if stores.in_force() != store:
                moving.convert(store)
            if store.base == Base.HYPERTABLE:
                # What is set for a database is not copied with it.
                schema.run("batches.sql")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work here for the duration of a block, on a connection that is open already."""
        with database.using(self.name):
            database.value("SELECT 1")
            yield

    def drop(self) -> None:
        """Remove it."""
        database.drop(self.name)


class _Year:
    """A year of three markets with all roll-ups in one store, made once for all that read it."""

    store: Store

    def __init__(self, bench: Bench) -> None:
        self.days = bench.size(data.YEAR, 20)
        self.place = Place(f"year_{self.store.base.value}", self.store)
        with self.place.entered():
            self.instruments = fill(MARKETS[:3], self.days)
            if self.store == AGGREGATES:
                compress()
        #: The market that is read: the one with the most digits.
        self.market = data.WORST
        self.instrument = self.instruments[self.market]
        self.start, self.end = data.START, data.START + timedelta(days=self.days)

    @property
    def minutes(self) -> Minutes:
        """What is stored of it."""
        return data.minutes(self.market, self.days)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The server goes with all that is on it."""


class PortableYear(_Year):
    """In partitions."""

    store = PORTABLE


class CompressedYear(_Year):
    """In TimescaleDB's columnstore."""

    store = AGGREGATES


def settle() -> None:
    """Let what is measured next not pay for what was written before."""
    database.execute("CHECKPOINT")


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def fill(markets: Iterable[Market], days: int) -> dict[Market, Instrument]:
    """Store so many days of each market, roll-ups included, here and now."""
    made = {}
    for market in markets:
        made[market] = data.instrument(market)
        write_candles(instrument=made[market], minutes=data.minutes(market, days), refresh=False)
    roll_up(days)
    analyse()
    return made


def roll_up(days: int) -> None:
    """Bring all roll-ups up to date, over so many days from the start of the data."""
    if stores.in_force().rollups == Rollups.AGGREGATES:
        first = int(data.minutes(data.WORST, 1).ts[0])
        aggregates.refresh_ranges([(first, first + (days * 1440 - 1) * MINUTE)])
        database.execute("DELETE FROM candle_dirty")
    else:
        refresh_rollups()


def analyse() -> None:
    """What autovacuum would do some time after a fill."""
    tables = ["candle_1m"]
    if stores.in_force().rollups == Rollups.INCREMENTAL:
        tables += [level.table for level in ROLLUPS]
    for table in (*tables, "candle_dirty", "candles_revision"):
        database.execute(f"VACUUM (ANALYZE) {table}")


def chunks(relation: str) -> list[str]:
    """The chunks of a hypertable or of a continuous aggregate."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT show_chunks(%s)::text", [relation])
        return [name for (name,) in cursor.fetchall()]


def compress() -> None:
    """Move every chunk of every relation to the columnstore."""
    for relation in ("candle_1m", *(level.table for level in ROLLUPS)):
        for chunk in chunks(relation):
            database.execute(f"CALL convert_to_columnstore('{chunk}', if_not_columnstore => true)")
    database.execute("VACUUM (ANALYZE)")


def materialised(relation: str) -> str:
    """The hypertable that holds a relation: the one below a continuous aggregate, or itself."""
    found: str = database.value(
        "SELECT coalesce((SELECT format('%%I.%%I', materialization_hypertable_schema,"
        " materialization_hypertable_name) FROM timescaledb_information.continuous_aggregates"
        " WHERE view_name = %s), %s)",
        [relation, relation],
    )
    return found


def size(relation: str) -> int:
    """The bytes of a hypertable or of a continuous aggregate on the disk, with indexes and TOAST."""
    return int(database.value("SELECT hypertable_size(%s)", [materialised(relation)]))


def reserve(minutes: Minutes, keeper: Instrument) -> None:
    """Empty the store, but for one early row in every month, so that partitions and chunks exist already."""
    database.execute("TRUNCATE candle_1m")
    months = minutes.ts.astype("datetime64[ms]").astype("datetime64[D]")
    places = [place for place in range(0, len(minutes), 1440) if str(months[place]).endswith(("01", "15"))]
    write_candles(instrument=keeper, minutes=minutes.chosen(places or [0]))  # type: ignore[arg-type]
