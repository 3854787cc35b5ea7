"""Fetching minutes, page by page, as text.

ccxt's ``fetch_ohlcv`` makes the request, and its ``parse_ohlcv`` finds the columns of each row of the
answer: the same six for every exchange, open time in milliseconds, values as the exchange's own text
(the client makes no floats). Its result is left aside, because it hides what has to be seen:

- It sorts the rows and drops those before the range, so an exchange's faults would look like sound
  candles. Here the rows stay in the exchange's order (turned round where that is newest first), and
  nothing is dropped but what Kraken always sends beside the range, see `Paging.NEWEST`.
- An answer without the list of rows gives an empty result. Here it is an error.
- A row with too few columns is filled up with None. Here it keeps its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.candles.quality.rows import MINUTE_MS, Row, open_time
from apps.candles.venues.catalogue import Paging, Venue, find_venue
from apps.candles.venues.errors import VenueRefused, venue_errors
from apps.candles.venues.instruments import find_market
from apps.candles.venues.rows import RawMinutes

if TYPE_CHECKING:
    import ccxt


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

    Pages of as many rows as the exchange sends at once (`Venue.page`), each from where the last one
    ended. It ends where the range ends or the exchange has no more. A minute that is still forming at
    *now_ms* (the exchange's own time where it is not given) is never in the result. *on_page* is called
    after every page; what it raises ends the fetch.

    Of a range that begins before the exchange's history (`Venue.history`) the rest is fetched, and the
    result's ``start_ms`` is where that begins. A range that ends before it is refused.

    Raises `VenueRefused`, `VenueUnavailable`, or `VenueRubbish` for an answer that is not a list of rows
    or leads no further. Whether the rows make sense is for `sift_minutes` to say.
    """
    venue = find_venue(client.id)
    market = find_market(client, symbol)
    now = server_time(client) if now_ms is None else now_ms
    end = min(end_ms, now // MINUTE_MS * MINUTE_MS)
    start_ms = _within_history(venue, symbol, start_ms, end, now)
    cursor = -(-start_ms // MINUTE_MS) * MINUTE_MS
    rows: list[Row] = []
    pages = 0
    while cursor < end:
        stop = min(end, cursor + venue.page * MINUTE_MS) if venue.paging is Paging.WINDOW else end
        with venue_errors(client, f"{client.id}: minutes of {symbol}"):
            page = _page(client, venue, market, cursor, stop)
            latest = _latest(venue, page, cursor, end)
        pages += 1
        if venue.paging is Paging.NEWEST:
            start_ms = _reached_back(venue, page, start_ms, cursor)
            page = [row for row in page if _opens_in(row, cursor, end)]
        if not page and venue.paging is Paging.FORWARD:
            break
        rows += page
        cursor = latest // MINUTE_MS * MINUTE_MS + MINUTE_MS if venue.paging is Paging.FORWARD else stop
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


def _within_history(venue: Venue, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> int:
    """*start_ms*, or the first minute that the exchange still has. `VenueRefused` when all are too old."""
    first = venue.first_minute(now_ms)
    if first is None or start_ms >= end_ms:
        return start_ms
    if end_ms <= first:
        raise VenueRefused(
            f"{venue.name}: minutes of {symbol}: it has those of the last "
            f"{(now_ms - first) // MINUTE_MS + 1} minutes only, "
            f"and the range ended {(now_ms - end_ms) // MINUTE_MS} minutes ago"
        )
    return max(start_ms, first)


def _page(
    client: ccxt.Exchange, venue: Venue, market: dict[str, Any], start_ms: int, end_ms: int
) -> list[Row]:
    """What the exchange answers when asked for the minutes in [*start_ms*, *end_ms*)."""
    # The last minute that is meant: exchanges include it. Kraken knows no end.
    params = {} if venue.paging is Paging.NEWEST else {"until": end_ms - 1}
    client.fetch_ohlcv(market["symbol"], "1m", since=start_ms, limit=venue.page, params=params)
    answer = client.last_json_response
    for key in venue.rows_at:
        answer = answer[market["id"] if key == "{id}" else key]
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        raise ValueError(f"not a list of rows: {str(answer)[:80]!r}")
    rows = [client.parse_ohlcv(row, market)[: len(row)] for row in answer]
    return rows[::-1] if venue.newest_first else rows


def _latest(venue: Venue, page: Sequence[Row], cursor: int, end_ms: int) -> int:
    """The latest open time before *end_ms* on a page; *cursor* where there is none.

    A time from there on says nothing of how far the exchange has come: a single wrong one would pass for all
    that lies before it. Raises ValueError for a page that leads no further.
    """
    times = [time for row in page if (time := open_time(row)) is not None]
    if page and not times:
        raise ValueError(f"rows without an open time: {str(page[0])[:80]!r}")
    latest = max((time for time in times if time < end_ms), default=None)
    if latest is None:
        if times and venue.paging is Paging.FORWARD:
            raise ValueError(f"a page from {cursor} of which nothing opens before {end_ms}")
        return cursor
    # Answers that go back as far as they can are not about the range.
    if latest < cursor and venue.paging is not Paging.NEWEST:
        raise ValueError(f"a page from {cursor} that ends at {latest}")
    return latest


def _opens_in(row: Row, start_ms: int, end_ms: int) -> bool:
    """Whether a row belongs to the range. One without a time does, so that it is seen and judged."""
    time = open_time(row)
    return time is None or start_ms <= time < end_ms


def _reached_back(venue: Venue, page: Sequence[Row], start_ms: int, cursor: int) -> int:
    """*start_ms*, or the first row's minute where a full page left out older ones."""
    first = open_time(page[0]) if len(page) >= venue.page else None
    return start_ms if first is None or first <= cursor else first
