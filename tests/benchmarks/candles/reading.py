"""Reading an instrument's year into arrays: from the database, and from the files of the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from django.db import connection
from numpy.typing import NDArray
from sqlalchemy import URL, create_engine

from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.places import CompressedYear, PortableYear, seconds
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_Year = PortableYear | CompressedYear
_Arrays = Mapping[str, NDArray[np.generic]]

_QUERY = """
    SELECT ts, open, high, low, close, volume FROM candle_1m
    WHERE instrument_id = {id} AND ts >= '{start}' AND ts < '{end}' ORDER BY ts
"""
#: A row as binary COPY sends it: a field count, then each column's length and value.
_ROW = np.dtype(
    [("fields", ">i2")]
    + [field for name in ("ts", *VALUES) for field in ((f"length {name}", ">i4"), (name, ">i8"))]
)
_HEADER, _TRAILER = 19, 2
_EPOCH = 946_684_800_000


def _query(year: _Year) -> str:
    return _QUERY.format(id=year.instrument.pk, start=year.start, end=year.end)


def _floats(year: _Year, integers: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float64]]:
    price, volume = 10.0**year.market.price_scale, 10.0**year.market.volume_scale
    return {name: integers[name] / (volume if name == "volume" else price) for name in VALUES}


def by_copy(year: _Year) -> _Arrays:
    """The year by psycopg's binary COPY and numpy."""
    stream = bytearray()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({_query(year)}) TO STDOUT (FORMAT binary)") as copy,
    ):
        for piece in copy:
            stream += piece
    rows = np.frombuffer(stream, _ROW, (len(stream) - _HEADER - _TRAILER) // _ROW.itemsize, _HEADER)
    values = _floats(year, {name: rows[name].astype(np.int64) for name in VALUES})
    return {"ts": rows["ts"].astype(np.int64) // 1000 + _EPOCH, **values}


class ByPandas:
    """The year by ``pandas.read_sql``, on a connection that stays open."""

    def __init__(self) -> None:
        settings = connection.get_connection_params()
        url = URL.create(
            "postgresql+psycopg",
            username=settings.get("user"),
            password=settings.get("password"),
            database=settings["dbname"],
            query={key: str(settings[key]) for key in ("host", "port") if settings.get(key)},
        )
        self._engine = create_engine(url)

    def read(self, year: _Year) -> _Arrays:
        """The arrays."""
        frame = pd.read_sql(_query(year), self._engine)
        ts = frame["ts"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
        return {"ts": ts, **_floats(year, {name: frame[name].to_numpy() for name in VALUES})}

    def close(self) -> None:
        """End its connections."""
        self._engine.dispose()


def _check(ours: Candles, peers: Mapping[str, _Arrays], minutes: int) -> None:
    """Raises `Failed` unless all have the same arrays, bit for bit."""
    if len(ours) != minutes:
        raise Failed(f"{len(ours)} minutes were read of {minutes}")
    for peer, arrays in peers.items():
        for name in ("ts", *VALUES):
            mine, theirs = getattr(ours, name), arrays[name]
            if mine.dtype != theirs.dtype or mine.tobytes() != theirs.tobytes():
                raise Failed(f"{name} differs between us and {peer}")


def _figures(suffix: str, where: str) -> list[Figure]:
    what = f"a year of minutes of one of three instruments to float64 arrays, {where}"
    return [
        Figure(
            name=f"read-{name}{suffix}",
            what=what,
            unit="rows/s",
            peer=peer,
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=goal),
        )
        for name, peer, goal in (
            ("copy", "psycopg's binary COPY and numpy", 1.5),
            ("pandas", "pandas.read_sql", 5),
        )
    ]


class _Reading(Experiment):
    """From the database."""

    year: type[_Year]
    suffix = ""

    def prepare(self) -> None:
        self._year = self.bench.shared(self.year)
        self.remarks = {figure.name: data.origin() for figure in self.figures}

    def _rate(self, read: Callable[[], object]) -> float:
        return len(self._year.minutes) / seconds(read)

    def measure(self, turn: int) -> Samples:
        year, source = self._year, TimescaleSource()

        def ours() -> Candles:
            return source.load(year.market.text, "1m", year.start, year.end)

        with year.place.entered():
            pandas = ByPandas()
            _check(ours(), {"COPY": by_copy(year), "pandas": pandas.read(year)}, len(year.minutes))
            times = self.bench.size(5, 1)
            found = {
                f"read-{name}{self.suffix}": self.by_turns(
                    turn,
                    lambda: self._rate(ours),
                    lambda peer=peer: self._rate(peer),
                    times,
                )
                for name, peer in (
                    ("copy", lambda: by_copy(year)),
                    ("pandas", lambda: pandas.read(year)),
                )
            }
            pandas.close()
            return found


class Reading(_Reading):
    """From partitions."""

    year = PortableYear
    figures = _figures("", "from partitions")


class ReadingTimescale(_Reading):
    """From the columnstore."""

    year = CompressedYear
    suffix = "-timescale"
    figures = _figures("-timescale", "from the columnstore")

    def obstacle(self) -> str | None:
        return places.obstacle()


class Cached(Experiment):
    """From the files of the cache."""

    figures = (
        Figure(
            name="read-cache",
            what="a year of minutes to float64 arrays from the mapped cache at the database's versions",
            unit="rows/s",
            peer="np.load of an uncompressed npz of the same arrays",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=0.9),
        ),
    )

    def prepare(self) -> None:
        self._year = self.bench.shared(PortableYear)
        folder = self.bench.folder / "cache"
        self._source = CachedSource(TimescaleSource(), folder / "mapped", limit=2**30)
        with self._year.place.entered():
            candles = self._ours()
        self._npz: Path = folder / "year.npz"
        np.savez(self._npz, ts=candles.ts, **{name: getattr(candles, name) for name in VALUES})
        self.remarks = {"read-cache": data.origin()}

    def _ours(self) -> Candles:
        return self._source.load(self._year.market.text, "1m", self._year.start, self._year.end)

    def _peer(self) -> _Arrays:
        with np.load(self._npz, allow_pickle=False) as file:
            return {name: file[name] for name in ("ts", *VALUES)}

    def measure(self, turn: int) -> Samples:
        rows = len(self._year.minutes)
        with self._year.place.entered():
            _check(self._ours(), {"the file": self._peer()}, rows)
            return {
                "read-cache": self.by_turns(
                    turn,
                    lambda: rows / seconds(self._ours),
                    lambda: rows / seconds(self._peer),
                    self.bench.size(15, 1),
                )
            }
