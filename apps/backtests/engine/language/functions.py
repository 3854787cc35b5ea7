"""The names of the language besides indicators: series, and functions that are part of it."""

from __future__ import annotations

from dataclasses import dataclass

from apps.backtests.engine.indicators import INDICATORS

SERIES = {
    "open": "first price of the bar",
    "high": "highest price",
    "low": "lowest price",
    "close": "last price",
    "volume": "what was traded, in the base currency",
    "hl2": "(high + low) / 2",
    "hlc3": "(high + low + close) / 3",
    "ohlc4": "(open + high + low + close) / 4",
}

#: Kinds of values: one number for the whole run, or one per bar; the same of what is true or not.
NUMBER, VALUES, FLAG, CONDITION = "number", "series", "flag", "condition"


@dataclass(frozen=True)
class Function:
    """A function of the language: ``arguments`` are kinds, or None for any number of values."""

    signature: str
    arguments: tuple[str, ...] | None
    result: str
    doc: str


FUNCTIONS = {
    "abs": Function("abs(x)", (VALUES,), VALUES, "Without the sign."),
    "sqrt": Function("sqrt(x)", (VALUES,), VALUES, "Square root; unknown below 0."),
    "log": Function("log(x)", (VALUES,), VALUES, "Natural logarithm; unknown at 0 and below."),
    "min": Function("min(x, y, …)", None, VALUES, "The least, unknown if one is unknown."),
    "max": Function("max(x, y, …)", None, VALUES, "The greatest, unknown if one is unknown."),
    "crossover": Function(
        "crossover(a, b)", (VALUES, VALUES), CONDITION, "a is above b and was not on the bar before."
    ),
    "crossunder": Function(
        "crossunder(a, b)", (VALUES, VALUES), CONDITION, "a is below b and was not on the bar before."
    ),
    "crossover_strict": Function(
        "crossover_strict(a, b)", (VALUES, VALUES), CONDITION, "a is above b and was below on the bar before."
    ),
    "crossunder_strict": Function(
        "crossunder_strict(a, b)",
        (VALUES, VALUES),
        CONDITION,
        "a is below b and was above on the bar before.",
    ),
    "hour": Function("hour()", (), VALUES, "Hour in UTC at which the bar opened, 0 to 23."),
    "minute": Function("minute()", (), VALUES, "Minute of the hour at which the bar opened, 0 to 59."),
    "weekday": Function("weekday()", (), VALUES, "Day of the week in UTC, Monday 0 to Sunday 6."),
    "session": Function(
        "session(from, to)",
        (NUMBER, NUMBER),
        CONDITION,
        "The bar opened from o'clock UTC or later, before to; 9.5 is half past nine; may pass midnight.",
    ),
    "barssince": Function(
        "barssince(condition)", (CONDITION,), VALUES, "Bars since it last held, 0 where it holds."
    ),
    "value_when": Function(
        "value_when(condition, x)", (CONDITION, VALUES), VALUES, "x on the last bar on which it held."
    ),
}

RESERVED = {*SERIES, *FUNCTIONS, *INDICATORS, "on", "and", "or", "not", "chain", "shift", "fraction"}


def documentation() -> str:
    """Series and functions in Markdown."""
    lines = ["| name | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {doc} |" for name, doc in SERIES.items()]
    lines += [f"| `{function.signature}` | {function.doc} |" for function in FUNCTIONS.values()]
    lines += [
        "| `x[n]` | x n bars before; n is not negative |",
        '| `on("4h", x)` | x on bars of a higher timeframe (5m 15m 30m 1h 4h 1d 1w), known when they close |',
    ]
    return "\n".join(lines)
