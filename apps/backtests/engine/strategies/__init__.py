"""The built-in strategies, by name."""

from __future__ import annotations

from apps.backtests.engine.strategies.base import Signals, Strategy
from apps.backtests.engine.strategies.sma_cross import SMA_CROSS

STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in (SMA_CROSS,)}

__all__ = ["STRATEGIES", "Signals", "Strategy"]
