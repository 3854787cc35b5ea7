"""Scales: what a strategy validates in one go, in two steps."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.engine import STRATEGIES, SpecError, strategy_of
from apps.backtests.engine.indicators import INDICATORS
from apps.backtests.engine.sweep import grid, space_of
from apps.backtests.engine.sweep.weighing import Scales, TooMuchToWeigh, parts_of

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


def test_parts_are_counted_up_to_a_limit() -> None:
    scales = Scales(strategy=SMA)
    complete = scales.validated(CROSS)
    required = scales.parts
    # Three parameters, and of "fast < slow" three parts.
    assert required == 6
    scales.weighed(complete)
    each = scales.parts - required
    assert each > 10
    limited = Scales(strategy=SMA, most=2 * each)
    limited.weighed(complete)
    limited.weighed(complete)
    with pytest.raises(TooMuchToWeigh):
        limited.weighed(complete)


#: What is bound from its first line on, up to the last, which refuses most parameters.
REFUSING: dict[str, Any] = {
    "name": "refusing",
    "title": "Refusing",
    "params": {"n": {"type": "number", "default": 2, "min": 1, "max": 900}},
    "entry_long": " and ".join(f"ema(close, {at}) > 1" for at in range(2, 22)),
    "exit_long": "close[n] > 1",
}


def test_what_is_refused_is_counted_as_well() -> None:
    strategy = strategy_of(REFUSING)
    space = space_of({"n": {"from": 1.5, "to": 100.5, "step": 1}}, strategy.schema, most=999)
    scales = Scales(strategy=strategy)
    with pytest.raises(SpecError, match="leaves no combination"):
        grid(space, {}, scales.validated, weighed=scales.weighed)
    assert scales.parts > 100 * 20 * 4
    limited = Scales(strategy=strategy, most=scales.parts // 2)
    with pytest.raises(TooMuchToWeigh):
        grid(space, {}, limited.validated, weighed=limited.weighed)


def test_what_does_not_fulfil_the_conditions_is_counted_as_well() -> None:
    strategy = strategy_of({**REFUSING, "require": [" and ".join(["n < 3"] * 20)], "exit_long": None})
    limited = Scales(strategy=strategy, most=400)
    for _ in range(4):
        with pytest.raises(SpecError, match="must satisfy"):
            limited.validated({"n": 5})
    with pytest.raises(TooMuchToWeigh):
        for _ in range(4):
            with pytest.raises(SpecError):
                limited.validated({"n": 5})


def test_a_let_counts_once_for_each_timeframe_and_an_indicator_as_its_definition() -> None:
    def parts(entry: str) -> int:
        source = strategy_of(
            {"name": "own", "title": "Own", "let": {"high_enough": "close > open"}, "entry_long": entry}
        ).source
        return parts_of(source, [source.signals["entry_long"]])

    assert parts("high_enough") == 4
    assert parts("high_enough and high_enough[1]") == 3 + 3 + 2
    assert parts('high_enough and on("1d", high_enough)') == 2 + 3 + 2 + 3
    assert INDICATORS["roc"].definition == "(x / x[n] - 1) * 100"
    assert parts("roc(close, 3) > 1") == 5 + 9
