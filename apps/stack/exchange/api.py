"""All of the simulated exchanges: one clock, one seed, the same kind of prices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from apps.stack.exchange.bars import Source
from apps.stack.exchange.binance import Binance
from apps.stack.exchange.books import Books
from apps.stack.exchange.bybit import Bybit
from apps.stack.exchange.face import Face
from apps.stack.exchange.kraken import Kraken
from apps.stack.exchange.markets import MARKETS
from apps.stack.exchange.outages import Outages
from apps.stack.exchange.replay import Replay
from apps.stack.exchange.request import Request
from apps.stack.exchange.synthetic import Synthetic


class Exchange:
    """Binance, Bybit and Kraken. A replayed file takes the place of a market of Binance.

    Orders on Binance are kept in *books*, in memory without.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        replay: Replay | None = None,
        clock: Callable[[], float] = time.time,
        books: Books | None = None,
    ) -> None:
        self.seed = seed
        self.outages = Outages()
        markets = dict(MARKETS)
        sources: dict[str, Source] = {
            symbol: Synthetic(market=market, seed=seed) for symbol, market in MARKETS.items()
        }
        if replay is not None:
            markets[replay.market.symbol] = replay.market
            sources[replay.market.symbol] = replay
        binance = Binance(
            markets, sources, clock=clock, outages=self.outages, books=Books() if books is None else books
        )
        #: What accounts do, on Binance only.
        self.trading = binance.trading
        faces: tuple[Face, ...] = (
            binance,
            Bybit(seed=seed, clock=clock, outages=self.outages),
            Kraken(seed=seed, clock=clock, outages=self.outages),
        )
        self.faces: Mapping[str, Face] = {face.name: face for face in faces}

    def face_of(self, request: Request) -> Face | None:
        """Who answers *request*."""
        return next((face for face in self.faces.values() if face.answers(request)), None)

    def neighbour_of(self, path: str) -> Face:
        """Who says that there is no such path: the one whose paths begin like it."""
        return self.faces["kraken" if path.startswith("/0/") else "binance"]

    def markets(self) -> dict[str, list[str]]:
        """The keys of the markets of each exchange."""
        return {name: list(face.sources) for name, face in self.faces.items()}

    def info(self) -> dict[str, Any]:
        """Where the minutes of each market come from and how far they reach, Binance's as ``symbols``."""
        return {
            "symbols": self.faces["binance"].info(),
            "exchanges": {name: face.info() for name, face in self.faces.items()},
        }
