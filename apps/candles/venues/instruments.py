"""What a venue says about a market."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from apps.candles.venues.errors import VenueRefused, VenueRubbish, venue_errors

if TYPE_CHECKING:
    import ccxt


@dataclass(frozen=True, kw_only=True)
class VenueInstrument:
    """A market as the venue lists it. Its prices have *price_scale* decimals now, its volumes *volume_scale*.

    Older candles may be finer: a venue may coarsen its steps.
    """

    symbol: str
    base: str
    quote: str
    kind: str
    price_scale: int
    volume_scale: int
    active: bool


def find_market(client: ccxt.Exchange, symbol: str) -> dict[str, Any]:
    """ccxt's entry for *symbol* (``BTC/USDT``), from the list that the client loads once.

    Raises `VenueRefused` when the venue does not have the symbol, `VenueRubbish` when its list of
    markets is empty or unreadable, `VenueUnavailable` when it could not be had.
    """
    with venue_errors(client, f"{client.id}: list of markets"):
        # An answer that is not JSON makes an empty list, in which every symbol would be unknown.
        if not client.load_markets():
            raise VenueRubbish(f"{client.id}: list of markets: there are none in the answer")
    market = client.markets.get(symbol)
    if market is None:
        raise VenueRefused(f"{client.id} has no market {symbol}")
    found: dict[str, Any] = market
    return found


def load_instrument(client: ccxt.Exchange, symbol: str) -> VenueInstrument:
    """The instrument *symbol* (``BTC/USDT``). Raises as `find_market` does."""
    market = find_market(client, symbol)
    with venue_errors(client, f"{client.id}: market {symbol}"):
        return VenueInstrument(
            symbol=market["symbol"],
            base=market["base"],
            quote=market["quote"],
            kind=market["type"],
            price_scale=_scale(client, market["precision"]["price"]),
            volume_scale=_scale(client, market["precision"]["amount"]),
            # A venue that does not say so (None) has the market open.
            active=market["active"] is not False,
        )


def _scale(client: ccxt.Exchange, precision: Any) -> int:
    """The decimals of a precision: ccxt gives the smallest step, for some venues the number of decimals."""
    import ccxt

    if client.precisionMode == ccxt.DECIMAL_PLACES:
        return int(precision)
    try:
        exponent = Decimal(str(precision)).normalize().as_tuple().exponent
    except InvalidOperation:
        exponent = "n"
    if not isinstance(exponent, int):
        raise VenueRubbish(f"{client.id}: a smallest step of {precision!r}")
    return max(0, -exponent)
