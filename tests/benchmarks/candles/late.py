"""One late candle: how long it takes until every level is right, however many instruments there are."""

from __future__ import annotations

from functools import partial
from statistics import median

import numpy as np

from apps.candles.models import Candle1m
from apps.candles.storage.stores import INCREMENTAL, PORTABLE, Store
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import TIMEFRAMES
from tests.benchmarks import database
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.candles.writing import upsert
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

#: How many instruments there are, and how many days are stored of each.
_DAYS = {1: 90, 50: 10, 500: 3}


class _Late(Experiment):
    """One minute long after its time, committed, with every level corrected."""

    store: Store
    suffix = ""

    def prepare(self) -> None:
        self._chance = np.random.default_rng(1)
        self._places: dict[int, Place] = {}
        for count, days in _DAYS.items():
            some = self.bench.size(count, min(count, 5))
            place = Place(f"late_{self.store.base.value}_{count}", self.store)
            with place.entered():
                places.fill(data.many(some), days)
                self._finish()
            self._places[count] = place
        self.remarks = {
            figure.name: f"{days} days of each instrument; {data.origin()}"
            for figure, days in zip(self.figures, _DAYS.values(), strict=True)
        }

    def _finish(self) -> None:
        """What else is done to a store before it is measured."""

    def _late(self, count: int) -> float:
        """Median milliseconds of one late candle."""
        some = data.many(self.bench.size(count, min(count, 5)))
        chance = self._chance
        taken = []
        for _ in range(self.bench.size(15, 2)):
            market = some[int(chance.integers(len(some)))]
            instrument = data.find(market)
            minutes = data.minutes(market, _DAYS[count])
            at = int(chance.integers(len(minutes)))
            late = minutes.chosen(slice(at, at + 1)).louder(int(chance.integers(1, 1000)))
            taken.append(1000 * seconds(partial(write_candles, instrument=instrument, minutes=late)))
            self._check(instrument.pk)
        return median(taken)

    def _check(self, pk: int) -> None:
        sums = {
            level: database.value(f"SELECT sum(volume) FROM candle_{level} WHERE instrument_id = %s", [pk])
            for level in TIMEFRAMES
        }
        if len(set(sums.values())) != 1:
            raise Failed(f"the levels differ after a late candle: {sums}")

    def measure(self, turn: int) -> Samples:
        found = {}
        for count, place in self._places.items():
            with place.entered():
                self._late(count)  # so that plans and partitions are known to the session
                self._finish()
                ours = self._late(count)
                peer = self._peer(count)
            found[f"late-{count}{self.suffix}"] = ours, peer
        return found

    def _peer(self, count: int) -> float:
        """The minute alone, by bulk_create."""
        some = data.many(self.bench.size(count, min(count, 5)))
        chance = self._chance
        taken = []
        for _ in range(self.bench.size(15, 2)):
            market = some[int(chance.integers(len(some)))]
            row = Candle1m.objects.filter(instrument_id=data.find(market).pk).order_by("ts").first()
            assert row is not None
            taken.append(1000 * seconds(partial(upsert, [row])))
        return median(taken)


def _late_figures(suffix: str, where: str) -> list[Figure]:
    return [
        Figure(
            name=f"late-{count}{suffix}",
            what=f"one late candle corrected on every level, committed, among {count} instruments, {where}",
            unit="ms",
            peer="the minute alone by bulk_create(update_conflicts), no level corrected",
            goal=Goal(kind=Kind.OURS_AT_MOST, value=15),
        )
        for count in _DAYS
    ]


class Late(_Late):
    """Portable."""

    store = PORTABLE
    figures = _late_figures("", "portable")


class LateTimescale(_Late):
    """Our own roll-ups in hypertables, all of it in the columnstore."""

    store = INCREMENTAL
    suffix = "-timescale"
    figures = _late_figures("-timescale", "own roll-ups in the columnstore")

    def obstacle(self) -> str | None:
        return places.obstacle()

    def _finish(self) -> None:
        places.compress()
