"""What all of the exchanges have in common: markets, their histories, and how a request is answered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

from apps.stack.exchange.answers import HTML, Answer, Candles, page
from apps.stack.exchange.bars import Source
from apps.stack.exchange.faults import Rule, spoil
from apps.stack.exchange.intervals import MINUTE_MS
from apps.stack.exchange.outages import Interrupted, Outages
from apps.stack.exchange.request import Request


class Face(ABC):
    """One exchange as its clients see it. Beside what addresses have used, only trading changes it.

    Its markets go by keys: what the exchange calls them in requests, with the category before it
    (``linear:BTCUSDT``) where that is needed to tell them apart.
    """

    #: ccxt's name for it.
    name: ClassVar[str]
    #: The paths of GET requests that it answers; all of them begin in the same way, which is its own.
    paths: ClassVar[frozenset[str]]
    #: The one of them that answers candles.
    candles: ClassVar[str]
    #: The parameter that names a market.
    market_parameter: ClassVar[str] = "symbol"

    def __init__(
        self, sources: Mapping[str, Source], *, clock: Callable[[], float], outages: Outages
    ) -> None:
        self._clock = clock
        #: Every minute of each market, as if there were no outages.
        self.sources = dict(sources)
        #: What clients can have of them.
        self.histories: dict[str, Source] = {
            key: Interrupted(source=source, exchange=self.name, market=key, outages=outages)
            for key, source in sources.items()
        }

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def info(self) -> dict[str, Any]:
        """Each market's kind of source and the opening times (ms) of its first and last minute."""
        return {
            key: {
                "source": source.kind,
                "first": source.first * MINUTE_MS,
                "last": None if source.last is None else source.last * MINUTE_MS,
            }
            for key, source in self.sources.items()
        }

    def answers(self, request: Request) -> bool:
        """Whether *request* is for one of its endpoints."""
        return request.method == "GET" and request.path in self.paths

    def market_of(self, request: Request) -> str | None:
        """The market that *request* names, as it spells it."""
        return parse_qs(request.parameters).get(self.market_parameter, [None])[0]

    @abstractmethod
    def answer(self, request: Request, rule: Rule | None) -> Answer:
        """The answer to a request that it `answers`; *rule* may spoil candles or twist orders."""

    @abstractmethod
    def forgive(self) -> None:
        """Forget what addresses have used of their limits."""

    def missing(self) -> Answer:
        """The answer to what is none of `paths`."""
        return Answer(status=404, body=page(404, "Not Found").encode(), content_type=HTML)

    def failure(self, status: int) -> Any:
        """What a failure with this status says, when nothing else was ordered."""
        return page(status, "Error")

    def dressed(self, result: Any, rule: Rule | None) -> Any:
        """The JSON of a result: candles spoiled, if so ordered, and then dressed."""
        if not isinstance(result, Candles):
            return result
        if rule is None or rule.kind != "rows":
            return result.dress(result.rows)
        return result.dress(spoil(result.rows, rule.rows))
