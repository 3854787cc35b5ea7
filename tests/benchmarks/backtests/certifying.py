"""The test that no signal looks ahead, which is made of every stored run."""

from __future__ import annotations

from apps.backtests.engine import STRATEGIES, certify, run
from tests.benchmarks.backtests import data, plan
from tests.benchmarks.backtests.one_core import OneCore, milliseconds
from tests.benchmarks.experiment import Samples
from tests.benchmarks.figures import Figure


class Certifying(OneCore):
    """Beside the run that it is of."""

    figures = (
        Figure(
            name="certificate",
            what="the look-ahead certificate of a run over a year of minutes",
            unit="ms",
            peer="the run",
        ),
    )

    def make_ready(self) -> None:
        days = self.bench.size(data.YEAR, 5)
        self._bars, self._spec = data.bars(days=days), plan.spec()
        self._strategy = STRATEGIES[self._spec.strategy]
        certify(self._bars, self._strategy, self._spec.params)
        run(self._bars, self._spec)
        self.remarks = {"certificate": data.origin(days)}

    def sample(self, turn: int) -> Samples:
        return {
            "certificate": self.by_turns(
                turn,
                lambda: milliseconds(lambda: certify(self._bars, self._strategy, self._spec.params)),
                lambda: milliseconds(lambda: run(self._bars, self._spec)),
                self.bench.size(5, 1),
            )
        }
