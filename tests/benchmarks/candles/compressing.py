"""TimescaleDB: what the columnstore saves, and what the tuning of its refresh brings."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from apps.candles.storage import aggregates
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, Store
from apps.candles.timeframes import MINUTE, ROLLUPS, to_datetime
from tests.benchmarks import database
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.data import MARKETS, Market
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_RELATIONS = ("candle_1m", *(level.table for level in ROLLUPS))


class _Compressing(Experiment):
    """Bytes for each minute, indexes and roll-ups included, before and after every chunk was compressed."""

    store: Store
    suffix = ""
    days = data.YEAR

    def obstacle(self) -> str | None:
        return places.obstacle()

    def prepare(self) -> None:
        count = len(MARKETS)
        sets = {"store": MARKETS, "worst": data.many(count, like=data.WORST)}
        self._found = {}
        for name, markets in sets.items():
            place = Place(f"compress_{name}_{self.store.rollups.value}", self.store)
            with place.entered():
                self._found[f"{name}{self.suffix}"] = self._compressed(name, markets)
            place.drop()
        # Years of many markets, which nobody else needs.
        data.minutes.cache_clear()

    def _compressed(self, name: str, markets: Sequence[Market]) -> tuple[float, float]:
        days = self.bench.size(self.days, 10)
        places.fill(markets, days)
        rows = len(markets) * days * 1440
        before = {relation: places.size(relation) / rows for relation in _RELATIONS}
        places.compress()
        after = {relation: places.size(relation) / rows for relation in _RELATIONS}
        whole = sum(before.values()), sum(after.values())
        minutes = before["candle_1m"], after["candle_1m"]
        self.remarks[f"compress-{name}{self.suffix}"] = (
            f"{whole[0] / whole[1]:.1f} times smaller, the minutes alone {minutes[0]:.1f} to {minutes[1]:.2f}"
            f" B/row ({minutes[0] / minutes[1]:.1f} times); {data.origin()}"
        )
        return whole[1], whole[0]

    def measure(self, turn: int) -> Samples:
        """The same each time: nothing here depends on what else the machine does."""
        return {f"compress-{name}": pair for name, pair in self._found.items()}


def _compressions(suffix: str, rollups: str, *, goals: bool) -> list[Figure]:
    return [
        Figure(
            name=f"compress-{name}{suffix}",
            what=f"bytes for each minute of a year of {what} in the columnstore, with {rollups}",
            unit="B/row",
            peer="the same as rows",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1 / goal) if goals else None,
        )
        for name, what, goal in (
            ("store", f"{len(MARKETS)} instruments", 12),
            ("worst", f"{len(MARKETS)} instruments that all have the most digits", 8),
        )
    ]


class Compressing(_Compressing):
    """With continuous aggregates."""

    store = AGGREGATES
    figures = _compressions("", "continuous aggregates on seven levels", goals=True)


class CompressingIncremental(_Compressing):
    """With our own roll-ups: of the same size in the columnstore, but less than aggregates are before it."""

    store = INCREMENTAL
    suffix = "-incremental"
    figures = _compressions("-incremental", "own roll-ups on seven levels", goals=False)


class Materialising(Experiment):
    """Making all aggregates of some months, as the product does it and as TimescaleDB does by itself."""

    figures = (
        Figure(
            name="aggregate-refresh",
            what="minutes whose seven aggregates are refreshed, the product's way",
            unit="rows/s",
            peer="the same refresh at TimescaleDB's default options",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=8),
        ),
    )

    def obstacle(self) -> str | None:
        return places.obstacle()

    def prepare(self) -> None:
        self._place = Place("materialising", AGGREGATES)
        self._days = self.bench.size(90, 5)
        with self._place.entered():
            places.fill(MARKETS[:2], self._days)
        first = int(data.minutes(MARKETS[0], self._days).ts[0])
        self._range = first, first + (self._days * 1440 - 1) * MINUTE
        self.remarks = {"aggregate-refresh": f"{self._days} days of two instruments; {data.origin()}"}

    def _fresh(self) -> None:
        """Forget what is materialised: all of it is new again."""
        for level in ROLLUPS:
            database.execute(f"TRUNCATE {level.table}")
        places.settle()

    def _rate(self, taken: float) -> float:
        rows = 2 * self._days * 1440
        # The view itself would make up for what is not materialised.
        held = database.value(f"SELECT count(*) FROM {places.materialised('candle_5m')}")
        if held != rows // 5:
            raise Failed(f"{held} bars of 5m were materialised of {rows // 5}")
        return rows / taken

    def _ours(self) -> float:
        self._fresh()
        return self._rate(seconds(lambda: aggregates.refresh_ranges([self._range])))

    def _peer(self) -> float:
        self._fresh()
        first, last = self._range

        def refresh() -> None:
            for level in ROLLUPS:
                lo, hi = to_datetime(level.floor(first)), to_datetime(level.ceil(last + MINUTE))
                with connection.cursor() as cursor:
                    cursor.execute(f"CALL refresh_continuous_aggregate('{level.table}', '{lo}', '{hi}')")

        return self._rate(seconds(refresh))

    def measure(self, turn: int) -> Samples:
        with self._place.entered():
            pair = self.by_turns(turn, self._ours, self._peer, self.bench.size(2, 1), of=max)
            return {"aggregate-refresh": pair}
