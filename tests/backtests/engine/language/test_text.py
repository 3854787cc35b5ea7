"""The text form: what is written is read as the same document, whatever is in it, and in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine import SpecError
from apps.backtests.engine.strategies import of_text, strategy_of

NAMES = st.sampled_from(
    ["fraction", "bars", "bar", "long", "at", "valid", "offset", "market", "step", "n", "strategy", "near"]
)
WORDS = st.sampled_from(["#", "#5", "word", '"', "\\", "\\u0023", "'", "=", "é", "..", "%", "a-b", "x" * 60])
PROSE = st.lists(WORDS, max_size=60).map(" ".join)
FRACTIONS = st.floats(0, 0.5) | st.sampled_from([0.0, 0.01, 1e-25, 5e-324, 0.1 + 0.2])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that use every statement, with names that are words of the text form."""
    names = draw(st.lists(NAMES, min_size=3, max_size=3, unique=True))
    whole, number, let = names
    values = {"type": "number", "default": draw(st.floats(0, 0.5)), "min": 0, "max": 0.5}
    scalar = FRACTIONS | st.just(number) | st.just(f"{number} / 2")
    count = st.integers(1, 9) | st.just(whole) | st.just(f"{whole} * 2")
    distance = st.sampled_from([f"{number} * atr(14)", f"{let} - low", f"{whole} + {number}", "5", "-1"])
    level = scalar.map(lambda pct: {"pct": pct}) | distance.map(lambda text: {"distance": text})
    orders = st.one_of(
        st.none(),
        st.fixed_dictionaries({"entry": st.just("limit"), "offset": scalar, "valid_bars": count}),
        st.fixed_dictionaries({"entry": st.just("stop"), "long_price": distance, "short_price": distance}),
    )
    return {
        "name": draw(st.sampled_from(["dip", "strategy", "param"])),
        "title": draw(PROSE.filter(lambda text: len(text) <= 100)),
        "description": draw(PROSE.filter(lambda text: len(text) <= 2_000)),
        "params": {
            whole: {"default": 2, "min": 1, "max": 9, "description": draw(PROSE)[:500].rstrip("\\")},
            number: {**values, "step": draw(st.floats(1e-9, 1))},
        },
        "let": {let: "high - open"},
        "require": draw(st.sampled_from([None, [f"{whole} < 100"]])),
        "entry_long": f"close > {let}",
        "orders": draw(orders),
        "risk": {
            "stop_loss": draw(level),
            "take_profit": draw(level),
            "time_stop": draw(st.none() | count),
            "base": draw(st.sampled_from(["fill", "signal_close"])),
        },
    }


@given(documents())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_as_the_same_document(document: dict[str, Any]) -> None:
    try:
        strategy = strategy_of(document)
    except SpecError:
        # Only for the name that is a word of the language.
        assert "fraction" in {*document["params"], *document["let"]}
        return
    assert of_text(strategy.text).document == strategy.document
    assert strategy_of(json.loads(json.dumps(strategy.document))).text == strategy.text


def test_a_text_that_could_not_be_read_again_is_refused() -> None:
    long = " and ".join(f"close > {number}.123456789" for number in range(60))
    document = {"let": {f"let_{number}": long for number in range(26)}, "entry_long": "close > 1"}
    with pytest.raises(SpecError, match="longer than 32000 characters in its text form"):
        strategy_of(document)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line",
    [
        "time stop 1{}x",
        "time stop 1{}bars x",
        "order valid 1{}x",
        "param a{}x",
        "param a ={}x",
        "param a in a{}, b !",
        'param a in a, b "{}',
        "let a{}b",
        "stop loss 1{}x",
    ],
)
def test_blanks_without_end_are_read_at_once(line: str) -> None:
    """With a pattern that goes back, a few of these take minutes."""
    text = f"enter long when close > open\n{line.format(' ' * 31_000)}\n"
    for _ in range(5):
        with pytest.raises(SpecError):
            of_text(text)


@pytest.mark.parametrize("rest", ["5", "5 bars", "5   bar", "5\n\tbars"])
def test_numbers_of_bars_may_say_so(rest: str) -> None:
    text = f"enter long when close > open\ntime stop {rest}\n"
    assert of_text(text).document["risk"]["time_stop"] == 5.0
