"""One strategy with its costs, for all engines; and bars for processes of their own, which have no Django."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from apps.backtests.engine import Bars, Spec

FAST, SLOW = 10, 20
FEE, STOP, TARGET = 0.0002, 0.02, 0.04
#: So much that whole units of the dearest market are still fine after a year of fees.
CASH = 1e9
MINUTE = 60_000
COLUMNS = ("ts", "open", "high", "low", "close", "volume")

#: The 1,024 combinations of a sweep.
_GRID = tuple(product(range(5, 37), range(40, 200, 5)))


def asked(**changes: Any) -> dict[str, Any]:
    """The specification as JSON: crossing averages, long, with fees, a stop-loss and a take-profit.

    Sizes are whole units, which is all that backtesting.py knows.
    """
    return {
        "strategy": "sma_cross",
        "params": {"fast": FAST, "slow": SLOW},
        "cash": CASH,
        "sizing": {"type": "equity", "value": 1.0, "lot": 1.0},
        "costs": {"maker": FEE, "taker": FEE},
        "risk": {"stop_loss": {"pct": STOP}, "take_profit": {"pct": TARGET}},
        **changes,
    }


def spec(**changes: Any) -> Spec:
    """The same for the engine."""
    return Spec.from_dict(asked(**changes))


def combinations(count: int) -> list[tuple[int, int]]:
    """So many of the windows (fast, slow) of a sweep, spread over all of them; at most 1,024."""
    places = np.linspace(0, len(_GRID) - 1, count).round().astype(int)
    return [_GRID[place] for place in places]


def rolled(minutes: Bars, width: int) -> Bars:
    """Bars of so many minutes each, of minutes of which none is missing."""
    cut = {name: getattr(minutes, name).reshape(-1, width) for name in COLUMNS}
    return Bars(
        ts=cut["ts"][:, 0],
        open=cut["open"][:, 0],
        high=cut["high"].max(axis=1),
        low=cut["low"].min(axis=1),
        close=cut["close"][:, -1],
        volume=cut["volume"].sum(axis=1),
        step=width * MINUTE,
    )


def save(bars: Bars, file: Path) -> None:
    """Keep minutes in a file."""
    np.savez(file, **{name: getattr(bars, name) for name in COLUMNS})


def load(file: Path) -> Bars:
    """The minutes of such a file, their fingerprint computed."""
    with np.load(file, allow_pickle=False) as kept:
        made = Bars(**{name: kept[name] for name in COLUMNS}, step=MINUTE)
    assert made.fingerprint
    return made
