"""The exchange clients of this process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from apps.candles import conf
from apps.candles.venues.client import venue_client

if TYPE_CHECKING:
    # Takes seconds to import: only processes that ask exchanges do.
    import ccxt

#: Seconds after which a client is replaced, and with it the list of markets that it has loaded.
_LIFETIME = 3600.0
#: Seconds after which a list that lacks a symbol is replaced.
_PATIENCE = 60.0

_local = threading.local()


def client_for(exchange: str, symbol: str = "") -> ccxt.Exchange:
    """This thread's client of an exchange, kept because its list of markets is costly to load.

    A new one is made once the list is an hour old, and when it is a minute old and does not have *symbol*:
    that may have been listed since. Raises `UnknownVenue`.
    """
    kept: dict[tuple[str, str | None], tuple[float, ccxt.Exchange]] = _local.__dict__.setdefault("kept", {})
    urls = conf.exchange_urls()
    key = exchange, urls.get(exchange)
    made_at, client = kept.get(key, (0.0, None))
    if client is not None:
        lacking = symbol and client.markets and symbol not in client.markets
        if time.monotonic() - made_at > (_PATIENCE if lacking else _LIFETIME):
            client.session.close()
            client = None
    if client is None:
        client = venue_client(exchange, base_urls=urls)
        kept[key] = time.monotonic(), client
    return client


def forget_clients() -> None:
    """Close this thread's clients; the next call of `client_for` makes new ones."""
    for _, client in _local.__dict__.pop("kept", {}).values():
        client.session.close()
