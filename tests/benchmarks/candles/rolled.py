"""Reading roll-ups, against SQL over the minutes, as one writes it who has no roll-ups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from django.db import connection

from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.places import CompressedYear, PortableYear
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

#: Bars of a width made of minutes, without and with TimescaleDB's functions.
_PLAIN = """
    SELECT date_bin('{width} minutes', ts, '1970-01-05 00:00+00') AS bar, (array_agg(open ORDER BY ts))[1],
           max(high), min(low), (array_agg(close ORDER BY ts DESC))[1], sum(volume)::bigint
    FROM candle_1m WHERE instrument_id = {id} AND ts >= '{start}' AND ts < '{end}' GROUP BY 1 ORDER BY 1
"""
_TIMESCALE = """
    SELECT time_bucket('{width} minutes', ts) AS bar, first(open, ts),
           max(high), min(low), last(close, ts), sum(volume)::bigint
    FROM candle_1m WHERE instrument_id = {id} AND ts >= '{start}' AND ts < '{end}' GROUP BY 1 ORDER BY 1
"""
_GOALS = {"1d": 80, "1h": 8}
#: For so long, in seconds, reads go on one after the other: the first one after a pause takes twice as long.
_ROW = 0.05


def _each(read: Callable[[], object]) -> float:
    """Milliseconds of a read among several in a row."""
    began, times = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < _ROW:
        read()
        times += 1
    return 1000 * taken / times


class _Rolled(Experiment):
    """A year of bars of one of three instruments."""

    year: type[PortableYear | CompressedYear]
    queries: Sequence[str]
    suffix = ""

    def prepare(self) -> None:
        self._year = self.bench.shared(self.year)
        self.remarks = {figure.name: data.origin() for figure in self.figures}

    def _milliseconds(self, frame: str) -> float:
        year, source = self._year, TimescaleSource()
        return _each(lambda: source.load(year.market.text, frame, year.start, year.end))

    def _on_the_fly(self, query: str) -> float:
        def fetch() -> None:
            with connection.cursor() as cursor:
                cursor.execute(query)
                cursor.fetchall()

        return _each(fetch)

    def _check(self, frame: str, query: str) -> None:
        year = self._year
        found = TimescaleSource().load(year.market.text, frame, year.start, year.end)
        with connection.cursor() as cursor:
            cursor.execute(query)
            rows = cursor.fetchall()
        price = 10.0**year.market.price_scale
        for name, place in (("open", 1), ("high", 2), ("low", 3), ("close", 4)):
            if not np.array_equal(getattr(found, name), np.array([row[place] for row in rows]) / price):
                raise Failed(f"{name} at {frame} is not what the minutes come to")

    def measure(self, turn: int) -> Samples:
        year, found = self._year, {}
        with year.place.entered():
            for frame in _GOALS:
                queries = [
                    query.format(
                        width=TIMEFRAMES[frame].width // 60_000,
                        id=year.instrument.pk,
                        start=year.start,
                        end=year.end,
                    )
                    for query in self.queries
                ]
                for query in queries:
                    self._check(frame, query)
                times = self.bench.size(5, 1)
                pairs = [
                    self.by_turns(
                        turn,
                        lambda frame=frame: self._milliseconds(frame),
                        lambda query=query: self._on_the_fly(query),
                        times,
                    )
                    for query in queries
                ]
                # The best that somebody without roll-ups can do.
                ours, peer = min(pairs, key=lambda pair: pair[1])
                found[f"roll-up-{frame}{self.suffix}"] = 1000 / ours, 1000 / peer
        return found


def _rolled(suffix: str, where: str, peer: str) -> list[Figure]:
    return [
        Figure(
            name=f"roll-up-{frame}{suffix}",
            what=f"how often a year at {frame} can be read into arrays, one time after the other, {where}",
            unit="reads/s",
            peer=peer,
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=goal),
        )
        for frame, goal in _GOALS.items()
    ]


class Rolled(_Rolled):
    """Portable."""

    year = PortableYear
    queries = (_PLAIN,)
    figures = _rolled("", "portable", "on the fly from the minutes by date_bin and array_agg")


class RolledTimescale(_Rolled):
    """Continuous aggregates in the columnstore."""

    year = CompressedYear
    queries = (_TIMESCALE, _PLAIN)
    suffix = "-timescale"
    figures = _rolled(
        "-timescale",
        "continuous aggregates in the columnstore",
        "on the fly from the minutes by time_bucket, first and last, or by date_bin, whichever is quicker",
    )

    def obstacle(self) -> str | None:
        return places.obstacle()
