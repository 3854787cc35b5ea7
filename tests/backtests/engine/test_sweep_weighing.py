"""Scales: what a strategy validates in one go, in two steps."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.engine import STRATEGIES, SpecError, strategy_of
from apps.backtests.engine.sweep.weighing import Scales, TooMuchToWeigh

SMA = STRATEGIES["sma_cross"]
CROSS = {"fast": 5, "slow": 20}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_both_steps_together_are_the_strategys_own_check_and_cost(name: str) -> None:
    strategy = STRATEGIES[name]
    given = CROSS if name == "sma_cross" else {}
    scales = Scales(strategy=strategy)
    complete = scales.validated(given)
    assert complete == strategy.validated(given)
    assert scales.weighed(complete) == strategy.cost(complete)


def test_each_step_refuses_what_is_its_to_refuse() -> None:
    scales = Scales(strategy=SMA)
    with pytest.raises(SpecError, match=r"^params.fast must be less than slow"):
        scales.validated({"fast": 30, "slow": 20})
    with pytest.raises(SpecError, match=r"^params.fast"):
        scales.validated({"fast": 0, "slow": 20})
    loose = strategy_of(
        {
            "name": "loose",
            "title": "Loose",
            "params": {"n": {"default": 5, "min": 0, "max": 9}},
            "entry_long": "close > ema(close, n)",
        }
    )
    scales = Scales(strategy=loose)
    nothing = scales.validated({"n": 0})
    with pytest.raises(SpecError, match="params"):
        scales.weighed(nothing)
    with pytest.raises(SpecError, match="params"):
        loose.validated({"n": 0})
    guarded = strategy_of(
        {
            "params": {"n": {"min": 1, "max": 9}, "z": {"type": "number", "min": 0, "max": 9}},
            "require": ["n < 9 / z"],
            "entry_long": "close > ema(close, n)",
        }
    )
    scales = Scales(strategy=guarded)
    assert scales.validated({"n": 3, "z": 2}) == {"n": 3, "z": 2.0}
    with pytest.raises(SpecError, match=r"^params.n must be less than 9 / z \(unknown\)$"):
        scales.validated({"n": 3, "z": 0})


@pytest.mark.parametrize(
    ("risk", "has"),
    [
        (None, False),
        ({"stop_loss": {"pct": 0}}, False),
        ({"trailing": {"pct": 0.1}}, False),
        ({"stop_loss": {"pct": 0.02}}, True),
        ({"stop_loss": {"distance": "atr(14)"}}, True),
    ],
)
def test_a_stop_loss_is_asked_for_where_it_is_needed(risk: Any, has: bool) -> None:
    strategy = SMA.replaced(risk=risk)
    scales = Scales(strategy=strategy, needs_stop=True)
    complete = scales.validated(CROSS)
    assert strategy.has_stop(complete) is has
    if has:
        assert scales.weighed(complete) > 0
    else:
        with pytest.raises(SpecError, match=r"^sizing.type risk needs a stop-loss"):
            scales.weighed(complete)
    assert Scales(strategy=strategy).weighed(complete) > 0


def test_steps_are_counted_up_to_a_limit() -> None:
    scales = Scales(strategy=SMA)
    complete = scales.validated(CROSS)
    scales.weighed(complete)
    each = scales.steps
    assert each > 3
    limited = Scales(strategy=SMA, most_steps=2 * each)
    limited.weighed(complete)
    limited.weighed(complete)
    with pytest.raises(TooMuchToWeigh):
        limited.weighed(complete)
