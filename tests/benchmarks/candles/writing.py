"""Storing minutes: against binary COPY into the same table, and against Django's bulk_create."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from django.db import connection, transaction

from apps.candles.models import Candle1m, Instrument
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, PORTABLE, Store
from apps.candles.storage.wire import layout
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import to_datetime
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.data import MARKETS, WORST, Minutes
from tests.benchmarks.candles.places import Place, seconds
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_COLUMNS = ("instrument_id", "ts", "open", "high", "low", "close", "volume")
#: A range that is stored in one call, as an import does; and how often in each repetition, of
#: which the best counts.
_DAYS, _TIMES = 91, 4
_COPY = "binary COPY of the same rows, encoded as quickly, into the same table with its triggers"


@transaction.atomic
def raw_copy(instrument: Instrument, minutes: Minutes) -> None:
    """The same rows by COPY alone. psycopg's own encoding of each row would take longer than this."""
    wire = layout("candle_1m", _COLUMNS)
    arrays = {name: getattr(minutes, name) for name in _COLUMNS[1:]}
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY candle_1m ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        for piece in wire.encode(len(minutes), {"instrument_id": instrument.pk, **arrays}):
            copy.write(piece)


def candles(instrument: Instrument, minutes: Minutes) -> Iterator[Candle1m]:
    """The same rows as Django has them."""
    columns = [getattr(minutes, name).tolist() for name in _COLUMNS[1:]]
    for ts, *values in zip(*columns, strict=True):
        named = dict(zip(_COLUMNS[2:], values, strict=True))
        yield Candle1m(instrument_id=instrument.pk, ts=to_datetime(ts), **named)


def upsert(rows: Iterable[Candle1m]) -> None:
    """Store rows as Django does it."""
    Candle1m.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["instrument", "ts"],
        update_fields=list(_COLUMNS[2:]),
        batch_size=1000,
    )


class Written:
    """An instrument whose minutes are stored again and again, and one whose rows keep the table's parts."""

    def __init__(self, place: Place, minutes: Minutes) -> None:
        self.place, self.minutes = place, minutes
        with place.entered():
            self.instrument, self.keeper = data.instrument(WORST), data.instrument(MARKETS[1])
            self.rate(lambda: self.store(minutes))
            self.rate(lambda: raw_copy(self.instrument, minutes))

    def store(self, minutes: Minutes, *, refresh: bool = False) -> None:
        """By the product."""
        write_candles(instrument=self.instrument, minutes=minutes, refresh=refresh)

    def rate(
        self,
        write: Callable[[], Any],
        *,
        before: Callable[[], Any] = lambda: None,
        minutes: Minutes | None = None,
    ) -> float:
        """Rows a second of a write of these minutes to a store that is empty but for what *before* did."""
        places.reserve(self.minutes, self.keeper)
        before()
        places.settle()
        return len(minutes or self.minutes) / seconds(write)

    def check(self) -> None:
        """Raises `Failed` unless all minutes are stored with their values."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), sum(volume), sum(close) FROM candle_1m WHERE instrument_id = %s",
                [self.instrument.pk],
            )
            found = tuple(map(int, cursor.fetchone()))
        if found != (len(self.minutes), int(self.minutes.volume.sum()), int(self.minutes.close.sum())):
            raise Failed(f"{self.place.name} does not hold what was written to it")


class _Writing(Experiment):
    """Minutes of one instrument in one call, into one store."""

    store = PORTABLE
    suffix = ""
    #: Whether the product refreshes the roll-ups in the transaction of a write.
    refreshed = True

    def obstacle(self) -> str | None:
        return None if self.store == PORTABLE else places.obstacle()

    def prepare(self) -> None:
        self._minutes = data.minutes(WORST, self.bench.size(_DAYS, 3))
        self._written = Written(Place(f"write{self.suffix.replace('-', '_')}", self.store), self._minutes)
        inner = np.ones(len(self._minutes), bool)
        inner[[0, -1]] = False
        #: All but the first and the last minute; and those two, which make the range one that is not empty.
        self._inner, self._ends = self._minutes.chosen(inner), self._minutes.chosen(~inner)
        self._few = self._minutes.chosen(slice(0, self.bench.size(20_000, 500)))
        for name in (figure.name for figure in self.figures):
            self.remarks[name] = data.origin()

    def measure(self, turn: int) -> Samples:
        with self._written.place.entered():
            return {f"{name}{self.suffix}": pair for name, pair in self._pairs(turn).items()}

    def _pairs(self, turn: int) -> dict[str, tuple[float, float]]:
        written, minutes = self._written, self._minutes
        rate, store, instrument = written.rate, written.store, written.instrument

        def copied(chosen: Minutes) -> Callable[[], None]:
            return lambda: raw_copy(instrument, chosen)

        def both(ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float]:
            return self.by_turns(turn, ours, peer, self.bench.size(_TIMES, 1), of=max)

        found = {"write-new": both(lambda: rate(lambda: store(minutes)), lambda: rate(copied(minutes)))}
        written.check()
        ends = copied(self._ends)
        found["write-upsert"] = both(
            lambda: rate(lambda: store(self._inner), before=ends, minutes=self._inner),
            lambda: rate(copied(self._inner), before=ends, minutes=self._inner),
        )
        written.check()
        found["write-same"] = both(
            lambda: rate(lambda: store(minutes), before=copied(minutes)),
            lambda: rate(copied(minutes)),
        )
        if self.refreshed:
            found["write-refreshed"] = both(
                lambda: rate(lambda: store(minutes, refresh=True)), lambda: rate(copied(minutes))
            )
        few = self._few
        found["write-bulk"] = (
            found["write-new"][0],
            max(rate(lambda: upsert(candles(instrument, few)), minutes=few) for _ in range(2)),
        )
        return found


def _figures(suffix: str, where: str, *, refreshed: bool = True) -> list[Figure]:
    def figure(name: str, what: str, peer: str, goal: float | None) -> Figure:
        return Figure(
            name=f"{name}{suffix}",
            what=f"{what}, {where}",
            unit="rows/s",
            peer=peer,
            goal=None if goal is None else Goal(kind=Kind.RATIO_AT_LEAST, value=goal),
        )

    found = [
        figure("write-new", "a quarter of minutes into an empty range, without roll-ups", _COPY, 0.9),
        figure("write-upsert", "the same where the first and the last minute are stored", _COPY, 0.4),
        figure("write-same", "the same where all are stored already", f"{_COPY}, into an empty range", 0.6),
        figure("write-bulk", "as write-new", "bulk_create(update_conflicts) of 20,000 rows", 15),
    ]
    if refreshed:
        found.append(
            figure("write-refreshed", "as write-new, with the roll-ups in the same transaction", _COPY, None)
        )
    return found


class Writing(_Writing):
    """Into partitions."""

    figures = _figures("", "portable")


class WritingTimescale(_Writing):
    """Into a hypertable whose roll-ups are continuous aggregates."""

    store = AGGREGATES
    suffix = "-timescale"
    refreshed = False
    figures = _figures("-timescale", "a hypertable with continuous aggregates", refreshed=False)


class Hypertable(Experiment):
    """The product's own write into both kinds of table."""

    _PLACES: tuple[tuple[str, Store], ...] = (("incremental", INCREMENTAL), ("aggregates", AGGREGATES))
    figures = tuple(
        Figure(
            name=f"write-hypertable-{name}",
            what=f"a quarter of minutes into an empty range of a hypertable, {rollups}",
            unit="rows/s",
            peer="the same write into partitions",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=0.85),
        )
        for name, rollups in (
            ("incremental", "roll-ups left to a later refresh"),
            ("aggregates", "roll-ups by continuous aggregates"),
        )
    )

    def obstacle(self) -> str | None:
        return places.obstacle()

    def prepare(self) -> None:
        minutes = data.minutes(WORST, self.bench.size(_DAYS, 3))
        self._plain = Written(Place("hyper_plain", PORTABLE), minutes)
        self._hyper = {name: Written(Place(f"hyper_{name}", store), minutes) for name, store in self._PLACES}
        self.remarks = {figure.name: data.origin() for figure in self.figures}

    def measure(self, turn: int) -> Samples:
        def rate(written: Written) -> float:
            with written.place.entered():
                return written.rate(lambda: written.store(written.minutes))

        return {
            f"write-hypertable-{name}": self.by_turns(
                turn,
                lambda written=written: rate(written),
                lambda: rate(self._plain),
                self.bench.size(_TIMES, 1),
                of=max,
            )
            for name, written in self._hyper.items()
        }
