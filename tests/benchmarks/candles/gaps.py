"""Finding what is missing in a year of one instrument: against a window function over its minutes."""

from __future__ import annotations

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.candles.gaps import find_gaps
from apps.candles.storage.stores import AGGREGATES, PORTABLE, Store
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import MINUTE, to_datetime, to_ms
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.data import MARKETS
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_GAPS = 50
_LEAD = """
    SELECT ts + interval '1 minute', following FROM (
        SELECT ts, lead(ts) OVER (ORDER BY ts) AS following FROM candle_1m
        WHERE instrument_id = %s AND ts >= %s AND ts < %s
    ) AS minutes WHERE following > ts + interval '1 minute' ORDER BY ts
"""


def _kept(count: int) -> NDArray[np.bool_]:
    """Which of so many minutes there are: all but 50 gaps, half of a minute each, the others of hours."""
    chance = np.random.default_rng(7)
    width = count // _GAPS
    kept = np.ones(count, bool)
    for number in range(_GAPS):
        length = 1 if number % 2 else int(chance.integers(60, 360))
        begin = number * width + int(chance.integers(1, width - 361))
        kept[begin : begin + length] = False
    return kept


class _Gaps(Experiment):
    """One instrument of three."""

    store: Store
    suffix = ""

    def obstacle(self) -> str | None:
        return None if self.store == PORTABLE else places.obstacle()

    def prepare(self) -> None:
        days = self.bench.size(data.YEAR, 30)
        whole = data.minutes(data.WORST, days)
        self._minutes = whole.chosen(_kept(len(whole)))
        self._place = Place(f"gaps_{self.store.base.value}", self.store)
        with self._place.entered():
            self._instrument = data.instrument(data.WORST)
            write_candles(instrument=self._instrument, minutes=self._minutes, refresh=False)
            places.fill(MARKETS[1:3], days)
            if self.store == AGGREGATES:
                places.compress()
        self.remarks = {figure.name: data.origin() for figure in self.figures}

    def _ours(self) -> list[tuple[int, int]]:
        return find_gaps(instrument_id=self._instrument.pk)

    def _peer(self) -> list[tuple[int, int]]:
        with connection.cursor() as cursor:
            end = int(self._minutes.ts[-1]) + MINUTE
            cursor.execute(_LEAD, [self._instrument.pk, data.START, to_datetime(end)])
            return [(to_ms(lo), to_ms(hi)) for lo, hi in cursor.fetchall()]

    def measure(self, turn: int) -> Samples:
        with self._place.entered():
            ours, peer = self._ours(), self._peer()
            if len(ours) != _GAPS or ours != peer:
                raise Failed(f"{len(ours)} gaps were found, and {len(peer)} by lead()")
            ours_ms, peer_ms = self.by_turns(
                turn,
                lambda: 1000 * seconds(self._ours),
                lambda: 1000 * seconds(self._peer),
                self.bench.size(7, 1),
            )
            return {f"gaps{self.suffix}": (1000 / ours_ms, 1000 / peer_ms)}


def _figure(suffix: str, where: str) -> Figure:
    return Figure(
        name=f"gaps{suffix}",
        what=f"how often the {_GAPS} gaps of an instrument's year can be found, {where}",
        unit="finds/s",
        peer="lead() over its minutes",
        goal=Goal(kind=Kind.RATIO_AT_LEAST, value=4),
    )


class Gaps(_Gaps):
    """In partitions."""

    store = PORTABLE
    figures = (_figure("", "portable"),)


class GapsTimescale(_Gaps):
    """In the columnstore."""

    store = AGGREGATES
    suffix = "-timescale"
    figures = (_figure("-timescale", "in the columnstore"),)
