"""Sweeps: one strategy with many combinations of parameters over the same bars.

``space_of`` reads what to try, ``grid`` and ``draws`` make combinations of it, ``sweep`` measures them on
bars, ``folds_of`` and the module ``walk`` choose among them by the past alone.
"""

from __future__ import annotations

from apps.backtests.engine.sweep.measuring import LOW_IS_GOOD, SWEPT
from apps.backtests.engine.sweep.running import ground_of, sweep, sweep_windows
from apps.backtests.engine.sweep.space import Combinations, Space, draws, fixed_of, grid, space_of
from apps.backtests.engine.sweep.table import Heatmap, Table, best, heatmap, joined
from apps.backtests.engine.sweep.tally import warm_up
from apps.backtests.engine.sweep.walk import Choice, Fold, folds_of

__all__ = [
    "LOW_IS_GOOD",
    "SWEPT",
    "Choice",
    "Combinations",
    "Fold",
    "Heatmap",
    "Space",
    "Table",
    "best",
    "draws",
    "fixed_of",
    "folds_of",
    "grid",
    "ground_of",
    "heatmap",
    "joined",
    "space_of",
    "sweep",
    "sweep_windows",
    "warm_up",
]
