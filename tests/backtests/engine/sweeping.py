"""A signal stage for tests of sweeps: crossings of two averages with every kind of order and exit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.backtests.engine import Bars
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level


def average(values: Any, window: int) -> Any:
    """Means of *window* values, NaN where there are fewer."""
    result = np.full(len(values), np.nan)
    if window <= len(values):
        result[window - 1 :] = np.convolve(values, np.full(window, 1 / window), "valid")
    return result


def crossing(bars: Bars, params: Mapping[str, Any]) -> Signals:
    """Long above, short below, where params say so; with stops, targets, limits and a time stop."""
    fast, slow = average(bars.close, params["fast"]), average(bars.close, params["slow"])
    above, below = fast > slow, fast < slow
    up, down = np.zeros(len(bars), bool), np.zeros(len(bars), bool)
    up[1:], down[1:] = above[1:] & below[:-1], below[1:] & above[:-1]
    both = params.get("both", False)
    bits = up * np.uint8(9 if both else 1) + down * np.uint8(6 if both else 2)
    distance = np.maximum(average(bars.high - bars.low, 14), bars.close * 1e-4) * params.get("ranges", 0)
    order = params.get("order", "market")
    worse = params.get("offset", 0.0) * (1 if order == "stop" else -1)
    return Signals(
        bits=bits.astype(np.uint8),
        warmup=params["slow"] - 1,
        order=order,
        long_price=None if order == "market" else bars.close * (1 + worse),
        short_price=None if order == "market" else bars.close * (1 - worse),
        valid_bars=5,
        stop_loss=Level(fraction=params["stop"]) if params.get("stop") else None,
        take_profit=Level(fraction=params["target"]) if params.get("target") else None,
        trailing=Level(distance=distance) if params.get("ranges") else None,
        time_stop=params.get("time_stop", 0),
    )
