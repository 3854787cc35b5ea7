"""Faults on demand: rules that make the exchange fail in the ways exchanges do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from apps.stack.exchange.answers import Row
from apps.stack.exchange.twists import Twist

#: The paths that answer candles, by exchange.
CANDLES: Mapping[str, str] = {
    "binance": "/api/v3/klines",
    "bybit": "/v5/market/kline",
    "kraken": "/0/public/OHLC",
}

# 2001-09-09: what is no time but a number of trades stays below.
_EARLIEST_MS = 10**12


class BadRule(ValueError):
    """A fault rule that cannot be followed; the text names the field."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One fault: the next *times* requests for *path* (``*`` is any) go wrong, for ever when None.

    Kinds: ``status`` answers *status* with *body* and *headers*; ``reset`` cuts the connection without an
    answer; ``garbage`` answers 200 without JSON; ``html`` answers 502 with a page; ``delay`` waits for
    *seconds* and then answers; ``rows`` spoils the candles of an answer in the way *rows* names.
    *symbol* narrows the rule to requests that name that symbol or pair, *method* to those with that one. A
    ``status`` without a *body* says what the exchange says with that status.

    What a request asks for is not done where its answer is replaced, and after a ``delay``. With *executed*
    it is done first: an order is in the books. ``lost`` is always executed; then the connection is cut or,
    with *seconds*, the answer comes that much too late.

    Kinds that concern new orders: ``partial`` fills only *share* of the quantity at once, and the rest after
    *reads* reads of the order or, when None, never; ``trades`` fills what is taken at once in *trades*
    trades. *share* and *trades* also go with ``lost``, ``delay`` and *executed*. ``fill_on_cancel`` fills an
    order in the instant in which it is to be cancelled.
    """

    path: str
    kind: str
    times: int | None = 1
    symbol: str | None = None
    method: str | None = None
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] | None = None
    seconds: float = 0.0
    rows: str = ""
    executed: bool = False
    share: float | None = None
    reads: int | None = None
    trades: int = 1

    def as_json(self) -> dict[str, Any]:
        """The rule as it was ordered, with the times that are left."""
        result: dict[str, Any] = {"path": self.path, "kind": self.kind, "times": self.times}
        if self.symbol is not None:
            result["symbol"] = self.symbol
        if self.method is not None:
            result["method"] = self.method
        if self.kind == "status":
            result |= {"status": self.status, "body": self.body, "headers": dict(self.headers or {})}
        if self.kind == "delay" or self.seconds:
            result["seconds"] = self.seconds
        if self.kind == "rows":
            result["rows"] = self.rows
        if self.executed:
            result["executed"] = True
        if self.share is not None:
            result |= {"share": self.share, "reads": self.reads}
        if self.trades != 1:
            result["trades"] = self.trades
        return result

    def fits(self, method: str, path: str, symbol: str | None) -> bool:
        """Whether it is for such a request."""
        return self.path in ("*", path) and self.symbol in (None, symbol) and self.method in (None, method)

    def twist(self) -> Twist:
        """How the market is to treat the order or cancellation that the rule was taken for."""
        return Twist(
            trades=self.trades,
            share=None if self.share is None else Decimal(str(self.share)),
            reads=self.reads,
            fills_first=self.kind == "fill_on_cancel",
        )


def _middle(rows: list[Row], change: Callable[[Row], Row]) -> list[Row]:
    """*rows* with the one in the middle changed."""
    middle = len(rows) // 2
    return [*rows[:middle], change(list(rows[middle])), *rows[middle + 1 :]]


def _with(index: int, value: object) -> Callable[[list[Row]], list[Row]]:
    def spoil(rows: list[Row]) -> list[Row]:
        return _middle(rows, lambda row: [*row[:index], value, *row[index + 1 :]])

    return spoil


def _negative(rows: list[Row]) -> list[Row]:
    return _middle(rows, lambda row: [*row[:3], "-" + row[3], *row[4:]])


def _high_below_low(rows: list[Row]) -> list[Row]:
    return _middle(rows, lambda row: [*row[:2], row[3], f"{float(row[3]) * 2:.8f}", *row[4:]])


def _unsorted(rows: list[Row]) -> list[Row]:
    middle = max(1, len(rows) // 2)
    return [*rows[: middle - 1], *reversed(rows[middle - 1 : middle + 1]), *rows[middle + 1 :]]


def _duplicate(rows: list[Row]) -> list[Row]:
    middle = len(rows) // 2
    return [*rows[: middle + 1], *rows[middle:]]


def _gap(rows: list[Row]) -> list[Row]:
    middle = len(rows) // 2
    return [*rows[:middle], *rows[middle + 1 :]]


def _future(rows: list[Row]) -> list[Row]:
    ahead = int(time.time()) // 60 * 60_000 + 3_600_000 - rows[-1][0]
    # The close time goes with the open time, where there is one.
    return [*rows, [value + ahead if _is_moment(value) else value for value in rows[-1]]]


def _is_moment(value: object) -> bool:
    return isinstance(value, int) and value > _EARLIEST_MS


def _finer(rows: list[Row]) -> list[Row]:
    return _middle(rows, lambda row: [*row[:5], f"{row[5]}1", *row[6:]])


SPOILERS: Mapping[str, Callable[[list[Row]], list[Row]]] = {
    "nan": _with(4, "NaN"),
    "negative": _negative,
    "high_below_low": _high_below_low,
    "unsorted": _unsorted,
    "duplicate": _duplicate,
    "gap": _gap,
    "wrong_types": _with(2, {"price": None}),
    "short_row": lambda rows: _middle(rows, lambda row: row[:3]),
    "future": _future,
    "finer": _finer,
}


def spoil(rows: list[Row], how: str) -> list[Row]:
    """The candles *rows* made into rubbish of the kind *how*; an empty answer stays empty."""
    return SPOILERS[how](rows) if rows else rows


_KINDS = (
    *("status", "reset", "garbage", "html", "delay", "rows"),
    *("lost", "partial", "trades", "fill_on_cancel"),
)
_METHODS = ("GET", "POST", "DELETE")
# Kinds that are about requests with one method only.
_METHOD_OF: Mapping[str, str] = {"partial": "POST", "trades": "POST", "fill_on_cancel": "DELETE"}
_REPLACED = ("status", "garbage", "html", "delay")
_MOST_TRADES = 100
_READS = "a number from 0, or null for never, beside a share"


def parse_rules(body: bytes) -> list[Rule]:
    """The rules in a JSON list. Raises `BadRule`."""
    try:
        listed = json.loads(body)
    except ValueError as error:
        raise BadRule(f"not JSON: {error}") from None
    if not isinstance(listed, list):
        raise BadRule("not a list of rules")
    return [_parse_rule(entry) for entry in listed]


def _parse_rule(entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise BadRule("a rule is an object")
    unknown = set(entry) - set(Rule.__dataclass_fields__)
    if unknown:
        raise BadRule(f"unknown fields: {', '.join(sorted(unknown))}")
    _check(entry, "path", isinstance(entry.get("path"), str), "a path such as /api/v3/klines, or *")
    _check(entry, "kind", entry.get("kind") in _KINDS, f"one of {', '.join(_KINDS)}")
    times = entry.get("times", 1)
    _check(entry, "times", times is None or (_integer(times) and times > 0), "a number from 1, or null")
    _check(entry, "symbol", isinstance(entry.get("symbol", ""), str | None), "a symbol such as BTCUSDT")
    status = entry.get("status", 500)
    _check(entry, "status", _integer(status) and 200 <= status <= 599, "an HTTP status")
    headers = entry.get("headers") or {}
    well_formed = isinstance(headers, dict) and all(
        isinstance(value, str | int) for value in headers.values()
    )
    _check(entry, "headers", well_formed, "an object of texts")
    seconds = entry.get("seconds", 0)
    _check(entry, "seconds", (_integer(seconds) or isinstance(seconds, float)) and seconds >= 0, "seconds")
    if entry["kind"] == "rows":
        paths = CANDLES.values()
        _check(entry, "path", entry["path"] in paths, f"one of {', '.join(paths)} for rows")
        _check(entry, "rows", entry.get("rows") in SPOILERS, f"one of {', '.join(SPOILERS)}")
    _check_trading(entry)
    texts = {name: str(value) for name, value in headers.items()}
    ours = {"headers": texts, "times": times}
    if entry["kind"] in _METHOD_OF:
        ours["method"] = _METHOD_OF[entry["kind"]]
    if entry["kind"] == "lost":
        ours["executed"] = True
    return Rule(**{**entry, **ours})


def _check_trading(entry: Mapping[str, Any]) -> None:
    """The fields that concern orders."""
    kind = entry["kind"]
    methods = (_METHOD_OF[kind],) if kind in _METHOD_OF else _METHODS
    _check(entry, "method", entry.get("method") in (None, *methods), f"one of {', '.join(methods)}")
    executed = entry.get("executed", kind == "lost")
    _check(entry, "executed", isinstance(executed, bool), "true or false")
    _check(entry, "executed", not executed or kind in (*_REPLACED, "lost"), f"false for {kind}")
    _check(entry, "executed", executed or kind != "lost", "true for lost")
    twists = executed or kind in ("partial", "trades", "delay")
    share: Any = entry.get("share")
    reads, trades = entry.get("reads"), entry.get("trades", 1)
    if kind == "partial" or share is not None:
        given = share if _integer(share) or isinstance(share, float) else -1
        _check(entry, "share", twists and 0 <= given < 1, "a share from 0 to below 1, of an order")
    _check(entry, "reads", reads is None or (share is not None and _integer(reads) and reads >= 0), _READS)
    least = 2 if kind == "trades" else 1
    counted = _integer(trades) and least <= trades <= _MOST_TRADES
    _check(entry, "trades", counted and (twists or trades == 1), f"a number from {least} to {_MOST_TRADES}")


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(entry: Mapping[str, Any], name: str, holds: bool, wanted: str) -> None:
    if not holds:
        raise BadRule(f"{name} must be {wanted}, not {entry.get(name)!r}")


class Faults:
    """The rules in force, in the order in which they were ordered. Safe for many threads."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, rules: list[Rule]) -> None:
        with self._lock:
            self._rules += rules

    def clear(self) -> None:
        with self._lock:
            self._rules = []

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.as_json() for rule in self._rules]

    def take(self, method: str, path: str, symbol: str | None) -> Rule | None:
        """The first rule that fits the request, used up by one; None when all is well."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if not rule.fits(method, path, symbol):
                    continue
                if rule.times == 1:
                    del self._rules[index]
                elif rule.times is not None:
                    self._rules[index] = replace(rule, times=rule.times - 1)
                return rule
        return None
