"""Candles to test with, and a roll-up made the slow and obvious way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection

from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes
from apps.candles.sources.base import VALUES
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage import stores
from apps.candles.storage.partitions import ensure_partitions
from apps.candles.storage.stores import Base
from apps.candles.timeframes import DAY, M1, ROLLUPS, TIMEFRAMES, to_datetime

MINUTE = 60_000
#: 2024-01-01T00:00Z, a Monday.
MONDAY = 1_704_067_200_000

_numbers = itertools.count(1)

#: Every relation that holds bars.
TABLES = tuple(level.table for level in (M1, *ROLLUPS))

Bar = tuple[int, int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays(CheckedMinutes):
    """Minutes as `write_candles` takes them."""

    price_scale: int = 2
    volume_scale: int = 5

    def __getitem__(self, where: Any) -> Arrays:
        """The minutes at these places."""
        names = ("ts", "open", "high", "low", "close", "volume")
        return replace(self, **{name: getattr(self, name)[where] for name in names})

    def bars(self) -> dict[int, Bar]:
        """The same by open time."""
        return bars(zip(self.ts, self.open, self.high, self.low, self.close, self.volume, strict=True))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def instrument(symbol: str = "", *, exchange: str = "binance", **fields: Any) -> Instrument:
    """A new instrument, not followed unless told; of another symbol every time unless one is given."""
    symbol = symbol or f"T{next(_numbers)}/USDT"
    base, _, quote = symbol.partition("/")
    values = {"price_scale": 2, "volume_scale": 5, **fields}
    return Instrument.objects.create(exchange=exchange, symbol=symbol, base=base, quote=quote, **values)


def walk(n: int, *, start: int = MONDAY, seed: int = 0, gaps: float = 0.0) -> Arrays:
    """A random walk of *n* minutes, of which a share of *gaps* is missing."""
    random = np.random.default_rng(seed)
    close = 2_000_000 + np.cumsum(random.integers(-500, 501, n))
    open_ = np.concatenate([[2_000_000], close[:-1]])
    arrays = Arrays(
        ts=start + MINUTE * np.arange(n, dtype=np.int64),
        open=open_,
        high=np.maximum(open_, close) + random.integers(0, 300, n),
        low=np.minimum(open_, close) - random.integers(0, 300, n),
        close=close,
        volume=random.integers(0, 10**9, n),
    )
    return arrays[random.random(n) >= gaps]


def bars(rows: Iterable[Iterable[Any]]) -> dict[int, Bar]:
    """Rows that begin with a time and hold five values, by time."""
    made = {}
    for ts, *values in rows:
        made[int(ts)] = tuple(int(value) for value in values)
    return made  # type: ignore[return-value]


def stored(table: str, market: Instrument) -> dict[int, tuple[int, ...]]:
    """What a table holds of an instrument: every column after the time, by time in milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE instrument_id = %s ORDER BY ts", [market.pk])
        return {int(row[1].timestamp() * 1000): row[2:] for row in cursor.fetchall()}


def rolled(minutes: dict[int, Any], width: int) -> dict[int, tuple[int, ...]]:
    """Buckets of *width* milliseconds, one minute after the other, with their number of minutes.

    Counted from Monday, 1970-01-05.
    """
    made: dict[int, tuple[int, ...]] = {}
    monday = 4 * 86_400_000
    for ts in sorted(minutes):
        o, h, low, c, v = minutes[ts]
        at = (ts - monday) // width * width + monday
        if at in made:
            o0, h0, l0, _, v0, n0 = made[at]
            made[at] = (o0, max(h0, h), min(l0, low), c, v0 + v, n0 + 1)
        else:
            made[at] = (o, h, low, c, v, 1)
    return made


def make_room(*ts: int) -> None:
    """Let minutes at these times be stored by SQL: where there are partitions, somebody has to make them."""
    if stores.in_force().base == Base.PARTITIONS:
        ensure_partitions(np.array(ts))


def assert_levels_match(market: Instrument) -> None:
    """Every stored roll-up is what the stored minutes make, and nothing more."""
    minutes = stored("candle_1m", market)
    for level in ROLLUPS:
        a, b = stored(level.table, market), rolled(minutes, level.width)
        assert a == b, (
            level.name,
            [(k, a.get(k), b.get(k)) for k in sorted({*a, *b}) if a.get(k) != b.get(k)][:10],
        )


def assert_read_as_rolled(market: Instrument) -> None:
    """On every timeframe, what a reader is given is what the stored minutes make."""
    minutes = stored("candle_1m", market)
    first, last = min(minutes, default=MONDAY), max(minutes, default=MONDAY)
    ever = to_datetime(first - 7 * DAY), to_datetime(last + 7 * DAY)
    for frame in TIMEFRAMES.values():
        loaded = TimescaleSource().load(market.text, frame.name, *ever)
        made = rolled(minutes, frame.width)
        assert loaded.ts.tolist() == list(made), frame.name
        for place, name in enumerate(VALUES):
            scale = market.volume_scale if name == "volume" else market.price_scale
            expected = [row[place] / 10**scale for row in made.values()]
            assert getattr(loaded, name).tolist() == expected, (frame.name, name)


def dirty() -> int:
    """How many changes wait for a refresh."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM candle_dirty")
        count: int = cursor.fetchone()[0]
        return count
