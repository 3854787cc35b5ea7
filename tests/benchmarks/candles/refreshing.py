"""Making roll-ups: of everything that was just stored, and of each minute of many instruments."""

from __future__ import annotations

from django.db import connection

from apps.candles.models import Instrument
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, PORTABLE, Store
from apps.candles.storage.writer import write_batch
from apps.candles.timeframes import MINUTE, ROLLUPS
from tests.benchmarks import database
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.data import MARKETS, Minutes
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.candles.writing import candles, upsert
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind


class Refreshing(Experiment):
    """Making all roll-ups of what was just stored."""

    figures = (
        Figure(
            name="refresh",
            what="all roll-ups of a year of two instruments, for a million minutes, portable",
            unit="s",
            peer="each level made of the minutes by one statement, into tables without keys",
            goal=Goal(kind=Kind.OURS_AT_MOST, value=2),
        ),
    )

    def prepare(self) -> None:
        self._place = Place("refreshing", PORTABLE)
        self._days = self.bench.size(data.YEAR, 10)
        with self._place.entered():
            self._made = places.fill(MARKETS[:2], self._days)
        self._millions = len(self._made) * self._days * 1440 / 1e6
        self.remarks = {"refresh": data.origin()}

    def _ours(self) -> float:
        for level in ROLLUPS:
            database.execute(f"TRUNCATE {level.table}")
        database.execute("TRUNCATE candle_dirty")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO candle_dirty (instrument_id, lo, hi) SELECT instrument_id, min(ts), max(ts)"
                " FROM candle_1m GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')"
            )
        places.settle()
        taken = seconds(refresh_rollups)
        for market, instrument in self._made.items():
            volume = database.value(
                "SELECT sum(volume) FROM candle_1d WHERE instrument_id = %s", [instrument.pk]
            )
            if int(volume) != data.minutes(market, self._days).volume.sum():
                raise Failed(f"the days of {market.base} do not add up to its minutes")
        return taken / self._millions

    def _peer(self) -> float:
        places.settle()

        def build() -> None:
            for level in ROLLUPS:
                database.execute(
                    f"CREATE TABLE other_{level.name} AS"
                    " SELECT instrument_id, date_bin(%s, ts, '1970-01-05 00:00+00') AS bar,"
                    " (array_agg(open ORDER BY ts))[1] AS open, max(high) AS high, min(low) AS low,"
                    " (array_agg(close ORDER BY ts DESC))[1] AS close, sum(volume)::bigint AS volume,"
                    " count(*) AS n FROM candle_1m GROUP BY 1, 2",
                    [f"{level.width // 60_000} minutes"],
                )

        taken = seconds(build)
        for level in ROLLUPS:
            database.execute(f"DROP TABLE other_{level.name}")
        return taken / self._millions

    def measure(self, turn: int) -> Samples:
        with self._place.entered():
            return {"refresh": self.by_turns(turn, self._ours, self._peer, self.bench.size(2, 1), of=min)}


class _Live(Experiment):
    """One minute of each of many instruments, as the sync stores it."""

    store: Store
    suffix = ""
    #: Days that are stored of each instrument.
    days = 2

    def obstacle(self) -> str | None:
        return None if self.store == PORTABLE else places.obstacle()

    def prepare(self) -> None:
        self._markets = data.many(self.bench.size(500, 10))
        self._place = Place(f"live_{self.store.base.value}_{self.store.rollups.value}", self.store)
        with self._place.entered():
            made = places.fill(self._markets, self.days)
        self._instruments = [made[market] for market in self._markets]
        self._next = int(data.minutes(self._markets[0], self.days).ts[-1])
        self.remarks = {
            figure.name: f"{self.days} days of each instrument; {data.origin()}" for figure in self.figures
        }

    def _minute(self) -> list[tuple[Instrument, Minutes]]:
        """The next minute of each."""
        self._next += MINUTE
        return [
            (instrument, data.minutes(market, 1).chosen(slice(0, 1)).at(self._next))
            for instrument, market in zip(self._instruments, self._markets, strict=True)
        ]

    def _ours(self) -> float:
        batch = self._minute()
        return seconds(lambda: write_batch(batch=batch))

    def _peer(self) -> float:
        rows = [row for instrument, minutes in self._minute() for row in candles(instrument, minutes)]
        return seconds(lambda: upsert(rows))

    def measure(self, turn: int) -> Samples:
        with self._place.entered():
            self._ours()  # so that plans are known to the session
            self._peer()
            pair = self.by_turns(turn, self._ours, self._peer, self.bench.size(9, 1))
            return {f"live-500{self.suffix}": pair}


def _live_figure(suffix: str, where: str) -> Figure:
    return Figure(
        name=f"live-500{suffix}",
        what=f"a minute of each of 500 instruments stored and rolled up in one transaction, {where}",
        unit="s",
        peer="the minutes alone by bulk_create(update_conflicts), no level made",
        goal=Goal(kind=Kind.OURS_AT_MOST, value=0.3),
    )


class Live(_Live):
    """Portable."""

    store = PORTABLE
    figures = (_live_figure("", "portable"),)


class LiveIncremental(_Live):
    """Our own roll-ups in hypertables."""

    store = INCREMENTAL
    suffix = "-incremental"
    figures = (_live_figure(suffix, "hypertables, own roll-ups"),)


class LiveAggregates(_Live):
    """Roll-ups are computed on reading until they are refreshed."""

    store = AGGREGATES
    suffix = "-aggregates"
    figures = (_live_figure(suffix, "a hypertable whose aggregates make roll-ups when they are read"),)
