"""Specifications, bars and runs in one line each, for tests that work things out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.backtests.engine import Bars, Costs, Execution, Result, Sizing, Spec
from apps.backtests.engine.run import run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.strategies.base import Level

MINUTE = 60_000
HOUR = 60 * MINUTE
MIDNIGHT = 1_700_006_400_000  # 2023-11-15 00:00 UTC

NAN = float("nan")
SIGNALS = ("order", "valid_bars", "time_stop", "base")
LEVELS = ("stop_loss", "take_profit", "trailing")

CROSS = {"fast": 1, "slow": 2}


def spec_of(
    *,
    commission: float = 0.0,
    maker: float | None = None,
    fixed: float = 0.0,
    spread: float = 0.0,
    slippage: float = 0.0,
    funding: float = 0.0,
    fraction: float = 1.0,
    lot: float = 0.0,
    sizing: Sizing | None = None,
    strategy: str = "sma_cross",
    params: dict[str, Any] | None = None,
    finalise: str = "last_close",
    fill: str = "next_open",
    same_bar: str = "pessimistic",
    detail: str | None = None,
    **others: Any,
) -> Spec:
    """A specification whose *commission* is the maker's too unless *maker* is given; without liquidation.

    Sized by risk it has a stop-loss, which means nothing to who brings signals of their own.
    """
    others.setdefault("maintenance_margin", None)
    if sizing is not None and sizing.type == "risk":
        others.setdefault("risk", {"stop_loss": {"pct": 0.05}})
    return Spec(
        strategy=strategy,
        params=CROSS if params is None else params,
        sizing=sizing or Sizing(value=fraction, lot=lot),
        costs=Costs(
            maker=commission if maker is None else maker,
            taker=commission,
            fixed=fixed,
            spread=spread,
            slippage=slippage,
            funding=funding,
        ),
        execution=Execution(fill=fill, same_bar=same_bar, finalise=finalise, detail=detail),
        **others,
    )


def candles(*rows: Sequence[float], step: int = HOUR, start: int = MIDNIGHT) -> Bars:
    """Bars from ``(open, high, low, close)``; one number is a bar of that price alone."""
    table = np.array([[row] * 4 if isinstance(row, int | float) else row for row in rows], float)
    return Bars(
        ts=start + step * np.arange(len(table)),
        open=table[:, 0],
        high=table[:, 1],
        low=table[:, 2],
        close=table[:, 3],
        volume=np.ones(len(table)),
        step=step,
    )


def signals_of(bits: Sequence[int], **settings: Any) -> Signals:
    """Signals of *bits*: levels as fractions or as lists of distances, prices of orders as lists."""
    for name in LEVELS:
        level = settings.get(name)
        if isinstance(level, list):
            settings[name] = Level(distance=np.array(level, float))
        elif level is not None:
            settings[name] = Level(fraction=level)
    for name in ("long_price", "short_price"):
        if name in settings:
            settings[name] = np.array(settings[name], float)
    return Signals(bits=np.array(bits, np.uint8), warmup=0, **settings)


def run_bits(bars: Bars, bits: Sequence[int], *, detail: Bars | None = None, **settings: Any) -> Result:
    """A run of signals and a specification from one list of settings, on bars of one instrument."""
    mine = {
        name: settings.pop(name)
        for name in (*SIGNALS, *LEVELS, "long_price", "short_price")
        if name in settings
    }
    return run_signals(bars, signals_of(bits, **mine), spec_of(**settings), detail=detail, jit=False)


def fills(result: Result) -> list[tuple[int, float, int, float, str]]:
    """Entry bar and price, exit bar and price, and reason of each trade; prices to nine digits."""
    return [
        (
            row["entry_bar"],
            float(f"{row['entry_price']:.9g}"),
            row["exit_bar"],
            float(f"{row['exit_price']:.9g}"),
            row["reason"],
        )
        for row in result.trades.rows(result.ts)
    ]
