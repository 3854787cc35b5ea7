"""Sweeps: one strategy with many combinations of parameters over the same bars.

    space = space_of({"fast": [5, 10, 20], "slow": {"from": 30, "to": 90, "step": 10}}, strategy.schema, most=1000)
    found = grid(space, {}, strategy.validated)
    table = sweep(bars, spec, found.kept)
    table.best("sharpe", 10)
"""

from __future__ import annotations

from apps.backtests.engine.sweep.measuring import LOW_IS_GOOD, SWEPT
from apps.backtests.engine.sweep.space import Combinations, Space, draws, fixed_of, grid, space_of
from apps.backtests.engine.sweep.sweep import ground_of, sweep, sweep_windows
from apps.backtests.engine.sweep.table import Heatmap, Table, best, heatmap, joined

__all__ = [
    "LOW_IS_GOOD",
    "SWEPT",
    "Combinations",
    "Heatmap",
    "Space",
    "Table",
    "best",
    "draws",
    "fixed_of",
    "grid",
    "ground_of",
    "heatmap",
    "joined",
    "space_of",
    "sweep",
    "sweep_windows",
]
