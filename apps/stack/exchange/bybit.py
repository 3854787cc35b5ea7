"""Bybit's market data, spot and linear: its endpoints, its limit and its return codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from apps.stack.exchange import klines
from apps.stack.exchange.answers import HTML, Answer, Candles, Row, json_answer
from apps.stack.exchange.bars import Bars
from apps.stack.exchange.bybit_markets import MARKETS, Listed, describe
from apps.stack.exchange.face import Face
from apps.stack.exchange.faults import CANDLES, Rule
from apps.stack.exchange.intervals import INTERVALS, MINUTE_MS, Interval
from apps.stack.exchange.outages import Outages
from apps.stack.exchange.rates import WindowLimiter
from apps.stack.exchange.request import Request
from apps.stack.exchange.synthetic import Synthetic

_PARAMETER = 10001
_DEFAULT_LIMIT, _LARGEST_LIMIT = 200, 1000
_DEFAULT_ENTRIES, _MOST_ENTRIES = 500, 1000
# Later moments have no calendar here.
_LATEST_MS = 253_402_214_400_000
_FORBIDDEN_PAGE = "<html><body>403, access too frequent</body></html>"

# Minutes, and letters for what is longer.
_INTERVALS: Mapping[str, Interval] = {
    name: INTERVALS[ours]
    for name, ours in {
        "1": "1m",
        "3": "3m",
        "5": "5m",
        "15": "15m",
        "30": "30m",
        "60": "1h",
        "120": "2h",
        "240": "4h",
        "360": "6h",
        "720": "12h",
        "D": "1d",
        "W": "1w",
        "M": "1M",
    }.items()
}


class _Refused(Exception):
    """A return code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Bybit(Face):
    """Its markets, by category and symbol: ``linear:BTCUSDT``."""

    name = "bybit"
    candles = CANDLES["bybit"]
    paths: ClassVar[frozenset[str]]

    def __init__(self, *, seed: int, clock: Callable[[], float], outages: Outages) -> None:
        super().__init__(
            {key: Synthetic(market=listed.market, seed=seed) for key, listed in MARKETS.items()},
            clock=clock,
            outages=outages,
        )
        self._limiter = WindowLimiter(600, window_ms=5_000, ban_ms=600_000)

    def forgive(self) -> None:
        self._limiter.forgive()

    def failure(self, status: int) -> Any:
        return _FORBIDDEN_PAGE if status == 403 else super().failure(status)

    def answer(self, request: Request, rule: Rule | None) -> Answer:
        now_ms = self.now_ms()
        if not self._limiter.admits(request.address, now_ms=now_ms):
            return Answer(status=403, body=_FORBIDDEN_PAGE.encode(), content_type=HTML)
        try:
            result = _ROUTES[request.path](self, dict(parse_qsl(request.query)))
        except _Refused as refusal:
            return self._wrapped(refusal.code, str(refusal), {}, now_ms)
        return self._wrapped(0, "OK", self.dressed(result, rule), now_ms)

    def _wrapped(self, code: int, message: str, result: Any, now_ms: int) -> Answer:
        body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}
        return json_answer(body, headers=(("Timenow", str(now_ms)),))

    def time(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        now_ms = self.now_ms()
        return {"timeSecond": str(now_ms // 1000), "timeNano": f"{now_ms}000000"}

    def instruments(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """A category's markets: spot all at once, linear page by page. None waits for its launch."""
        category = _category(parameters)
        found = [one for one in MARKETS.values() if one.category == category]
        if (symbol := parameters.get("symbol")) is not None:
            found = [_listed(category, symbol)]
        if parameters.get("status", "Trading") != "Trading":
            found = []
        if category == "spot":
            return {"category": category, "list": [describe(one) for one in found]}
        limit = min(_number(parameters, "limit", _DEFAULT_ENTRIES), _MOST_ENTRIES)
        start = _number(parameters, "cursor", 0)
        rest = start + limit < len(found)
        return {
            "category": category,
            "list": [describe(one) for one in found[start : start + limit]],
            "nextPageCursor": str(start + limit) if rest else "",
        }

    def klines(self, parameters: Mapping[str, str]) -> Candles:
        """Newest first: the last ones up to ``end``, else the first ones from ``start``, else the latest."""
        category = _category(parameters, "linear")
        listed = _listed(category, parameters.get("symbol", ""))
        interval = _INTERVALS.get(parameters.get("interval", ""))
        if interval is None:
            raise _Refused(_PARAMETER, "Invalid period!")
        start = _number(parameters, "start", None)
        end = _number(parameters, "end", None)
        limit = _number(parameters, "limit", _DEFAULT_LIMIT)
        if not 1 <= limit <= _LARGEST_LIMIT:
            raise _Refused(_PARAMETER, "params error: limit")
        bars = klines.select(
            self.histories[listed.key],
            interval,
            # With an end, the last ones before it count, and the start only cuts.
            start_ms=start if end is None else None,
            end_ms=end,
            limit=limit,
            now_ms=self.now_ms(),
        )
        if start is not None:
            bars = bars.where(bars.minute * MINUTE_MS >= start)
        return Candles(
            rows=_rows(bars, listed),
            dress=lambda rows: {
                "symbol": listed.symbol,
                "category": category,
                "list": [[str(row[0]), *row[1:]] for row in reversed(rows)],
            },
        )


_ROUTES: Mapping[str, Callable[[Bybit, Mapping[str, str]], Any]] = {
    "/v5/market/time": Bybit.time,
    "/v5/market/instruments-info": Bybit.instruments,
    Bybit.candles: Bybit.klines,
}
Bybit.paths = frozenset(_ROUTES)


def _category(parameters: Mapping[str, str], default: str = "") -> str:
    category = parameters.get("category", default)
    if category not in ("spot", "linear"):
        raise _Refused(_PARAMETER, "params error: Category is invalid")
    return category


def _listed(category: str, symbol: str) -> Listed:
    listed = MARKETS.get(f"{category}:{symbol}")
    if listed is None:
        raise _Refused(_PARAMETER, "Not supported symbols")
    return listed


def _number(parameters: Mapping[str, str], name: str, default: Any) -> Any:
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise _Refused(_PARAMETER, f"params error: {name}")
    return min(int(text), _LATEST_MS)


def _rows(bars: Bars, listed: Listed) -> list[Row]:
    """Open time (ms), open, high, low, close, volume in the base, turnover in the quote."""
    prices, lots = listed.market.price_scale, listed.market.lot_scale
    return [
        list(row)
        for row in zip(
            (bars.minute * MINUTE_MS).tolist(),
            klines.trimmed(bars.open, prices),
            klines.trimmed(bars.high, prices),
            klines.trimmed(bars.low, prices),
            klines.trimmed(bars.close, prices),
            klines.trimmed(bars.volume, lots),
            klines.trimmed(bars.quote, prices + lots),
            strict=True,
        )
    ]
