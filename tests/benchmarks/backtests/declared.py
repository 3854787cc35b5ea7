"""A strategy that is given as text, with eight indicators."""

from __future__ import annotations

from apps.backtests.engine import Spec, run
from tests.benchmarks.backtests import data, plan
from tests.benchmarks.backtests.one_core import OneCore, milliseconds
from tests.benchmarks.experiment import Samples
from tests.benchmarks.figures import Figure, Goal, Kind

#: It enters about as often as the crossing averages do: what is compared are signals, not trades.
STRATEGY = """\
strategy eight_indicators "Crossing averages with six filters"
param fast = 10 in 2..200 step 1 "Bars of the fast average."
param slow = 20 in 3..400 step 1 "Bars of the slow average."
let up = crossover(sma(close, fast), sma(close, slow))
let down = crossunder(sma(close, fast), sma(close, slow))
let calm = rsi(close, 14) < 85 and adx(14) < 80 and atr(14) < 0.05 * close
let inside = close < highest(high, 100)[1] + atr(14)
let trend = macd(close, 12, 26, 9) > -0.01 * close and ema(close, 50) > 0.9 * close
require fast < slow
enter long when up and calm and inside and trend
exit long when down
stop loss 2%
take profit 4%
"""


class Declared(OneCore):
    """Against the built-in crossing of averages, on the same bars and with the same costs."""

    figures = (
        Figure(
            name="spec",
            what="a run over a year of minutes of a strategy given as text, with eight indicators",
            unit="ms",
            peer="the built-in crossing averages",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=3),
        ),
    )

    def _declared(self) -> Spec:
        return plan.spec(strategy=STRATEGY, risk=None)

    def make_ready(self) -> None:
        days = self.bench.size(data.YEAR, 5)
        self._bars, self._text, self._built_in = data.bars(days=days), self._declared(), plan.spec()
        ours, peer = (len(run(self._bars, spec).trades) for spec in (self._text, self._built_in))
        self.remarks = {
            "spec": f"{data.origin(days)}; {ours} trades, of the built-in {peer}; to read and check the text"
            f", which is not counted, takes {min(milliseconds(self._declared) for _ in range(3)):.3g} ms"
        }

    def sample(self, turn: int) -> Samples:
        return {
            "spec": self.by_turns(
                turn,
                lambda: milliseconds(lambda: run(self._bars, self._text)),
                lambda: milliseconds(lambda: run(self._bars, self._built_in)),
                self.bench.size(7, 1),
            )
        }
