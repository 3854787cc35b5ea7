"""Running combinations of a sweep in full: the one place that knows how backtests are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.backtests.models import Backtest
from apps.backtests.services import backtest_request
from apps.backtests.sweeps.models import Sweep


def full_request(*, sweep: Sweep, params: Mapping[str, Any]) -> Backtest:
    """Ask for the backtest of one combination, in the caller's transaction, on the candles that there are.

    Raises `InvalidBacktest`.
    """
    return backtest_request(
        owner_id=sweep.owner_id,
        instruments=sweep.instruments,
        timeframe=sweep.timeframe,
        start=sweep.start,
        end=sweep.end,
        spec={**sweep.spec, "params": dict(params)},
        missing=Backtest.Missing.IGNORE,
    )
