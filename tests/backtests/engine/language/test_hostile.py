"""Hostile input is refused with a SpecError, whatever it is, before there are data."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine import STRATEGIES, SpecError
from apps.backtests.engine.language.program import bind
from apps.backtests.engine.strategies import strategy_of

EXPRESSIONS: dict[str, Any] = {
    "attribute": "close.__class__ > 1",
    "attribute of a call": "sma(close, 5).T > 1",
    "attribute of brackets": "(close).real > 1",
    "attribute of a number": "1 .real > close",
    "method": "close.tofile('x') > 1",
    "dunder name": "__import__('os').system('id')",
    "dunder inside": "a__b > 1",
    "underscore": "_ > 1",
    "builtins": "eval('1') > 1",
    "open is a series": "open('/etc/passwd') > 1",
    "getattr": "getattr(close, 5) > 1",
    "list comprehension": "[x for x in close] > 1",
    "generator": "sum(x for x in close) > 1",
    "set": "{1, 2} > close",
    "dictionary": "{'a': 1} > close",
    "dict comprehension": "{k: k for k in close} > 1",
    "lambda": "(lambda: close)() > 1",
    "walrus": "(x := close) > 1",
    "assignment": "x = close",
    "statement": "import os",
    "two statements": "close > 1; close < 2",
    "def": "def f(): pass",
    "await": "await close > 1",
    "yield": "(yield close) > 1",
    "if else": "close if close > 1 else open > 1",
    "f-string": "f'{close}' > 1",
    "f-string that calls": 'on(f"{close}", close) > 1',
    "text": "'close' > 1",
    "bytes": "on(b'4h', close) > 1",
    "raw text": "on(r'4h', close) > 1",
    "text with a letter": "on(u'4h', close) > 1",
    "text in three marks": "on('''4h''', close) > 1",
    "joined texts": "on('4' 'h', close) > 1",
    "joined with nothing": "on('4h'\n\"\", close) > 1",
    "huge power": "9 ** 9 ** 9 > close",
    "power": "close ** 2 > 1",
    "huge integer": f"close > {'9' * 1900}",
    "number beyond the range": "close > 1e16",
    "infinite number": "close > 1e999",
    "long exponent": "close > 1e99999999999",
    "hexadecimal": "close > 0xFFFF",
    "octal": "close > 0o777",
    "underscored number": "close > 1_000",
    "imaginary": "close > 1j",
    "nan by name": "close > nan",
    "inf by name": "close > inf",
    "shift left": "close << 1000000 > 1",
    "shift right": "close >> 1 > 1",
    "matrix product": "close @ close > 1",
    "bit and": "close & 1 > 1",
    "bit or": "close | 1 > 1",
    "invert": "~close > 1",
    "unary plus": "+close > 1",
    "whole division": "close // 1 > 1",
    "remainder": "close % 2 > 1",
    "is": "close is open",
    "in": "close in open",
    "ellipsis": "... > close",
    "ellipsis as a shift": "close[...] > 1",
    "none": "None > close",
    "true": "True",
    "true as a number": "close > True",
    "slice": "close[1:2] > 1",
    "open slice": "close[:] > 1",
    "tuple as a shift": "close[1, 2] > 1",
    "negative shift": "close[-1] > 1",
    "hidden negative shift": "close[1 - 2] > 1",
    "double negative shift": "close[-(-(-1))] > 1",
    "negative shift by a minimum": "close[min(-5, 3)] > 1",
    "float shift": "close[1.0] > 1",
    "bool shift": "close[True] > 1",
    "text shift": "close['1'] > 1",
    "series as a shift": "close[volume] > 1",
    "huge shift": "close[999999999] > 1",
    "shift by nothing": "close[] > 1",
    "nan shift": "close[0 / 0] > 1",
    "negative window": "sma(close, -5) > 1",
    "zero window": "sma(close, 0) > 1",
    "huge window": "sma(close, 5001) > 1",
    "broken window": "sma(close, 2.5) > 1",
    "series as a window": "sma(close, volume) > 1",
    "starred": "sma(*close) > 1",
    "double starred": "sma(**close) > 1",
    "keyword": "sma(close, n=5) > 1",
    "no arguments": "sma() > close",
    "too many arguments": f"max({', '.join(['close'] * 500)}) > 1",
    "call of a call": "sma(close, 5)(close) > 1",
    "call of a number": "5(close) > 1",
    "call of a series": "close(5) > 1",
    "unknown timeframe": 'on("7m", close) > 1',
    "empty timeframe": 'on("", close) > 1',
    "path as a timeframe": 'on("../../etc", close) > 1',
    "name as a timeframe": "on(close, close) > 1",
    "nested timeframes": 'on("1d", on("4h", close)) > 1',
    "timeframe of a number": 'on("1d", 5) > 1',
    "deep brackets": "(" * 60 + "close" + ")" * 60 + " > 1",
    "too many brackets": "(" * 900 + "close" + ")" * 900 + " > 1",
    "unclosed brackets": "(" * 1999,
    "closed brackets": ")" * 1999,
    "deep subscripts": "close" + "[0]" * 600 + " > 1",
    "deep calls": "abs(" * 300 + "close" + ")" * 300 + " > 1",
    "many minuses": "-" * 1900 + "close > 1",
    "many nots": "not " * 490 + "close > 1",
    "long sum": "close" + "+close" * 320 + " > 1",
    "long chain": "close" + "<close" * 320,
    "long logic": " and ".join(["a>b"] * 250),
    "too long": "close > 1" + " " * 2000,
    "empty": "",
    "blank": " \n\t ",
    "null byte": "close > 1\x00",
    "line continuation": "close > \\\n 1",
    "remark": "close > 1 # and more",
    "type remark": "close > 1 # type: int",
    "backquotes": "`close` > 1",
    "dollar": "$close > 1",
    "question mark": "close ? 1",
    "byte order mark": "\ufeffclose > 1",
    "cyrillic homoglyph": "cl\u043ese > 1",
    "full-width letters": "\uff43lose > 1",
    "mathematical letters": "\U0001d41c\U0001d425\U0001d428\U0001d42c\U0001d41e > 1",
    "ligature": "\ufb01rst > 1",
    "zero width space": "clo\u200bse > 1",
    "zero width joiner": "close\u200d > 1",
    "right to left": "\u202eclose > 1",
    "no-break space": "close\u00a0> 1",
    "unicode digits": "close > \u0661",
    "superscript": "close\u00b2 > 1",
    "line separator": "close > 1\u2028or close < 1",
    "lone surrogate": "close > \ud800",
    "emoji": "close > \U0001f680",
    "division sign": "close \u00f7 2 > 1",
    "scan too long": "cci(501) > 1",
    "lookback too long": "sma(sma(sma(sma(sma(close, 5000), 5000), 5000), 5000), 5000) > 1",
    "shifts too long": "close[5000][5000][5000][5000][5000] > 1",
    "too costly": " and ".join(f"cci({n}) > 1" for n in range(400, 406)),
    "number": 5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "boolean": True,
    "bytes object": b"close > 1",
    "list": ["close"],
    "empty object": {},
    "two keys": {"<": ["close", 1], ">": ["close", 1]},
    "key that is no text": {1: ["close", 1]},
    "operands that are no list": {"<": "close"},
    "tree with null": {"<": ["close", None]},
    "tree with a boolean": {"<": ["close", False]},
    "tree with nan": {"<": ["close", float("nan")]},
    "tree with a huge integer": {"<": ["close", 10**400]},
    "tree with attributes": {"<": ["close.real", 1]},
    "tree with a dunder": {"__class__": ["close"]},
    "tree with a strange key": {"sma\u200b": ["close", 5]},
    "tree with half a sign as its key": {"\ud800": "close"},
    "tree that shifts ahead": {"<": [{"shift": ["close", -1]}, 1]},
    "tree that shifts by a half": {"<": [{"shift": ["close", 0.5]}, 1]},
    "tree with a bad timeframe": {"<": [{"on": ["4h\x00", "close"]}, 1]},
    "tree with a timeframe that is none": {"<": [{"on": [4, "close"]}, 1]},
    "tree with a bad chain": {"chain": ["close", "is", "open"]},
    "tree with half a chain": {"chain": ["close", "<"]},
    "tree with many operands": {"and": ["close > 1"] * 10_000},
    "tree with much text": {"and": ["close > 1" + " " * 1000] * 150},
    "tree with one operand": {"and": ["close > 1"]},
    "tree with many brackets": {">": ["close", {"max": [{"mom": ["close", n]} for n in range(1, 66)]}]},
    "tree with many operators": {"chain": [-1, "<=", -2, "<=", -3] + ["<=", "close"] * 97},
    "tree with long numbers": {">": ["close", {"max": [0.12345678901234568 + n for n in range(150)]}]},
    "text that is too long with its blanks": " and ".join(["hlc3<0.12345678901234568"] * 66),
}

DOCUMENTS: dict[str, Any] = {
    "null": None,
    "number": 7,
    "list": [],
    "bytes": b"sma_cross",
    "empty text": "",
    "long text": "x" * 40_000,
    "many lines": "let a = close\n" * 3_000,
    "strange line": "\x00\n\x01",
    "path": "../sma_cross",
    "homoglyph": "sma_cr\u043ess",
    "unknown key": {"entry_long": "close > 1", "code": "import os"},
    "key that is no text": {"entry_long": "close > 1", 5: 1},
    "dunder key": {"entry_long": "close > 1", "__proto__": {}},
    "version": {"entry_long": "close > 1", "version": True},
    "huge version": {"entry_long": "close > 1", "version": 10**400},
    "name": {"entry_long": "close > 1", "name": "<script>"},
    "reserved word as name": {"entry_long": "close > 1", "name": "lambda"},
    "title": {"entry_long": "close > 1", "title": "a\u202eb"},
    "long title": {"entry_long": "close > 1", "title": "x" * 101},
    "params": {"entry_long": "close > 1", "params": []},
    "many params": {"entry_long": "close > 1", "params": {f"p{n}": {"min": 1, "max": 2} for n in range(31)}},
    "param named as a series": {"entry_long": "close > 1", "params": {"close": {"min": 1, "max": 2}}},
    "param named as a function": {"entry_long": "close > 1", "params": {"sma": {"min": 1, "max": 2}}},
    "param named as a keyword": {"entry_long": "close > 1", "params": {"while": {"min": 1, "max": 2}}},
    "param with a dunder": {"entry_long": "close > 1", "params": {"a__b": {"min": 1, "max": 2}}},
    "param with a number as name": {"entry_long": "close > 1", "params": {1: {"min": 1, "max": 2}}},
    "param with nan": {"entry_long": "close > 1", "params": {"n": {"min": float("nan"), "max": 2}}},
    "param with inf": {"entry_long": "close > 1", "params": {"n": {"min": 1, "max": float("inf")}}},
    "param with a huge integer": {"entry_long": "close > 1", "params": {"n": {"min": 1, "max": 10**400}}},
    "param with a boolean": {"entry_long": "close > 1", "params": {"n": {"min": True, "max": 2}}},
    "param with text": {"entry_long": "close > 1", "params": {"n": {"min": "1", "max": 2}}},
    "param with no step": {"entry_long": "close > 1", "params": {"n": {"min": 1, "max": 2, "step": 0}}},
    "param of a list type": {"entry_long": "close > 1", "params": {"n": {"type": [], "min": 1, "max": 2}}},
    "choices": {"entry_long": "close > 1", "params": {"n": {"type": "choice", "choices": "abc"}}},
    "hostile choice": {
        "entry_long": "close > 1",
        "params": {"n": {"type": "choice", "choices": ["__class__"]}},
    },
    "many choices": {"entry_long": "close > 1", "params": {"n": {"type": "choice", "choices": ["a"] * 21}}},
    "many lets": {"entry_long": "close > 1", "let": {f"l{n}": "close" for n in range(31)}},
    "let that is a series": {"entry_long": "close > 1", "let": {"close": "open"}},
    "let of itself": {"entry_long": "close > 1", "let": {"a": "a[1] + 1"}},
    "lets in a circle": {"entry_long": "a > 1", "let": {"a": "b", "b": "c", "c": "a"}},
    "let with on in on": {"entry_long": 'on("1d", a) > 1', "let": {"a": 'on("4h", close)'}},
    "lets that look back too far": {
        "entry_long": "a9 > 1",
        "let": {"a0": "close"} | {f"a{n}": f"a{n - 1}[5000]" for n in range(1, 10)},
    },
    "require of the bars": {"entry_long": "close > 1", "require": ["close > 1"]},
    "require that is a text": {"entry_long": "close > 1", "require": "close > 1"},
    "nothing to enter": {"exit_long": "close > 1"},
    "orders": {"entry_long": "close > 1", "orders": [1]},
    "order": {"entry_long": "close > 1", "orders": {"entry": ["limit"]}},
    "offset": {"entry_long": "close > 1", "orders": {"entry": "limit", "offset": float("nan")}},
    "offset that is negative": {"entry_long": "close > 1", "orders": {"entry": "limit", "offset": -0.1}},
    "price": {"entry_long": "close > 1", "orders": {"entry": "limit", "long_price": "close[-1]"}},
    "risk": {"entry_long": "close > 1", "risk": "none"},
    "stop": {"entry_long": "close > 1", "risk": {"stop_loss": {"pct": float("inf")}}},
    "stop that is negative": {"entry_long": "close > 1", "risk": {"stop_loss": {"pct": -0.1}}},
    "stop that looks ahead": {"entry_long": "close > 1", "risk": {"stop_loss": {"distance": "atr(14)[-1]"}}},
    "time stop": {"entry_long": "close > 1", "risk": {"time_stop": 1e300}},
    "time stop that is half a bar": {"entry_long": "close > 1", "risk": {"time_stop": 0.5}},
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_hostile_expression_is_refused(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        strategy_of({"entry_long": EXPRESSIONS[name]})
    assert caught.value.field == "strategy.entry_long"
    assert caught.value.message.isascii() or "…" in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_is_refused(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        strategy_of(DOCUMENTS[name])
    assert caught.value.field.startswith("strategy")
    assert len(str(caught.value)) < 1000


def test_a_tree_without_end_is_refused() -> None:
    tree: Any = "close"
    for _ in range(sys.getrecursionlimit() * 2):
        tree = {"abs": [tree]}
    with pytest.raises(SpecError, match="nested more than 16 levels"):
        strategy_of({"entry_long": {"<": [tree, 1]}})
    loop: dict[str, Any] = {"abs": []}
    loop["abs"].append(loop)
    with pytest.raises(SpecError, match="nested more than 16 levels"):
        strategy_of({"entry_long": {"<": [loop, 1]}})


def test_lets_that_double_do_not_grow() -> None:
    """Thirty of them would be a tree of a thousand million nodes."""
    lets = {"a0": "close"} | {f"a{n}": f"a{n - 1} + a{n - 1}" for n in range(1, 30)}
    strategy = strategy_of({"entry_long": "a29 > 1", "let": lets})
    assert strategy.cost({}) < 100


def test_a_shift_by_lets_that_double_is_checked_once() -> None:
    """Walked through, thirty of them would be a thousand million nodes."""
    lets = {"a0": "n + n"} | {f"a{n}": f"a{n - 1} / 2 + a{n - 1} / 2" for n in range(1, 30)}
    params = {"n": {"min": 1, "max": 2, "default": 1}}
    strategy = strategy_of({"params": params, "entry_long": "close > close[a29]", "let": lets})
    assert strategy.validated({}) == {"n": 1}
    with pytest.raises(SpecError, match="a negative shift would look ahead"):
        strategy_of({"params": params, "entry_long": "close > close[a29 - 3]", "let": lets})


def test_results_that_must_be_held_at_once_are_limited() -> None:
    """Each let is cheap, and none of the 558 columns is free before the last let has used it."""
    lets = {
        f"{name}{at}": f"{function}({', '.join(f'close[{62 * at + n}]' for n in range(1, 63))})"
        for name, function in (("a", "max"), ("b", "min"))
        for at in range(9)
    }
    document = {"let": lets, "entry_long": f"close > max({', '.join(lets)})"}
    with pytest.raises(
        SpecError, match=r"means more memory per bar than is allowed \(5\d\d of 64\)"
    ) as caught:
        strategy_of(document)
    assert caught.value.field == "strategy.entry_long"
    one = {name: lets[name] for name in ("a0", "b0")}
    widest = strategy_of({"let": one, "entry_long": "b0 < close < a0"})
    assert 62 < bind(widest.source, {}).plan.width <= 64


def test_short_runs_of_values_cost_what_they_take() -> None:
    """Each of them may be a call of the library."""
    costs = {
        series: strategy_of({"entry_long": f"ema({series}, 2) > 0"}).cost({})
        for series in (
            "close - open",
            "close / open",
            "log(close)",
            "log(close - open)",
            "close / volume",
            "vwap(3)",
        )
    }
    assert max(costs[name] for name in ("close - open", "close / open", "log(close)")) < 12
    assert min(costs[name] for name in ("log(close - open)", "close / volume", "vwap(3)")) > 400
    with pytest.raises(SpecError, match="more work per bar than is allowed"):
        strategy_of({"entry_long": " and ".join(f"ema(log(close - {n}), 2) > 0" for n in range(3))})


@pytest.mark.parametrize(
    "params",
    [
        {"fast": float("nan"), "slow": 30},
        {"fast": float("inf"), "slow": 30},
        {"fast": 10, "slow": 1e300},
        {"fast": 10, "slow": 10**400},
        {"fast": True, "slow": 30},
        {"fast": "10", "slow": 30},
        {"fast": [10], "slow": 30},
        {"fast": {"$gt": 1}, "slow": 30},
        {"fast": None, "slow": 30},
        {"fast": -5, "slow": 30},
        {"fast": 10.5, "slow": 30},
        {"fast": 10, "slow": 30, "direction": ["long"]},
        {"fast": 10, "slow": 30, "__class__": 1},
        {"fast": 10, "slow": 30, 5: 1},
        [10, 30],
        "fast",
        None,
    ],
)
def test_hostile_parameters_are_refused(params: Any) -> None:
    with pytest.raises(SpecError) as caught:
        STRATEGIES["sma_cross"].validated(params)
    assert caught.value.field.startswith("params")


WORDS = st.sampled_from(
    [
        "close",
        "sma",
        "on",
        "(",
        ")",
        "[",
        "]",
        ",",
        "5",
        "1.5",
        "-",
        "+",
        "*",
        "/",
        "<",
        ">=",
        "==",
        "and",
        "or",
        "not",
        "'4h'",
        '"',
        "x",
        " ",
        "\n",
        ".",
        ":",
        "=",
        "**",
        "lambda",
        "if",
        "in",
        "\\",
        "#",
        "{",
        "é",
        "\x00",
        "1e9",
        "_",
    ],
)


@given(st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    for value in (text, {"<": [text, 1]}, {"not": [{"<": [text, text]}]}):
        try:
            strategy = strategy_of({"entry_long": value})
        except SpecError:
            continue
        assert strategy_of(strategy.text).document == strategy.document


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(["close", "close > 1", "4h", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["<", "and", "not", "-", "shift", "on", "sma", "chain", "pct", "distance", "min", "max", "n"]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=10,
)
KEYS = ("params", "let", "require", "entry_long", "exit_long", "orders", "risk", "title", "version", "name")


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_document_is_a_strategy_or_refused(document: dict[str, Any]) -> None:
    try:
        strategy = strategy_of(document)
    except SpecError:
        return
    assert strategy_of(json.loads(json.dumps(strategy.document))).document == strategy.document


LINES = st.sampled_from(
    [
        "strategy",
        "param",
        "let",
        "require",
        "enter long when",
        "order",
        "stop loss",
        "time stop",
        "levels from",
        "  ",
        "",
    ]
)


@given(st.lists(st.tuples(LINES, st.text(max_size=20)), max_size=6))
@settings(max_examples=50, deadline=None)
def test_any_lines_are_a_strategy_or_refused(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{head} {rest}" for head, rest in lines) + "\n"
    try:
        strategy = strategy_of(text)
    except SpecError:
        return
    assert strategy_of(strategy.text).document == strategy.document


def test_the_corpus_is_large() -> None:
    assert len(EXPRESSIONS) + len(DOCUMENTS) >= 180
