"""One run over a year of minutes, and over five."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from apps.backtests.engine import Bars, Result, Spec, run
from tests.benchmarks.backtests import data, plan, vectorbt_peer
from tests.benchmarks.backtests.backtesting_peer import BacktestingPy
from tests.benchmarks.backtests.one_core import OneCore, milliseconds, seconds
from tests.benchmarks.backtests.vectorbt_peer import Vectorbt
from tests.benchmarks.experiment import Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_WHAT = (
    "a run over a year of minutes, from bars to metrics: crossing averages (10, 20), long, fees of 2 bp, "
    "stop-loss 2 %, take-profit 4 %"
)
#: By how much the numbers of trades may differ: each engine has its own rules for ties and for stops.
TOLERANCE = 0.02


class _Single(OneCore):
    """Ours, run once before the first repetition, and checked against what the peer says."""

    def make_ready(self) -> None:
        self.days = self.bench.size(data.YEAR, 5)
        self.bars, self.spec = data.bars(days=self.days), plan.spec()
        self.result = self.run()

    def run(self) -> Result:
        return run(self.bars, self.spec)

    def rate(self, action: Callable[[], object]) -> float:
        """Bars a second."""
        return len(self.bars) / seconds(action)

    def compare(self, peer: str, trades: int) -> None:
        """Raises `Failed` unless about as much was traded."""
        mine = len(self.result.trades)
        if abs(mine - trades) > TOLERANCE * mine + 2:
            raise Failed(f"{mine} trades of ours, but {trades} of {peer}")

    def remark(self, trades: int) -> str:
        return f"{data.origin(self.days)}; {len(self.result.trades)} trades, of the peer {trades}"


class Single(_Single):
    """Against backtesting.py."""

    figures = (
        Figure(
            name="single-backtesting",
            what=_WHAT,
            unit="bars/s",
            peer="backtesting.py",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=90),
        ),
    )

    def make_ready(self) -> None:
        super().make_ready()
        self._peer = BacktestingPy(self.bars)
        trades = self._peer.run()
        self.compare("backtesting.py", trades)
        self.remarks = {"single-backtesting": self.remark(trades)}

    def sample(self, turn: int) -> Samples:
        # A run of the peer takes seconds, of ours so little that some of them are looked at.
        return {
            "single-backtesting": self.in_turns(
                turn,
                lambda: median(self.rate(self.run) for _ in range(5)),
                lambda: self.rate(self._peer.run),
            )
        }


class SingleVectorbt(_Single):
    """Against vectorbt."""

    figures = (
        Figure(
            name="single-vectorbt",
            what=_WHAT,
            unit="bars/s",
            peer="vectorbt, by numba or by Rust, whichever is faster",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=4),
        ),
    )

    def obstacle(self) -> str | None:
        return vectorbt_peer.obstacle()

    def make_ready(self) -> None:
        super().make_ready()
        self._peer = Vectorbt(self.bars)
        # The first run of an engine compiles.
        trades = {engine: self._peer.run(engine) for engine in vectorbt_peer.engines()}
        for engine, count in trades.items():
            self.compare(f"vectorbt by {engine}", count)
        self._trades = trades["numba"]
        self._rates: dict[str, list[float]] = {engine: [] for engine in trades}

    def sample(self, turn: int) -> Samples:
        times = self.bench.size(5, 1)
        ours: dict[str, float] = {}
        for engine, rates in self._rates.items():
            ours[engine], theirs = self.by_turns(
                turn,
                lambda: self.rate(self.run),
                lambda engine=engine: self.rate(lambda: self._peer.run(engine)),  # type: ignore[misc]
                times,
            )
            rates.append(theirs)
        fastest = max(self._rates, key=lambda engine: self._rates[engine][-1])
        each = ", ".join(f"{max(rates):,.0f} by {engine}" for engine, rates in self._rates.items())
        self.remarks = {"single-vectorbt": f"{self.remark(self._trades)}; bars/s of the peer at best: {each}"}
        return {"single-vectorbt": (ours[fastest], self._rates[fastest][-1])}


class FiveYears(OneCore):
    """Whether time grows with the bars and no faster."""

    figures = (
        Figure(
            name="five-years",
            what="the same run over five years of minutes, with sizes of any part of a unit",
            unit="ms",
            peer="one year of ours",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=7),
        ),
    )

    def make_ready(self) -> None:
        days = self.bench.size(data.YEAR, 5)
        # Of parts of units: after five years of fees there is less than one whole.
        self._spec = plan.spec(sizing={"type": "equity", "value": 1.0, "lot": 0.0})
        self._years = {years: data.bars(days=years * days) for years in (1, 5)}
        counts = {years: len(run(bars, self._spec).trades) for years, bars in self._years.items()}
        self.remarks = {"five-years": f"{data.origin(5 * days)}; {counts[5]} trades, in one year {counts[1]}"}

    def _time(self, bars: Bars, spec: Spec) -> float:
        return milliseconds(lambda: run(bars, spec))

    def sample(self, turn: int) -> Samples:
        return {
            "five-years": self.by_turns(
                turn,
                lambda: self._time(self._years[5], self._spec),
                lambda: self._time(self._years[1], self._spec),
                self.bench.size(7, 1),
            )
        }
