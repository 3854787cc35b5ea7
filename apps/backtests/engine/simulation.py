"""A simulation in progress: the kernel's vectors, in the form its loop wants them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.spec import Spec


class Simulation:
    """An account that is led over bars, chunk by chunk.

    How the bars are cut into chunks, and whether the loop is compiled (*jit*, see ``kernel.chosen``),
    changes no byte of the outcome. *entries* is the number of bars with an entry bit to come, which
    bounds the number of trades.
    """

    def __init__(self, spec: Spec, *, entries: int, jit: bool | None = None) -> None:
        params = [0.0] * kernel.PARAMS
        params[kernel.COMMISSION] = spec.costs.taker
        params[kernel.SPREAD] = spec.costs.spread
        params[kernel.SLIPPAGE] = spec.costs.slippage
        params[kernel.FRACTION] = spec.sizing.value
        params[kernel.LOT] = spec.sizing.lot
        state = [0.0] * kernel.STATE
        state[kernel.CASH] = spec.cash
        self.bars = 0
        self._loop = kernel.chosen(jit)
        self._params: kernel.Vector = params
        self._state: kernel.Vector = state
        self._trades: kernel.Vector
        if self._loop is None:
            self._trades = [[0.0] * kernel.TRADE for _ in range(entries)]
        else:
            self._params, self._state = np.array(params), np.array(state)
            self._trades = np.zeros((entries, kernel.TRADE))

    def advance(self, opens: Floats, closes: Floats, bits: NDArray[np.uint8], equity: Floats) -> None:
        """Run the next bars, one element of each array per bar; *equity* is written.

        The first three are read-only arrays, as the columns of ``Bars`` are: the loop is compiled for one
        kind of array.
        """
        if self._loop is not None:
            self._loop(self.bars, opens, closes, bits, self._params, self._state, equity, self._trades)
        else:
            worth = [0.0] * len(closes)
            lists = opens.tolist(), closes.tolist(), bits.tolist()
            kernel.simulate(self.bars, *lists, self._params, self._state, worth, self._trades)
            equity[:] = worth
        self.bars += len(closes)

    def finish(self, price: float) -> float:
        """Close what is still open on the last bar, at *price* before costs, and return the cash."""
        if self.state(kernel.SIZE) != 0.0:
            kernel.leave(self.bars - 1, price, kernel.AT_END, self._params, self._state, self._trades)
        return self.state(kernel.CASH)

    def state(self, index: int) -> float:
        """One element of the state vector, by the kernel's index."""
        return float(self._state[index])

    def table(self) -> Floats:
        """The closed trades so far, shape ``(n, kernel.TRADE)``."""
        table = np.array(self._trades, np.float64).reshape(-1, kernel.TRADE)
        return table[: int(self.state(kernel.TRADES))]
