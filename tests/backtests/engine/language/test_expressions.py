"""Expressions: text, JSON and tree are one thing, and what is wrong is said with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine.language.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    Binary,
    Call,
    Compare,
    Frame,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Refused,
    Shift,
)
from apps.backtests.engine.language.printing import printed
from apps.backtests.engine.language.reading import parsed
from apps.backtests.engine.language.trees import expression, tree

NAMES = st.sampled_from(["close", "high", "fast", "trend", "x1", "rsi_low"])


def _grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Negative, inner),
        st.builds(Not, inner),
        st.builds(Binary, st.sampled_from(ARITHMETIC), inner, inner),
        several.flatmap(
            lambda operands: st.tuples(*[st.sampled_from(COMPARISONS)] * (len(operands) - 1)).map(
                lambda operators: Compare(operators, operands)
            )
        ),
        st.builds(Logic, st.sampled_from(LOGIC), several),
        st.builds(Shift, inner, st.one_of(st.integers(0, 99).map(float).map(Number), NAMES.map(Name))),
        st.builds(Call, st.sampled_from(["sma", "max", "crossover"]), several),
        st.builds(Frame, st.sampled_from(["4h", "1d"]), inner),
    )


TREES = st.recursive(st.one_of(st.builds(Number, st.floats(0, 1e15)), NAMES.map(Name)), _grow, max_leaves=8)


def deep(node: Node) -> bool:
    try:
        expression(tree(node))
    except Refused as refused:
        if "more than" in refused.message:
            return True
        raise
    return False


@given(TREES)
@settings(max_examples=150, deadline=None)
def test_text_json_and_tree_are_one(node: Node) -> None:
    if deep(node):
        return
    assert parsed(printed(node)) == node
    assert printed(parsed(printed(node))) == printed(node)
    through_json = json.loads(json.dumps(tree(node)))
    assert expression(through_json) == node
    assert tree(expression(through_json)) == tree(node)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" close>open ", "close > open"),
        ("not(close > open)", "not close > open"),
        ("(a + b) + c", "a + b + c"),
        ("a + (b + c)", "a + (b + c)"),
        ("-a * b", "-a * b"),
        ("-(a * b)", "-(a * b)"),
        ("1.50e2 < x", "150 < x"),
        ("x[3][1]", "x[3][1]"),
        ("(x + 1)[3]", "(x + 1)[3]"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b or c)", "a and (b or c)"),
        ("(a and b) and c", "(a and b) and c"),
        ("a < b <= c", "a < b <= c"),
        ("(a < b) == c", "(a < b) == c"),
        ("on('1d', close)", 'on("1d", close)'),
        ("a\n and\tb", "a and b"),
        ("2 - -5", "2 - -5"),
    ],
)
def test_one_text_is_canonical(text: str, canonical: str) -> None:
    assert printed(parsed(text)) == canonical


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (-0.5, "-0.5"),
        ("close", "close"),
        ({"<": ["close > open", "x"]}, "(close > open) < x"),
        ({"and": [{"<": ["a", 1]}, "b > 2", {"not": ["c"]}]}, "a < 1 and b > 2 and not c"),
        ({"-": ["a"]}, "-a"),
        ({"shift": [{"sma": ["close", 5]}, 2]}, "sma(close, 5)[2]"),
        ({"on": ["4h", {"ema": ["close", 50.0]}]}, 'on("4h", ema(close, 50))'),
        ({"chain": [1, "<", "x", "<=", 2]}, "1 < x <= 2"),
        ({"hour": []}, "hour()"),
    ],
)
def test_trees_of_json_mean_their_text(value: Any, text: str) -> None:
    assert printed(expression(value)) == text


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("close >", 8, "cannot be understood"),
        ("sma(close, 5", 4, "bracket without its partner"),
        ("close > open)", 13, "bracket without its partner"),
        ("  close.real", 8, "attributes"),
        ("close > 1e16", 9, "numbers lie within 1e+15"),
        ("close ** 2 > 1", 7, "powers"),
        ("close > 5 % 2", 11, "remainders"),
        ("close // 2 > 1", 7, "whole division"),
        ("a if b else c", 3, "'if' is not part"),
        ("sma(x=close)", 5, "arguments have no names"),
        ("close[1:2] > 1", 8, "the character ':'"),
        ("close[1.5] > 1", 7, "whole number"),
        ("close > 'x'", 9, "timeframe"),
        ("clоse > 1", 3, "U+043E"),
    ],
)
def test_an_error_has_its_column(text: str, column: int, says: str) -> None:
    with pytest.raises(Refused) as caught:
        parsed(text)
    assert says in caught.value.message
    assert caught.value.at == column
