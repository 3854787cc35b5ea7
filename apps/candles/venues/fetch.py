"""Fetching minutes, page by page, as text.

The exchange's own endpoint is asked, through ccxt's pacing, signing and errors, and not ccxt's
``fetch_ohlcv``: that one makes floats of the prices, and what is stored are exact integers made from
the exchange's decimal text. It also would sort and cut the rows, which hides an exchange's faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.candles.quality.rows import MINUTE_MS, Row, open_time
from apps.candles.venues.errors import UnknownVenue, venue_errors
from apps.candles.venues.instruments import find_market
from apps.candles.venues.rows import RawMinutes

if TYPE_CHECKING:
    import ccxt

#: The most rows that one request may ask for.
PAGE = 1000
# Open time, open, high, low, close, volume.
_COLUMNS = 6


@dataclass(frozen=True, kw_only=True)
class Page:
    """Progress: rows so far, and up to when (ms, exclusive) the range is now covered."""

    rows: int
    reached_ms: int


def server_time(client: ccxt.Exchange) -> int:
    """The exchange's clock in milliseconds. Raises `VenueError`."""
    with venue_errors(client, f"{client.id}: server time"):
        return int(client.fetch_time())


def fetch_minutes(
    client: ccxt.Exchange,
    symbol: str,
    start_ms: int,
    end_ms: int,
    *,
    now_ms: int | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> RawMinutes:
    """The minutes of *symbol* (``BTC/USDT``) that open in [*start_ms*, *end_ms*) and have ended.

    Pages of `PAGE` rows, each from the minute after the last one. It ends where the range ends or a page
    comes back empty. A minute that is still forming at *now_ms* (the exchange's own time where it is not
    given) is never asked for. *on_page* is called after every page; what it raises ends the fetch.

    Raises `VenueRefused`, `VenueUnavailable`, or `VenueRubbish` for an answer that is not a list of rows
    or leads no further. Whether the rows make sense is for `sift_minutes` to say.
    """
    fetch_page = _PAGES.get(client.id)
    if fetch_page is None:
        raise UnknownVenue(f"cannot fetch minutes from {client.id}")
    market = find_market(client, symbol)
    now = server_time(client) if now_ms is None else now_ms
    cursor = -(-start_ms // MINUTE_MS) * MINUTE_MS
    end = min(end_ms, now // MINUTE_MS * MINUTE_MS)
    rows: list[Row] = []
    pages = 0
    while cursor < end:
        with venue_errors(client, f"{client.id}: minutes of {symbol}"):
            page = _rows(fetch_page(client, market["id"], cursor, end))
            following = _following(page, cursor) if page else end
        pages += 1
        if not page:
            break
        rows += page
        cursor = following
        if on_page is not None:
            on_page(Page(rows=len(rows), reached_ms=min(cursor, end)))
    return RawMinutes(
        symbol=symbol,
        start_ms=start_ms,
        end_ms=max(start_ms, end),
        now_ms=now,
        pages=pages,
        rows=tuple(rows),
    )


def _binance_page(client: ccxt.Exchange, market_id: str, start_ms: int, end_ms: int) -> Any:
    """The exchange's first rows from *start_ms*. Its ``endTime`` is inclusive."""
    return client.publicGetKlines(
        {"symbol": market_id, "interval": "1m", "startTime": start_ms, "endTime": end_ms - 1, "limit": PAGE}
    )


_PAGES: dict[str, Callable[[ccxt.Exchange, str, int, int], Any]] = {"binance": _binance_page}


def _rows(answer: Any) -> list[Row]:
    """The first six columns of every row. Raises ValueError when *answer* is no list of rows."""
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        raise ValueError(f"not a list of rows: {str(answer)[:80]!r}")
    return [row[:_COLUMNS] for row in answer]


def _following(page: Sequence[Row], cursor: int) -> int:
    """The minute after the latest one of a page, which must lead on from *cursor*."""
    latest = max((time for row in page if (time := open_time(row)) is not None), default=None)
    if latest is None:
        raise ValueError(f"rows without an open time: {str(page[0])[:80]!r}")
    if latest < cursor:
        raise ValueError(f"a page from {cursor} that ends at {latest}")
    return latest // MINUTE_MS * MINUTE_MS + MINUTE_MS
