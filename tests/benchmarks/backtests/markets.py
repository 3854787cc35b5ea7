"""Several instruments that share an account, and orders that are filled on finer bars."""

from __future__ import annotations

from apps.backtests.engine import Result, run
from tests.benchmarks.backtests import data, plan
from tests.benchmarks.backtests.data import MARKETS
from tests.benchmarks.backtests.one_core import OneCore, milliseconds, seconds
from tests.benchmarks.experiment import Samples
from tests.benchmarks.figures import Figure

_WIDTH = 240


class Portfolio(OneCore):
    """Ten markets in one account, a tenth of it for each position."""

    figures = (
        Figure(
            name="portfolio",
            what="one account over a year of minutes of ten instruments",
            unit="M symbol-bars/s",
            peer="the ten one after the other, each in an account of its own",
        ),
    )

    def make_ready(self) -> None:
        days = self.bench.size(data.YEAR, 5)
        self._bars = {market.base: data.bars(market, days) for market in MARKETS}
        self._spec = plan.spec(sizing={"type": "equity", "value": 0.1, "lot": 1.0})
        trades = len(run(self._bars, self._spec).trades)
        self.remarks = {"portfolio": f"{data.origin(days)}; {trades} trades"}

    def _rate(self, *, together: bool) -> float:
        def runs() -> None:
            for bars in [self._bars] if together else self._bars.values():
                run(bars, self._spec)

        return sum(map(len, self._bars.values())) / seconds(runs) / 1e6

    def sample(self, turn: int) -> Samples:
        return {
            "portfolio": self.by_turns(
                turn,
                lambda: self._rate(together=True),
                lambda: self._rate(together=False),
                self.bench.size(3, 1),
            )
        }


class Finer(OneCore):
    """Signals of four hours, fills on the minutes in them."""

    figures = (
        Figure(
            name="finer",
            what="a year of bars of 4h with orders filled on the minutes",
            unit="ms",
            peer="the same on bars of 4h alone",
        ),
    )

    def make_ready(self) -> None:
        days = self.bench.size(data.YEAR, 10)
        self._minutes = data.bars(days=days)
        self._bars = plan.rolled(self._minutes, _WIDTH)
        self._spec, self._finer = plan.spec(), plan.spec(execution={"detail": "1m"})
        plain, fine = self._run(finer=False), self._run(finer=True)
        self.remarks = {
            "finer": f"{data.origin(days)}; {len(fine.trades)} trades and {fine.ambiguous} bars that do not "
            f"tell what came first, on 4h alone {len(plain.trades)} and {plain.ambiguous}"
        }

    def _run(self, *, finer: bool) -> Result:
        if finer:
            return run(self._bars, self._finer, detail=self._minutes)
        return run(self._bars, self._spec)

    def sample(self, turn: int) -> Samples:
        return {
            "finer": self.by_turns(
                turn,
                lambda: milliseconds(lambda: self._run(finer=True)),
                lambda: milliseconds(lambda: self._run(finer=False)),
                self.bench.size(7, 1),
            )
        }
