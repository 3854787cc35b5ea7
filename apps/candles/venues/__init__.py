"""Exchanges seen from here: building a ccxt client, fetching minutes. No Django in it.

    client = venue_client("binance", base_urls=settings.EXCHANGE_URLS)
    instruments, unreadable = list_markets(client)
    instrument = load_instrument(client, "BTC/USDT")
    raw = fetch_minutes(client, "BTC/USDT", start_ms, end_ms)

Every failure is a `VenueError`: the venue did not answer as it should (unavailable, refused or rubbish).
Whether what it answered may be stored is for `apps.candles.quality` to say.
"""

from __future__ import annotations

from apps.candles.venues.catalogue import VENUES, Paging, Venue, find_venue
from apps.candles.venues.client import venue_client
from apps.candles.venues.errors import (
    UnknownVenue,
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    venue_errors,
)
from apps.candles.venues.fetch import Page, fetch_minutes, server_time
from apps.candles.venues.instruments import (
    Listing,
    UnreadableMarket,
    VenueInstrument,
    list_markets,
    load_instrument,
)
from apps.candles.venues.rows import RawMinutes

__all__ = [
    "VENUES",
    "Listing",
    "Page",
    "Paging",
    "RawMinutes",
    "UnknownVenue",
    "UnreadableMarket",
    "Venue",
    "VenueError",
    "VenueInstrument",
    "VenueRefused",
    "VenueRubbish",
    "VenueUnavailable",
    "fetch_minutes",
    "find_venue",
    "list_markets",
    "load_instrument",
    "server_time",
    "venue_client",
    "venue_errors",
]
