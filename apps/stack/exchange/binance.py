"""Binance's spot market: its endpoints, from parameters to JSON, its weights and its refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qs

from apps.stack.exchange import errors, klines, markets
from apps.stack.exchange.answers import Answer, Candles, json_answer, page
from apps.stack.exchange.bars import Source
from apps.stack.exchange.books import Books
from apps.stack.exchange.errors import ApiError
from apps.stack.exchange.face import Face
from apps.stack.exchange.faults import CANDLES, Rule
from apps.stack.exchange.intervals import INTERVALS, MINUTE_MS
from apps.stack.exchange.limits import WEIGHT_PER_MINUTE, WeightLimiter
from apps.stack.exchange.markets import Market, plain
from apps.stack.exchange.order_limits import ORDER_LIMITS
from apps.stack.exchange.outages import Outages
from apps.stack.exchange.parameters import Parameters
from apps.stack.exchange.quotes import Quotes
from apps.stack.exchange.request import Request
from apps.stack.exchange.trading import ROUTES as SIGNED
from apps.stack.exchange.trading import Trading
from apps.stack.exchange.twists import PLAIN
from apps.stack.exchange.weights import Weigh, always, by, by_levels

_DEFAULT_LIMIT = 500
_LARGEST_LIMIT = 1000
_DEFAULT_LEVELS, _MOST_LEVELS = 100, 5000
_DAY_MS = 86_400_000

_FAILURES: Mapping[int, Any] = {
    403: page(403, "Forbidden"),
    418: {"code": -1003, "msg": "Way too much request weight used; IP banned. Please use WebSocket Streams."},
    429: {
        "code": -1003,
        "msg": "Too much request weight used; current limit is 6000 request weight per 1 MINUTE.",
    },
    500: {"code": -1000, "msg": "An unknown error occurred while processing the request."},
    502: page(502, "Bad Gateway"),
    503: {
        "code": -1008,
        "msg": "Server is currently overloaded with other requests. Please try again in a few minutes.",
    },
    504: {
        "code": -1007,
        "msg": "Timeout waiting for response from backend server. "
        "Send status unknown; execution status unknown.",
    },
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One public endpoint: the method of `Binance` that answers and what a request weighs."""

    answer: Callable[[Binance, Parameters], Any]
    weigh: Weigh


class Binance(Face):
    """The spot markets of *listed*, by symbol, and trading on them."""

    name = "binance"
    candles = CANDLES["binance"]
    paths: ClassVar[frozenset[str]]

    def __init__(
        self,
        listed: Mapping[str, Market],
        sources: Mapping[str, Source],
        *,
        clock: Callable[[], float],
        outages: Outages,
        books: Books,
    ) -> None:
        super().__init__(sources, clock=clock, outages=outages)
        self.markets = listed
        self._limiter = WeightLimiter()
        self._quotes = Quotes(self.sources)
        self.trading = Trading(listed, self._quotes, books, clock=self.now_ms)

    def forgive(self) -> None:
        self._limiter.forgive()
        self.trading.forgive()

    def answers(self, request: Request) -> bool:
        return super().answers(request) or (request.method, request.path) in SIGNED

    def failure(self, status: int) -> Any:
        return _FAILURES.get(status, {"code": -1000, "msg": "Error."})

    def answer(self, request: Request, rule: Rule | None) -> Answer:
        signed = SIGNED.get((request.method, request.path))
        weigh = ROUTES[request.path].weigh if signed is None else signed.weigh
        weight = weigh(parse_qs(request.parameters))
        try:
            used = self._limiter.charge(request.address, weight, now_ms=self.now_ms())
        except ApiError as error:
            return _refusal(error, self._limiter.used(request.address, now_ms=self.now_ms()))
        try:
            if signed is not None:
                answer = self.trading.answer(request, PLAIN if rule is None else rule.twist())
            else:
                result = ROUTES[request.path].answer(self, Parameters(request.query))
                answer = json_answer(self.dressed(result, rule))
        except ApiError as error:
            return _refusal(error, used)
        return replace(answer, headers=_weights(used) + answer.headers)

    def ping(self, parameters: Parameters) -> dict[str, Any]:
        parameters.finish()
        return {}

    def time(self, parameters: Parameters) -> dict[str, Any]:
        parameters.finish()
        return {"serverTime": self.now_ms()}

    def exchange_info(self, parameters: Parameters) -> dict[str, Any]:
        wanted = self._wanted(parameters)
        parameters.finish()
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms(),
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": WEIGHT_PER_MINUTE,
                },
                *(limit.described() for limit in ORDER_LIMITS),
            ],
            "exchangeFilters": [],
            "symbols": [markets.describe(self.markets[symbol]) for symbol in wanted or self.markets],
        }

    def klines(self, parameters: Parameters) -> Candles:
        symbol = parameters.symbol()
        name = parameters.text("interval")
        start_ms, end_ms = parameters.moment("startTime"), parameters.moment("endTime")
        limit = parameters.number("limit")
        parameters.finish()
        if symbol is None:
            raise errors.mandatory("symbol")
        if name is None:
            raise errors.mandatory("interval")
        if symbol not in self.markets:
            raise errors.invalid_symbol()
        interval = INTERVALS.get(name)
        if interval is None:
            raise errors.invalid_interval()
        if limit == 0:
            raise errors.invalid_value("limit")
        bars = klines.select(
            self.histories[symbol],
            interval,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=min(limit or _DEFAULT_LIMIT, _LARGEST_LIMIT),
            now_ms=self.now_ms(),
        )
        return Candles(rows=klines.rows(bars, self.markets[symbol], interval), dress=lambda rows: rows)

    def ticker_price(self, parameters: Parameters) -> dict[str, Any] | list[dict[str, Any]]:
        return self._for_each(parameters, self._price)

    def ticker_day(self, parameters: Parameters) -> dict[str, Any] | list[dict[str, Any]]:
        return self._for_each(parameters, self._day)

    def ticker_book(self, parameters: Parameters) -> dict[str, Any] | list[dict[str, Any]]:
        return self._for_each(parameters, self._best)

    def depth(self, parameters: Parameters) -> dict[str, Any]:
        """One level a tick, each with one unit of the base asset."""
        symbol, limit = parameters.symbol(), parameters.number("limit")
        parameters.finish()
        if symbol is None:
            raise errors.mandatory("symbol")
        if symbol not in self.markets:
            raise errors.invalid_symbol()
        if limit == 0:
            raise errors.invalid_value("limit")
        now_ms, scale = self.now_ms(), self.markets[symbol].price_scale
        levels = range(min(limit or _DEFAULT_LEVELS, _MOST_LEVELS))
        bid, ask = self._quotes.bid(symbol, now_ms=now_ms), self._quotes.ask(symbol, now_ms=now_ms)
        return {
            "lastUpdateId": now_ms,
            "bids": [[plain(bid - level, scale), plain(1, 0)] for level in levels if bid > level],
            "asks": [[plain(ask + level, scale), plain(1, 0)] for level in levels],
        }

    def _wanted(self, parameters: Parameters) -> list[str] | None:
        """The symbols a request names by ``symbol`` or ``symbols``; None when it names none."""
        one, several = parameters.symbol(), parameters.symbols()
        if one is not None and several is not None:
            raise errors.bad_combination()
        wanted = [one] if one is not None else several
        if wanted is not None and not set(wanted) <= set(self.markets):
            raise errors.invalid_symbol()
        return wanted

    def _for_each(
        self, parameters: Parameters, answer: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """One answer where the request says ``symbol``, else a list of them."""
        single = parameters.symbol() is not None
        wanted = self._wanted(parameters)
        parameters.finish()
        answers = [answer(symbol) for symbol in wanted or self.markets]
        return answers[0] if single else answers

    def _price(self, symbol: str) -> dict[str, Any]:
        last = self._quotes.last(symbol, now_ms=self.now_ms())
        return {"symbol": symbol, "price": plain(last, self.markets[symbol].price_scale)}

    def _best(self, symbol: str) -> dict[str, Any]:
        """What market orders are filled at; there is always enough of it, whatever quantity is shown."""
        market, now_ms = self.markets[symbol], self.now_ms()
        shown = plain(1, 0)
        return {
            "symbol": symbol,
            "bidPrice": plain(self._quotes.bid(symbol, now_ms=now_ms), market.price_scale),
            "bidQty": shown,
            "askPrice": plain(self._quotes.ask(symbol, now_ms=now_ms), market.price_scale),
            "askQty": shown,
        }

    def _day(self, symbol: str) -> dict[str, Any]:
        """The statistics of the latest 24 hours of minutes."""
        market = self.markets[symbol]
        minutes = self._quotes.latest(symbol, 1440, now_ms=self.now_ms())
        prices, lots = market.price_scale, market.lot_scale
        opening, last = int(minutes.open[0]), int(minutes.close[-1])
        volume, quote = int(minutes.volume.sum()), int(minutes.quote.sum())
        change = last - opening
        closing_ms = int(minutes.minute[-1]) * MINUTE_MS + MINUTE_MS - 1
        return {
            "symbol": symbol,
            "priceChange": f"{'-' if change < 0 else ''}{plain(abs(change), prices)}",
            "priceChangePercent": f"{Decimal(change) * 100 / opening:.3f}",
            "weightedAvgPrice": plain(quote // volume if volume else last, prices),
            "prevClosePrice": plain(opening, prices),
            "lastPrice": plain(last, prices),
            "lastQty": plain(1, lots),
            "bidPrice": plain(max(last - 1, 1), prices),
            "bidQty": plain(10**lots, lots),
            "askPrice": plain(last + 1, prices),
            "askQty": plain(10**lots, lots),
            "openPrice": plain(opening, prices),
            "highPrice": plain(int(minutes.high.max()), prices),
            "lowPrice": plain(int(minutes.low.min()), prices),
            "volume": plain(volume, lots),
            "quoteVolume": plain(quote, prices + lots),
            "openTime": closing_ms + 1 - _DAY_MS,
            "closeTime": closing_ms,
            "firstId": 0,
            "lastId": int(minutes.trades.sum()) - 1,
            "count": int(minutes.trades.sum()),
        }


ROUTES: Mapping[str, Route] = {
    "/api/v3/ping": Route(answer=Binance.ping, weigh=always(1)),
    "/api/v3/time": Route(answer=Binance.time, weigh=always(1)),
    "/api/v3/exchangeInfo": Route(answer=Binance.exchange_info, weigh=always(20)),
    "/api/v3/depth": Route(answer=Binance.depth, weigh=by_levels),
    Binance.candles: Route(answer=Binance.klines, weigh=always(2)),
    "/api/v3/ticker/price": Route(answer=Binance.ticker_price, weigh=by("symbol", sent=2, absent=4)),
    "/api/v3/ticker/bookTicker": Route(answer=Binance.ticker_book, weigh=by("symbol", sent=2, absent=4)),
    "/api/v3/ticker/24hr": Route(answer=Binance.ticker_day, weigh=by("symbol", sent=2, absent=80)),
}
Binance.paths = frozenset(ROUTES)


def _refusal(error: ApiError, used: int) -> Answer:
    headers = _weights(used)
    if error.retry_after is not None:
        headers += (("Retry-After", str(error.retry_after)),)
    return json_answer(error.body(), error.status, headers)


def _weights(used: int) -> tuple[tuple[str, str], ...]:
    return (("X-MBX-USED-WEIGHT", str(used)), ("X-MBX-USED-WEIGHT-1M", str(used)))
