"""How much of a sweep's best is luck, and how it fared on what it was not chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from apps.backtests.engine import downsample, overfit
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep import Fold
from apps.backtests.engine.sweep.lanes import Ground
from apps.backtests.engine.sweep.walk import chained, choices_of
from apps.backtests.sweeps.reading import Found

#: Points of the curve of a walk-forward that are kept.
_POINTS = 2_000
_MEASURES = ("sharpe", "probabilistic", "deflated", "deflated_effective")
_MOST_BLOCKS, _LEAST_BLOCKS = 16, 4


def overfit_of(
    returns: Floats | None, numbers: Sequence[int], places: Sequence[int]
) -> dict[str, Any] | None:
    """Overfit measures of a sweep from its period returns ``(periods, combinations)``; None without them.

    The combinations at *places*, whose *numbers* these are, are judged one by one: with the deflated Sharpe
    ratio, for as many trials as there are combinations and for the number of independent ones these are
    worth.
    """
    if returns is None or len(returns) < 2:
        return None
    kept = returns[:, np.isfinite(returns).all(axis=0)]
    trials = returns.shape[1]
    if not kept.shape[1]:
        return None
    with np.errstate(all="ignore"):
        deviation = kept.std(axis=0, ddof=1)
        sharpes = kept.mean(axis=0)[deviation > 0] / deviation[deviation > 0]
    variance = float(sharpes.var(ddof=1)) if len(sharpes) > 1 else 0.0
    effective = overfit.effective_trials(kept)
    judged = []
    for number, place in zip(numbers, places, strict=True):
        moments = overfit.Moments.of(returns[:, place]) if np.isfinite(returns[:, place]).all() else None
        measures: dict[str, float | None] = dict.fromkeys(_MEASURES)
        if moments is not None:
            measures = {
                "sharpe": moments.sharpe,
                "probabilistic": overfit.probabilistic_sharpe(moments),
                "deflated": overfit.deflated_sharpe(moments, trials=trials, variance=variance),
                "deflated_effective": overfit.deflated_sharpe(moments, trials=effective, variance=variance),
            }
        judged.append({"number": number, **measures})
    return {
        "trials": trials,
        "effective_trials": effective,
        "periods": len(returns),
        "sharpe_variance": variance,
        "best": judged,
        "pbo": _pbo(kept),
    }


def _pbo(returns: Floats) -> dict[str, Any] | None:
    """Probability of backtest overfitting; None where there are too few periods or combinations."""
    blocks = min(_MOST_BLOCKS, len(returns) // 4 * 2)
    if blocks < _LEAST_BLOCKS or returns.shape[1] < 2:
        return None
    found = overfit.overfitting(returns, blocks=blocks)
    return {
        "probability": found.probability,
        "loss": found.loss,
        "slope": found.slope,
        "blocks": blocks,
        "splits": len(found.logits),
    }


def walked(
    ground: Ground, found: Found, kept: dict[str, Floats], folds: Sequence[Fold], metric: str
) -> dict[str, Any] | None:
    """What a walk-forward through *folds* comes to, as JSON types; None where float64 cannot hold it."""
    choices = choices_of(folds, kept, metric)
    rows = {choice.number: found.row(choice.number) for choice in choices if choice.number is not None}
    ts, equity = chained(ground, {place: row["params"] for place, row in rows.items()}, choices)
    if not np.isfinite(equity).all():
        return None
    shown = downsample(equity, _POINTS)
    return {
        "metric": metric,
        "folds": [
            {
                "train": list(choice.fold.train),
                "test": list(choice.fold.test),
                "number": None if choice.number is None else rows[choice.number]["number"],
                "params": None if choice.number is None else rows[choice.number]["params"],
                "inside": choice.inside,
                "outside": choice.outside,
                "return_pct": choice.return_pct,
            }
            for choice in choices
        ],
        "return_pct": (float(equity[-1]) / ground.spec.cash - 1) * 100,
        "decay": _decay([(choice.inside, choice.outside) for choice in choices]),
        "equity": {"ts": ts[shown].tolist(), "value": equity[shown].tolist()},
    }


def _decay(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, Any]:
    inside, outside = (
        np.array([np.nan if value is None else value for value in side], np.float64)
        for side in zip(*pairs, strict=True)
    )
    return asdict(overfit.decay(inside, outside))
