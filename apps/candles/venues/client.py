"""Building the ccxt client of an exchange, the real one or one at an address of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apps.candles.venues.catalogue import find_venue

if TYPE_CHECKING:
    import ccxt

#: Seconds after which a request without an answer counts as failed.
TIMEOUT = 10.0


def venue_client(
    exchange: str, *, base_urls: Mapping[str, str | None] | None = None, timeout: float = TIMEOUT
) -> ccxt.Exchange:
    """A new ccxt client for *exchange*. It paces its requests as the exchange wants it.

    Where *base_urls* names an address for the exchange (scheme and host, perhaps a path), every address
    that the client knows is put there with its own path kept, so that none of its requests can go
    anywhere else. Raises `UnknownVenue`, and ValueError for an address that is none.

    Its numbers are the exchange's decimal text and not floats: prices, volumes, steps, contract sizes.
    A successful answer that is no JSON is an error, where ccxt would read an empty list out of it.

    A client keeps its markets and its connections: use one per process, and not from two threads at once.
    """
    venue = find_venue(exchange)
    # Loading ccxt takes seconds, because it loads all of its exchanges: only who makes a client pays for it.
    import ccxt

    client: Any = getattr(ccxt, exchange)(
        {
            "enableRateLimit": True,
            "enableLastJsonResponse": True,
            "timeout": int(timeout * 1000),
            **venue.options,
        }
    )
    # What ccxt computes with, it computes with as text; what it hands out, it makes by this.
    client.number = str
    client.on_json_response = _decoded
    client.handle_errors = _refusing_other_than_json(client.id, client.handle_errors)
    base = (base_urls or {}).get(exchange)
    if base:
        client.urls = _moved(client.urls, _checked(base))
    return client


def _decoded(text: str) -> Any:
    """JSON whose fractions keep their digits."""
    return json.loads(text, parse_float=str)


def _refusing_other_than_json(exchange: str, handle_errors: Callable[..., Any]) -> Callable[..., Any]:
    import ccxt

    def refusing(code: int, reason: str, url: str, *more: Any) -> Any:
        handled = handle_errors(code, reason, url, *more)
        # method, headers, body, and what was read of it
        body, read = more[2], more[3]
        if code < 400 and not isinstance(read, dict | list):
            raise ccxt.BadResponse(f"{exchange}: no JSON: {str(body)[:80]!r}")
        return handled

    return refusing


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
