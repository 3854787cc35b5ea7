"""One late candle: how long it takes until every level is right, however many instruments there are."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from statistics import median

import numpy as np

from apps.candles.models import Candle1m, Instrument
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, PORTABLE, Store
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import TIMEFRAMES
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.candles.writing import upsert
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

#: Everything, with the week that the first day lies in.
_EVER = data.START - timedelta(days=7), data.START + timedelta(days=data.YEAR)
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
            place = Place(f"late{self.suffix.replace('-', '_')}_{count}", self.store)
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
            self._check(instrument)
        return median(taken)

    def _check(self, instrument: Instrument) -> None:
        """Every level is right for whoever reads it from now on."""
        volumes = {
            level: int(np.rint(source.volume * 10**instrument.volume_scale).sum())
            for level, source in (
                (level, TimescaleSource().load(instrument.text, level, *_EVER)) for level in TIMEFRAMES
            )
        }
        if len(set(volumes.values())) != 1:
            raise Failed(f"the levels differ after a late candle: {volumes}")

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


def _late_figures(suffix: str, where: str, *, goal: float | None = 15) -> list[Figure]:
    return [
        Figure(
            name=f"late-{count}{suffix}",
            what=f"a late candle, committed, until all levels read right, among {count} instruments, {where}",
            unit="ms",
            peer="the minute alone by bulk_create(update_conflicts), no level corrected",
            goal=None if goal is None else Goal(kind=Kind.OURS_AT_MOST, value=goal),
        )
        for count in _DAYS
    ]


class Late(_Late):
    """Portable."""

    store = PORTABLE
    figures = _late_figures("", "portable")


class _LateTimescale(_Late):
    def obstacle(self) -> str | None:
        return places.obstacle()


class LateAggregates(_LateTimescale):
    """Continuous aggregates, all of it in the columnstore: the roll-ups follow with the next refresh."""

    store = AGGREGATES
    suffix = "-aggregates"
    figures = _late_figures("-aggregates", "continuous aggregates, all in the columnstore")

    def _finish(self) -> None:
        refresh_rollups()
        places.compress()


class LateIncremental(_LateTimescale):
    """Our own roll-ups in hypertables, in chunks that are not compressed yet, as late minutes mostly are."""

    store = INCREMENTAL
    suffix = "-incremental"
    figures = _late_figures("-incremental", "own roll-ups in hypertables")


class LateCompressed(_LateTimescale):
    """The same in the columnstore, of which a batch on every level has to be decompressed."""

    store = INCREMENTAL
    suffix = "-compressed"
    figures = _late_figures("-compressed", "own roll-ups in the columnstore", goal=None)

    def _finish(self) -> None:
        places.compress()
