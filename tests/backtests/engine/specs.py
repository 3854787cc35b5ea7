"""Specifications with the settings that most tests set, in one line."""

from __future__ import annotations

from typing import Any

from apps.backtests.engine import Costs, Execution, Sizing, Spec

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
    """A specification whose *commission* is the maker's too unless *maker* is given; without liquidation."""
    others.setdefault("maintenance_margin", None)
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
