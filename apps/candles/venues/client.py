"""Building the ccxt client of an exchange, the real one or one at an address of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apps.candles.venues.errors import UnknownVenue

if TYPE_CHECKING:
    import ccxt

#: Seconds after which a request without an answer counts as failed.
TIMEOUT = 10.0

# Spot candles only, so nothing that needs a key or another of the exchange's servers.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "binance": {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        "fetchCurrencies": False,
    },
}


def venue_client(
    exchange: str, *, base_urls: Mapping[str, str | None] | None = None, timeout: float = TIMEOUT
) -> ccxt.Exchange:
    """A new ccxt client for *exchange*. It paces its requests as the exchange wants it.

    Where *base_urls* names an address for the exchange (scheme and host, perhaps a path), every address
    that the client knows is put there with its own path kept, so that none of its requests can go
    anywhere else. Raises `UnknownVenue`, and ValueError for an address that is none.

    A client keeps its markets and its connections: use one per process, and not from two threads at once.
    """
    if exchange not in _OPTIONS:
        raise UnknownVenue(f"no exchange {exchange!r} here; there is {', '.join(sorted(_OPTIONS))}")
    # Loading ccxt takes seconds, because it loads all of its exchanges: only who makes a client pays for it.
    import ccxt

    client: ccxt.Exchange = getattr(ccxt, exchange)(
        {
            "enableRateLimit": True,
            "timeout": int(timeout * 1000),
            "options": {**_OPTIONS[exchange]},
        }
    )
    base = (base_urls or {}).get(exchange)
    if base:
        client.urls = _moved(client.urls, _checked(base))
    return client


def _checked(base: str) -> str:
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"not the base address of an exchange: {base!r}")
    return base.rstrip("/")


def _moved(value: Any, base: str) -> Any:
    """*value* with the scheme and host of every address in it replaced by *base*."""
    if isinstance(value, dict):
        return {key: _moved(entry, base) for key, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry, base) for entry in value]
    if isinstance(value, str) and "://" in value:
        return base + urlsplit(value).path
    return value
