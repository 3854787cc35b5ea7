"""The exchanges that candles are taken from, and how each hands out its minutes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from apps.candles.quality.rows import MINUTE_MS
from apps.candles.venues.errors import UnknownVenue


class Paging(enum.Enum):
    """Which rows a request for the minutes from a moment on is answered with."""

    #: The first ones there are, so an answer without rows ends the range.
    FORWARD = "forward"
    #: Those of a window whose end is named, and of a longer one only the last: each window is asked for.
    WINDOW = "window"
    #: The newest there are, up to the one that is forming: one answer holds all that can be had.
    NEWEST = "newest"


@dataclass(frozen=True, kw_only=True)
class Venue:
    """An exchange, by ccxt's name for it.

    *options* is what its ccxt client is made with. *kinds* are the markets that are kept, by ccxt's
    ``type``. *page* is the most minutes that a request is answered with, and *rows_at* the way to them in
    the answer, where ``{id}`` is the market's id. *history* is how far back minutes can be had, None
    where it is from the listing on. *concurrency* is how many requests at once suit it, *rate*
    how many a minute, well below where it would refuse them.

    Volumes are in units of the base currency in each of *kinds*.
    """

    name: str
    kinds: frozenset[str]
    paging: Paging
    page: int
    concurrency: int
    rate: int
    rows_at: tuple[str, ...] = ()
    newest_first: bool = False
    history: timedelta | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def first_minute(self, now_ms: int) -> int | None:
        """The open time (ms) of the oldest minute that it still has; None where it has all of them."""
        if self.history is None:
            return None
        reach = int(self.history.total_seconds()) * 1000
        return (now_ms - reach) // MINUTE_MS * MINUTE_MS + MINUTE_MS


# Markets only, so nothing that needs a key or another of the exchange's servers.
_VENUES = (
    # The sixth column of a kline is documented as the volume in the base asset.
    Venue(
        name="binance",
        kinds=frozenset({"spot"}),
        paging=Paging.FORWARD,
        page=1000,
        concurrency=4,
        rate=1200,
        options={
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        },
    ),
    # The volume of a kline is documented as in the base coin for spot and for contracts that settle in
    # USDT or USDC, whose contract size is one coin. Inverse contracts count dollars and are not kept.
    Venue(
        name="bybit",
        kinds=frozenset({"spot", "swap"}),
        paging=Paging.WINDOW,
        page=1000,
        concurrency=4,
        rate=1200,
        rows_at=("result", "list"),
        newest_first=True,
        options={
            "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot", "linear"]}},
            "has": {"fetchCurrencies": False},
        },
    ),
    # Only spot, where volume is what was traded of the base asset. Its list of assets is not asked for:
    # it would let the decimals of an asset take the place of a market's own.
    Venue(
        name="kraken",
        kinds=frozenset({"spot"}),
        paging=Paging.NEWEST,
        page=720,
        concurrency=1,
        rate=50,
        rows_at=("result", "{id}"),
        history=timedelta(minutes=720),
        options={"has": {"fetchCurrencies": False}},
    ),
)

#: Every exchange there is, by name.
VENUES: Mapping[str, Venue] = MappingProxyType({venue.name: venue for venue in _VENUES})


def find_venue(name: str) -> Venue:
    """The exchange of this name. Raises `UnknownVenue`."""
    venue = VENUES.get(name)
    if venue is None:
        raise UnknownVenue(f"no exchange {name!r} here; there is {', '.join(sorted(VENUES))}")
    return venue
