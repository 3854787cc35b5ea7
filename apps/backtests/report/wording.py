"""How metrics and settings are called and grouped for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from apps.backtests.engine import METRICS, SCHEMA, SpecError, strategy_of
from apps.candles.timeframes import DAY, MINUTE, to_datetime

#: Metrics that stand large at the top, where the run has them.
TILES = (
    "return_pct",
    "buy_hold_return_pct",
    "cagr_pct",
    "sharpe",
    "sortino",
    "max_drawdown_pct",
    "n_trades",
    "win_rate_pct",
    "profit_factor",
    "final_equity",
)

#: The group of a metric is the first whose pattern its name matches.
_GROUPS: tuple[tuple[str, str], ...] = (
    ("Drawdown", r"drawdown|calmar|ulcer|underwater|recovery"),
    (
        "Trades",
        r"trade|^n_|_win|win_|loss|profit_factor|expectancy|sqn|kelly|payoff|streak|entries|consecutive|reason",
    ),
    ("Costs", r"commission|fees?_|fees$|funding|slippage|written_off"),
    ("Risk", r"sharpe|sortino|volatility|omega|skew|kurtosis|var_|alpha|beta|deflated|probabilistic|periods"),
    ("Return", r"return|equity|cagr|buy_hold|growth"),
    ("Range", r"^start$|^end$|^duration$|exposure|bars"),
)
ORDER = ("Return", "Risk", "Drawdown", "Trades", "Costs", "Range", "Other")

_LABELS = {
    "n_trades": "Trades",
    "cagr_pct": "CAGR",
    "sqn": "SQN",
    "buy_hold_return_pct": "Buy and hold",
    "return_pct": "Return",
    "return_ann_pct": "Annual return",
    "volatility_ann_pct": "Annual volatility",
    "start": "First bar",
    "end": "Last bar",
    "n_long": "Long trades",
    "n_short": "Short trades",
}


def label(name: str) -> str:
    """A metric's name for people: ``max_drawdown_pct`` is Max drawdown."""
    words = re.sub(r"_(pct|ms)$", "", name).replace("_", " ")
    words = re.sub(r"^avg ", "average ", re.sub(r"^n ", "", words))
    return _LABELS.get(name) or words[:1].upper() + words[1:]


def group(name: str) -> str:
    """The heading that a metric stands under, one of `ORDER`."""
    return next((title for title, pattern in _GROUPS if re.search(pattern, name)), "Other")


def grouped(values: Mapping[str, float | int | None]) -> list[dict[str, Any]]:
    """Metrics under their headings in the order of the engine's table: name, label, unit, value, definition.

    Names that the table does not have stand under Other, without a unit.
    """
    known = {metric.name: metric for metric in METRICS}
    values = _ordered(values, known)
    sections: dict[str, list[dict[str, Any]]] = {title: [] for title in ORDER}
    for name, value in values.items():
        metric = known.get(name)
        item = {
            "name": name,
            "label": label(name),
            "unit": metric.unit if metric else "",
            "definition": metric.definition if metric else "",
            "value": value,
        }
        sections[group(name) if metric else "Other"].append(item)
    return [{"group": title, "items": items} for title, items in sections.items() if items]


def settings(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A specification's settings under headings, by their dotted names; the strategy itself left out."""
    blocks: dict[str, list[dict[str, Any]]] = {"Account": []}
    for name, value in in_order(spec).items():
        if name == "strategy" or value is None:
            continue
        if isinstance(value, Mapping):
            title = {"params": "Parameters"}.get(name, name[:1].upper() + name[1:])
            blocks[title] = [{"name": key, "value": _plain(one)} for key, one in value.items()]
        else:
            blocks["Account"].append({"name": name, "value": _plain(value)})
    return [{"group": title, "items": items} for title, items in blocks.items() if items]


def strategy(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a specification says of its strategy: ``name``, and ``title``, ``description`` and ``text`` where
    there are such. The text has the specification's own orders and risk; a strategy that there is no more
    has its name only.
    """
    value = spec["strategy"]
    try:
        found = strategy_of(value, defaults=False).replaced(orders=spec.get("orders"), risk=spec.get("risk"))
    except SpecError:
        return {"name": str(value.get("name", "strategy")) if isinstance(value, Mapping) else str(value)}
    described = {"title": found.title, "description": found.description, "text": found.text}
    return {"name": found.name, **{key: text for key, text in described.items() if text}}


def in_order(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification with its fields in the order of the schema, which databases do not keep."""
    known = SCHEMA["properties"]
    return {
        name: _ordered(value, known[name].get("properties", {})) if isinstance(value, Mapping) else value
        for name, value in _ordered(spec, known).items()
    }


def settings_in_order(names: Iterable[str]) -> list[str]:
    """Dotted names of settings in the order of the schema, what it does not have first."""
    known = SCHEMA["properties"]

    def place(name: str) -> tuple[int, int, str]:
        block, _, field = name.partition(".")
        inside = list(known.get(block, {}).get("properties", ()))
        return (
            list(known).index(block) if block in known else -1,
            inside.index(field) if field in inside else len(inside),
            name if block in known else "",
        )

    return sorted(names, key=place)


def _ordered(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of the *names* that there are first, the others behind them by the alphabet."""
    first = [name for name in names if name in values]
    return {name: values[name] for name in (*first, *sorted(set(values) - set(first)))}


def _plain(value: Any) -> Any:
    """JSON scalars as they are, anything else as text."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(one)) for one in value)
    return str(value)


def written(value: float | int | str | None, unit: str) -> str:
    """A metric's value as a person reads it, by its unit; times are UTC."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if unit == "time":
        return f"{to_datetime(int(value)):%Y-%m-%d %H:%M}"
    if unit == "ms":
        days, rest = divmod(int(value), DAY)
        hours, rest = divmod(rest, 60 * MINUTE)
        return (
            " ".join(f"{n} {u}" for n, u in ((days, "d"), (hours, "h"), (rest // MINUTE, "min")) if n)
            or "0 min"
        )
    if unit == "count" and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.2f} %" if unit == "%" else f"{value:,.2f}" if unit == "money" else f"{value:,.3f}"
