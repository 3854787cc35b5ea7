"""Databases of the area: each an empty copy of the migrated one, with the store that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

from apps.candles.models import Instrument
from apps.candles.storage import aggregates, moving, stores
from apps.candles.storage.capabilities import detect
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.stores import PORTABLE, Base, Rollups, Store
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import MINUTE, ROLLUPS
from tests.benchmarks import database
from tests.benchmarks.candles import data
from tests.benchmarks.candles.data import Market, Minutes


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

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work here for the duration of a block, on a connection that is open already."""
        with database.using(self.name):
            database.value("SELECT 1")
            yield

    def drop(self) -> None:
        """Remove it."""
        database.drop(self.name)


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


def reserve(minutes: Minutes, keeper: Instrument) -> None:
    """Empty the store, but for one early row in every month, so that partitions and chunks exist already."""
    database.execute("TRUNCATE candle_1m")
    months = minutes.ts.astype("datetime64[ms]").astype("datetime64[D]")
    places = [place for place in range(0, len(minutes), 1440) if str(months[place]).endswith(("01", "15"))]
    write_candles(instrument=keeper, minutes=minutes.chosen(places or [0]))  # type: ignore[arg-type]


