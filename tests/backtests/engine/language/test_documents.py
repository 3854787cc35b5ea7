"""Documents: complete and canonical in both forms, and refused with the field, the place and a guess."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from apps.backtests.engine import STRATEGIES, SpecError
from apps.backtests.engine.language import DOCUMENT_SCHEMA
from apps.backtests.engine.strategies import Strategy, of_text, strategy_of

GOOD: dict[str, Any] = {
    "name": "dip",
    "title": "Buy the dip",
    "description": "What it does.",
    "params": {
        "fast": {"default": 20, "min": 2, "max": 200, "step": 2, "description": "Bars."},
        "width": {"type": "number", "default": 2, "min": 0.5, "max": 5},
        "side": {"type": "choice", "default": "both", "choices": ["long", "both"]},
    },
    "let": {"far": "near * 2", "near": "ema(close, fast)"},
    "require": ["fast < 100"],
    "entry_long": "crossover(close, near)",
    "exit_long": {"<": ["close", "far"]},
    "entry_short": "side == both and close < near - width",
    "orders": {"entry": "limit", "offset": 0.023, "valid_bars": 3},
    "risk": {
        "stop_loss": {"pct": "width / 100"},
        "take_profit": {"pct": 0.07},
        "trailing": {"distance": "width * atr(14)"},
        "time_stop": "fast * 2",
        "base": "signal_close",
    },
}
TEXT = """strategy dip "Buy the dip"
description "What it does."
param fast = 20 in 2..200 step 2 "Bars."
param width = 2.0 in 0.5..5.0 step 0.45
param side = both in long, both
let near = ema(close, fast)
let far = near * 2
require fast < 100
enter long when crossover(close, near)
exit long when close < far
enter short when side == both and close < near - width
order limit
order offset 2.3%
order valid 3 bars
stop loss fraction width / 100
take profit 7%
trailing stop width * atr(14)
time stop fast * 2 bars
levels from signal close
"""


def changed(**change: Any) -> dict[str, Any]:
    return {**GOOD, **change}


def test_both_forms_describe_the_same_strategy() -> None:
    strategy = strategy_of(GOOD)
    assert strategy.text == TEXT
    assert strategy_of(TEXT).document == strategy.document
    assert strategy_of(TEXT.replace("\n", "\r\n")).document == strategy.document
    assert strategy_of(strategy.document).document == strategy.document
    assert (
        strategy_of(json.loads(json.dumps(strategy.source.as_dict(trees=True)))).document == strategy.document
    )
    assert pickle.loads(pickle.dumps(strategy)).document == strategy.document


def test_the_canonical_form_is_complete_and_the_same_whatever_is_left_out() -> None:
    least = {"entry_long": "close>open"}
    document = strategy_of(least).document
    assert list(document) == list(DOCUMENT_SCHEMA["properties"])
    assert document["orders"] == {
        "entry": "market",
        "offset": 0.0,
        "long_price": None,
        "short_price": None,
        "valid_bars": 1.0,
    }
    assert document["risk"] == {
        "stop_loss": None,
        "take_profit": None,
        "trailing": None,
        "time_stop": None,
        "base": "fill",
    }
    spelled_out = {**document, "entry_long": {">": ["close", "open"]}, "version": 1.0, "orders": None}
    assert strategy_of(spelled_out).document == document


def test_lets_may_come_in_any_order() -> None:
    """A store may sort the keys of an object."""
    one = strategy_of(GOOD)
    other = strategy_of(changed(let=dict(reversed(GOOD["let"].items()))))
    assert one.document == other.document
    assert list(one.document["let"]) == list(other.document["let"]) == ["near", "far"]


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=list(STRATEGIES))
def test_a_built_in_reads_as_its_own_text_and_fits_the_published_schemas(strategy: Strategy) -> None:
    assert of_text(strategy.text).document == strategy.document
    trees = strategy.source.as_dict(trees=True)
    assert strategy_of(trees).document == strategy.document
    validator = Draft202012Validator(DOCUMENT_SCHEMA)
    validator.validate(strategy.document)
    validator.validate(trees)
    Draft202012Validator.check_schema(strategy.schema)
    params = {
        name: {"fast": 10, "slow": 30}[name] if item.default is None else item.default
        for name, item in strategy.source.params.items()
    }
    Draft202012Validator(strategy.schema).validate(params)
    assert strategy.validated(params) == params
    assert strategy.title
    assert len(strategy.description) > 40
    assert all(rule["description"] for rule in strategy.schema["properties"].values())
    assert strategy.cost(params) > 1


def test_there_are_enough_built_ins_and_they_show_the_whole_language() -> None:
    assert len(STRATEGIES) >= 12
    texts = "".join(strategy.text for strategy in STRATEGIES.values())
    for part in (
        "order limit",
        "order stop",
        "trailing stop",
        "take profit",
        "time stop",
        'on("4h"',
        "session(",
    ):
        assert part in texts


def test_the_schema_of_documents_is_a_schema_that_refuses_what_the_engine_refuses() -> None:
    Draft202012Validator.check_schema(DOCUMENT_SCHEMA)
    validator = Draft202012Validator(DOCUMENT_SCHEMA)
    validator.validate(GOOD)
    for bad in ({}, changed(entry="x"), changed(version=2), changed(risk={"stop_loss": {}})):
        assert not validator.is_valid(bad)
        with pytest.raises(SpecError):
            strategy_of(bad)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (
            {"entry_long": "clsoe > open"},
            "strategy.entry_long",
            "unknown name 'clsoe' at column 1; did you mean 'close'?",
        ),
        (
            {"entry_long": "close > eam(close, 5)"},
            "strategy.entry_long",
            "unknown function 'eam' at column 9; did you mean 'ema'?",
        ),
        (
            {"entry_long": "close > fats"},
            "strategy.entry_long",
            "unknown name 'fats' at column 9; did you mean",
        ),
        ({"entry_long": "close > sma"}, "strategy.entry_long", "'sma' is a function and needs its arguments"),
        ({"entry_long": "close"}, "strategy.entry_long", "must be a condition"),
        ({"entry_long": "fast > 3"}, "strategy.entry_long", "is the same on every bar"),
        (
            {"entry_long": "close > open > (close > 1)"},
            "strategy.entry_long",
            "needs a number, not a condition",
        ),
        ({"entry_long": "close and open"}, "strategy.entry_long", "needs a condition"),
        (
            {"entry_long": "close > sma(close)"},
            "strategy.entry_long",
            "sma(x, n) has 2 arguments, not 1, at col",
        ),
        (
            {"entry_long": "close > sma(5, 5)"},
            "strategy.entry_long",
            "x of sma(x, n) changes from bar to bar",
        ),
        ({"entry_long": "close > sma(close, open)"}, "strategy.entry_long", "n of sma(x, n) is one number"),
        (
            {"entry_long": "close > sma(close, 5001)"},
            "strategy.entry_long",
            "n of sma(x, n) lies within 1 and 5000",
        ),
        (
            {"entry_long": "close > sma(close, fast / 3)"},
            "strategy.entry_long",
            "n of sma(x, n) is a whole number",
        ),
        ({"entry_long": "close > close[-1]"}, "strategy.entry_long", "a negative shift would look ahead"),
        (
            {"entry_long": "close > close[2 - fast]"},
            "strategy.entry_long",
            "a negative shift would look ahead",
        ),
        ({"entry_long": "close > close[width]"}, "strategy.entry_long", None),
        ({"entry_long": 'on("3h", close) > 1'}, "strategy.entry_long", "unknown timeframe '3h'"),
        ({"entry_long": 'on("1d", on("4h", close)) > 1'}, "strategy.entry_long", "on cannot be nested"),
        ({"entry_long": "side > 1"}, "strategy.entry_long", "'side' can only be compared with its choices"),
        (
            {"entry_long": "close > 1 and side == log"},
            "strategy.entry_long",
            "unknown choice 'log' (known are long, both) at column 15; did you mean 'long'?",
        ),
        ({"entry_long": None, "entry_short": None}, "strategy.entry_long", "is required, or entry_short"),
        ({"let": {"a": "b + 1", "b": "a + 1"}}, "strategy.let.a", "is defined by itself (a → b → a)"),
        ({"let": {"a": "a + 1"}}, "strategy.let.a", "is defined by itself"),
        ({"let": {"close": "open"}}, "strategy.let.close", "cannot be named 'close'"),
        ({"let": {"rsi": "open"}}, "strategy.let.rsi", "cannot be named 'rsi'"),
        ({"let": {"fast": "open"}}, "strategy.let.fast", "is defined twice"),
        ({"let": {"A": "open"}}, "strategy.let.A", "is not a name"),
        ({"require": ["close > 1"]}, "strategy.require[0]", "must be a condition on the parameters alone"),
        (
            {"require": ["fast > 100"]},
            "strategy.require",
            "does not hold for the defaults: params.fast must be",
        ),
        ({"params": {"n": {"min": 3, "max": 2}}}, "strategy.params.n.min", "must be at most max"),
        ({"params": {"n": {"min": 3}}}, "strategy.params.n.max", "is required"),
        (
            {"params": {"n": {"min": 1, "max": 9, "default": 10}}},
            "strategy.params.n.default",
            "must lie within",
        ),
        ({"params": {"n": {"min": 1, "max": 9, "stpe": 10}}}, "strategy.params.n.stpe", "is unknown"),
        ({"params": {"n": 5}}, "strategy.params.n", "must be an object"),
        ({"orders": {"entry": "stpo"}}, "strategy.orders.entry", "must be one of market, limit, stop"),
        ({"orders": {"offset": 0.1}}, "strategy.orders.entry", "is a market order"),
        (
            {"orders": {"entry": "stop", "offset": 0.1, "long_price": "high"}},
            "strategy.orders.offset",
            "cannot",
        ),
        ({"orders": {"entry": "stop", "offset": 0.6}}, "strategy.orders.offset", "must lie within 0 and 0.5"),
        (
            {"orders": {"entry": "stop", "valid_bars": 1.5}},
            "strategy.orders.valid_bars",
            "must be a whole number",
        ),
        ({"risk": {"stop_los": None}}, "strategy.risk.stop_los", "is unknown; did you mean 'stop_loss'?"),
        ({"risk": {"stop_loss": {"pct": 1, "distance": 1}}}, "strategy.risk.stop_loss", "has either pct"),
        ({"risk": {"stop_loss": {"pct": 2}}}, "strategy.risk.stop_loss.pct", "must lie within 0 and 0.99"),
        ({"risk": {"stop_loss": {"pct": "close"}}}, "strategy.risk.stop_loss.pct", "must be a number or"),
        ({"risk": {"trailing": 0.1}}, "strategy.risk.trailing", "must be an object"),
        ({"risk": {"time_stop": -1}}, "strategy.risk.time_stop", "must lie within 0"),
        ({"risk": {"base": "open"}}, "strategy.risk.base", "must be one of fill, signal_close"),
        ({"entry_lnog": "close > 1"}, "strategy.entry_lnog", "is unknown; did you mean 'entry_long'?"),
        ({"version": 2}, "strategy.version", "must be 1"),
        ({"title": "a\nb"}, "strategy.title", "must be one line"),
    ],
)
def test_an_error_names_field_place_and_guess(
    change: dict[str, Any], field: str, message: str | None
) -> None:
    least = {"params": GOOD["params"], "entry_long": "close > 1"}
    if message is None:  # a shift by a number that happens to be whole is fine
        strategy_of({**least, **change})
        return
    with pytest.raises(SpecError) as caught:
        strategy_of({**least, **change})
    assert caught.value.field == field
    assert caught.value.message.startswith(message)


def test_an_error_can_be_pointed_at() -> None:
    with pytest.raises(SpecError) as caught:
        strategy_of({"entry_long": "close > 1 and clsoe < 2"})
    assert (caught.value.position, caught.value.suggestion) == (15, "close")
    assert pickle.loads(pickle.dumps(caught.value)).position == 15


def test_an_error_in_the_text_form_names_the_line() -> None:
    text = TEXT.replace("crossover(close, near)", "crossover(close,\n    naer)")
    with pytest.raises(
        SpecError, match=r"unknown name 'naer' at column 18; did you mean 'near'\? \(line 9 of"
    ) as caught:
        strategy_of(text)
    assert caught.value.field == "strategy.entry_long"
    for bad, says in (
        ("strategy a\nbuy now", "line 2 is not a statement"),
        ("  let a = 1", "line 1 is indented"),
        ("param fast 3..4\n", "line 1 is not understood"),
        ("param fast = a in 3..4\n", "line 1 has a default that is not a number"),
        ("require fast <\nenter long when close > 1", "cannot be understood"),
        ("enter long when close > 1\nenter long when close > 2", "line 2 says again"),
        ("order limit close\n", "line 1 is not understood"),
        ('description "a\n', "line 1 needs a text"),
    ):
        with pytest.raises(SpecError) as caught:
            strategy_of(bad)
        assert says in str(caught.value)


def test_a_misspelt_built_in_is_guessed() -> None:
    with pytest.raises(
        SpecError, match=r"^strategy must be one of sma_cross, .*; did you mean 'sma_cross'\?$"
    ):
        strategy_of("sma_crosss")
    assert strategy_of("sma_cross") is STRATEGIES["sma_cross"]


def test_parameters_are_checked_before_there_are_data() -> None:
    strategy = strategy_of({**GOOD, "require": ["fast < width * 50", "fast + width < 90"]})
    assert strategy.validated({}) == {"fast": 20, "width": 2.0, "side": "both"}
    for params, field, says in (
        ({"fast": 150, "width": 1}, "params.fast", "must be less than width * 50 (50)"),
        ({"fast": 89, "width": 5}, "params", "must satisfy fast + width < 90"),
        ({"side": "short"}, "params.side", "must be one of long, both"),
        ({"slow": 1}, "params.slow", "is unknown"),
        ({"width": float("nan")}, "params.width", "must be finite"),
    ):
        with pytest.raises(SpecError) as caught:
            strategy.validated(params)
        assert caught.value.field == field
        assert caught.value.message.startswith(says)
    odd = strategy_of(
        {"params": {"n": {"default": 4, "min": 2, "max": 9}}, "entry_long": "close > sma(close, n / 2)"}
    )
    with pytest.raises(
        SpecError, match=r"params do not fit: n of sma\(x, n\) is a whole number, not 2.5 \(entry_long"
    ):
        odd.validated({"n": 5})


@pytest.mark.parametrize(
    ("require", "field", "says"),
    [
        ("n < 9 / z", "params.n", "must be less than 9 / z (unknown)"),
        ("n < sqrt(-n)", "params.n", "must be less than sqrt(-n) (unknown)"),
        ("n > huge * huge * huge", "params.n", "must be greater than huge * huge * huge (unknown)"),
        ("side == long", "params", "must satisfy side == long"),
        ("long == side", "params", "must satisfy long == side"),
        ("n == 5 or side != both", "params", "must satisfy n == 5 or side != both"),
    ],
)
def test_what_is_required_is_said_whatever_it_is(require: str, field: str, says: str) -> None:
    strategy = strategy_of(
        {
            "params": {
                "n": {"min": 1, "max": 9},
                "z": {"type": "number", "min": 0, "max": 9},
                "side": {"type": "choice", "choices": ["long", "both"]},
            },
            "let": {"huge": " * ".join(["1e15"] * 10)},
            "require": [require],
            "entry_long": "close > 1",
        }
    )
    with pytest.raises(SpecError) as caught:
        strategy.validated({"n": 3, "z": 0, "side": "both"})
    assert caught.value.field == field
    assert caught.value.message.startswith(says)


def test_blocks_can_be_replaced_and_may_use_the_strategys_names() -> None:
    strategy = strategy_of(GOOD)
    other = strategy.replaced(
        risk={"stop_loss": {"distance": "abs(close - near)"}}, orders={"entry": "market"}
    )
    assert other.document["risk"]["stop_loss"] == {"distance": "abs(close - near)"}
    assert other.document["risk"]["trailing"] is None
    assert other.document["orders"]["entry"] == "market"
    assert strategy.replaced() is strategy
    assert strategy.replaced(risk={}) is strategy.replaced(risk={})
    with pytest.raises(SpecError) as caught:
        strategy.replaced(risk={"stop_loss": {"pct": "widht"}})
    assert (caught.value.field, caught.value.suggestion) == ("risk.stop_loss.pct", "width")


def test_replaced_blocks_need_not_fit_the_defaults() -> None:
    """They belong to the parameters that are given with them."""
    replaced = STRATEGIES["rsi_reversal"].replaced(risk={"stop_loss": {"pct": "period / 10"}})
    assert replaced.validated({"period": 5})["period"] == 5
    with pytest.raises(SpecError):
        replaced.validated({})
    with pytest.raises(SpecError, match=r"must lie within 0 and 0\.99"):
        strategy_of(replaced.document)
    for value in (replaced.document, replaced.text):
        assert strategy_of(value, defaults=False).document == replaced.document
    assert pickle.loads(pickle.dumps(replaced)).document == replaced.document


def test_an_empty_block_is_an_object_or_null() -> None:
    for key in ("orders", "risk"):
        assert strategy_of(changed(**{key: {}})).document == strategy_of(changed(**{key: None})).document
        for value in (False, 0, "", []):
            with pytest.raises(SpecError, match="must be an object") as caught:
                strategy_of(changed(**{key: value}))
            assert caught.value.field == f"strategy.{key}"


def test_another_thread_may_forget_replaced_blocks_at_any_time() -> None:
    class Forgetful(dict[str, Strategy]):
        def __setitem__(self, key: str, value: Strategy) -> None:
            super().__setitem__(key, value)
            self.clear()

        def __contains__(self, key: object) -> bool:
            found = super().__contains__(key)
            self.clear()
            return found

    strategy = strategy_of(GOOD)
    object.__setattr__(strategy, "_replaced", Forgetful(strategy._replaced))
    for at in range(40):
        assert strategy.replaced(risk={"time_stop": at % 3}).document["risk"]["time_stop"] == at % 3


def test_timeframes_are_those_of_what_is_computed_and_replaced_blocks_keep_theirs() -> None:
    strategy = STRATEGIES["sma_cross"]
    assert strategy.timeframes == ()
    other = strategy.replaced(risk={"stop_loss": {"distance": 'on("4h", atr(14))'}})
    assert other.timeframes == ("4h",)
    with pytest.raises(SpecError):
        strategy.replaced(risk={"stop_loss": {"distance": 'on("1w", close) and 1'}})
    assert strategy.timeframes == ()
    strategy.check_timeframes(86_400_000)
    assert other.replaced(risk={}).timeframes == ()
    used = strategy_of(
        {
            "params": {"side": {"type": "choice", "choices": ["far", "near"], "default": "near"}},
            "let": {"far": 'on("1d", close)', "near": 'on("4h", close)', "nearer": "near[1]"},
            "entry_long": "side == far and close > nearer",
            "orders": {"entry": "limit", "long_price": 'on("1h", close)'},
        }
    )
    assert used.timeframes == ("1h", "4h")
