"""Kraken's spot market: its public endpoints, its limit and its errors, which come with status 200."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from apps.stack.exchange import klines
from apps.stack.exchange.answers import Answer, Candles, Row, json_answer
from apps.stack.exchange.bars import Bars
from apps.stack.exchange.face import Face
from apps.stack.exchange.faults import CANDLES, Rule
from apps.stack.exchange.intervals import MINUTE_MS, Interval
from apps.stack.exchange.kraken_markets import (
    BY_NAME,
    LOT_DECIMALS,
    PAIRS,
    Pair,
    describe_assets,
    describe_pair,
)
from apps.stack.exchange.outages import Outages
from apps.stack.exchange.rates import FallingCounter
from apps.stack.exchange.request import Request
from apps.stack.exchange.synthetic import Synthetic

# All that can be had, whatever a request asks for.
_ROWS = 720
# It allows about one request a second; how many at once it does not say.
_REQUESTS = 60
# Minutes; weeks begin on Thursdays, as the days since 1970 do.
_INTERVALS: Mapping[str, Interval] = {
    str(minutes): Interval(name=str(minutes), minutes=minutes)
    for minutes in (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
}


class _Refused(Exception):
    """An error as Kraken names it: ``EQuery:Unknown asset pair``."""


class Kraken(Face):
    """Its pairs, by id."""

    name = "kraken"
    candles = CANDLES["kraken"]
    market_parameter = "pair"
    paths: ClassVar[frozenset[str]]

    def __init__(self, *, seed: int, clock: Callable[[], float], outages: Outages) -> None:
        super().__init__(
            {id_: Synthetic(market=pair.market, seed=seed) for id_, pair in PAIRS.items()},
            clock=clock,
            outages=outages,
        )
        self._counter = FallingCounter(_REQUESTS)

    def forgive(self) -> None:
        self._counter.forgive()

    def answer(self, request: Request, rule: Rule | None) -> Answer:
        try:
            if not self._counter.admits(request.address, now_ms=self.now_ms()):
                raise _Refused("EGeneral:Too many requests")
            result = _ROUTES[request.path](self, dict(parse_qsl(request.query)))
        except _Refused as refusal:
            return json_answer({"error": [str(refusal)]})
        return json_answer({"error": [], "result": self.dressed(result, rule)})

    def missing(self) -> Answer:
        return json_answer({"error": ["EGeneral:Unknown method"]})

    def time(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        seconds = self.now_ms() // 1000
        return {
            "unixtime": seconds,
            "rfc1123": format_datetime(datetime.fromtimestamp(seconds, tz=UTC)),
        }

    def status(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        moment = datetime.fromtimestamp(self.now_ms() // 1000, tz=UTC)
        return {"status": "online", "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def assets(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        return describe_assets()

    def pairs(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        named = parameters.get("pair")
        wanted = PAIRS.values() if named is None else [_pair(name) for name in named.split(",")]
        return {pair.id: describe_pair(pair) for pair in wanted}

    def ohlc(self, parameters: Mapping[str, str]) -> Candles:
        """The newest bars, the forming one included, of them those after ``since`` (seconds).

        The very newest is there whatever ``since`` says.
        """
        if "pair" not in parameters:
            raise _Refused("EGeneral:Invalid arguments")
        pair = _pair(parameters["pair"])
        interval = _INTERVALS.get(parameters.get("interval", "1"))
        since = parameters.get("since", "0")
        if interval is None or not since.isdigit():
            raise _Refused("EGeneral:Invalid arguments")
        now_ms = self.now_ms()
        newest = klines.select(
            self.histories[pair.id], interval, start_ms=None, end_ms=None, limit=_ROWS, now_ms=now_ms
        )
        wanted = newest.minute * MINUTE_MS > int(since) * 1000
        wanted[-1:] = True
        bars = newest.where(wanted)
        # The last bar that will not change any more.
        ended = newest.minute[newest.minute < interval.floor(now_ms // MINUTE_MS)]
        last = int(ended[-1]) * MINUTE_MS // 1000 if len(ended) else 0
        return Candles(
            rows=_rows(bars, pair),
            dress=lambda rows: {pair.id: [_dressed(row) for row in rows], "last": last},
        )


_ROUTES: Mapping[str, Callable[[Kraken, Mapping[str, str]], Any]] = {
    "/0/public/Time": Kraken.time,
    "/0/public/SystemStatus": Kraken.status,
    "/0/public/Assets": Kraken.assets,
    "/0/public/AssetPairs": Kraken.pairs,
    Kraken.candles: Kraken.ohlc,
}
Kraken.paths = frozenset(_ROUTES)


def _pair(name: str) -> Pair:
    pair = BY_NAME.get(name)
    if pair is None:
        raise _Refused("EQuery:Unknown asset pair")
    return pair


def _rows(bars: Bars, pair: Pair) -> list[Row]:
    """Open time (ms), open, high, low, close, volume, mean price, number of trades."""
    scale = pair.market.price_scale
    means = [quote // volume if volume else 0 for quote, volume in zip(bars.quote, bars.volume, strict=True)]
    return [
        list(row)
        for row in zip(
            (bars.minute * MINUTE_MS).tolist(),
            klines.texts(bars.open, scale),
            klines.texts(bars.high, scale),
            klines.texts(bars.low, scale),
            klines.texts(bars.close, scale),
            klines.texts(bars.volume, LOT_DECIMALS),
            [f"{int(mean) // 10**scale}.{int(mean) % 10**scale:0>{scale}}" for mean in means],
            bars.trades.tolist(),
            strict=True,
        )
    ]


def _dressed(row: Row) -> Row:
    """A row in Kraken's order: seconds, and the mean price before the volume. A short one stays short."""
    ordered = [*row[:5], row[6], row[5], row[7]] if len(row) > 7 else row
    return [ordered[0] // 1000, *ordered[1:]]
