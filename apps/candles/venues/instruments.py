"""What a venue says about its markets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.candles.venues.catalogue import Venue, find_venue
from apps.candles.venues.errors import VenueError, VenueRefused, VenueRubbish, venue_errors

if TYPE_CHECKING:
    import ccxt

# More decimals than this are taken for rubbish.
_MAX_SCALE = 18


@dataclass(frozen=True, kw_only=True)
class VenueInstrument:
    """A market as the venue lists it. Its prices have *price_scale* decimals now, its volumes *volume_scale*.

    Older candles may be finer: a venue may coarsen its steps. *venue_id* is the venue's own name for the
    market, which another kind of market may share. *settle* (what a contract is paid in) and
    *contract_size* (base units in one contract, decimal text) are None for spot. *listed_at* is None where
    the venue does not tell.
    """

    symbol: str
    base: str
    quote: str
    kind: str
    price_scale: int
    volume_scale: int
    active: bool
    venue_id: str
    settle: str | None = None
    contract_size: str | None = None
    listed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class UnreadableMarket:
    """A market whose entry cannot be used, and why."""

    venue_id: str
    symbol: str
    kind: str
    reason: str


class Listing(NamedTuple):
    """All markets of the kinds that are kept: those to use, and those whose entries cannot be used."""

    instruments: list[VenueInstrument]
    unreadable: list[UnreadableMarket]


def find_market(client: ccxt.Exchange, symbol: str) -> dict[str, Any]:
    """ccxt's entry for *symbol* (``BTC/USDT``), from the list that the client loads once.

    Raises `VenueRefused` when the venue does not have the symbol or it is a market that is not kept,
    `VenueRubbish` when its list of markets is empty or unreadable, `VenueUnavailable` when it could not
    be had.
    """
    venue = find_venue(client.id)
    load_markets(client, venue)
    market = client.markets.get(symbol)
    if market is None:
        raise VenueRefused(f"{client.id} has no market {symbol}")
    if market["type"] not in venue.kinds:
        raise VenueRefused(f"{client.id}: {symbol} is of the kind {market['type']}, which is not kept")
    found: dict[str, Any] = market
    _check_unit(client, found)
    return found


def load_instrument(client: ccxt.Exchange, symbol: str) -> VenueInstrument:
    """The instrument *symbol* (``BTC/USDT``). Raises as `find_market` does."""
    return _instrument(client, find_market(client, symbol))


def list_markets(client: ccxt.Exchange) -> Listing:
    """Every market of the kinds that are kept, asked for anew.

    No market is left out silently: one that cannot be read, or that has another's symbol, is among the
    unreadable ones. Raises as `find_market` does.
    """
    venue = find_venue(client.id)
    load_markets(client, venue, anew=True)
    listing = Listing([], [])
    for markets in client.markets_by_id.values():
        for market in markets:
            if market["type"] not in venue.kinds:
                continue
            try:
                # The list by symbol has each entry completed, so what it holds is what to read.
                known = client.markets.get(market["symbol"], {})
                if (known.get("id"), known.get("type")) != (market["id"], market["type"]):
                    raise VenueRubbish(f"{client.id} has another market {market['symbol']}")
                _check_unit(client, known)
                listing.instruments.append(_instrument(client, known))
            except VenueError as error:
                listing.unreadable.append(
                    UnreadableMarket(
                        venue_id=str(market["id"]),
                        symbol=str(market["symbol"]),
                        kind=market["type"],
                        reason=str(error),
                    )
                )
    return listing


def load_markets(client: ccxt.Exchange, venue: Venue, *, anew: bool = False) -> None:
    """Let *client* have the list of markets, unless it has it and it is not wanted anew.

    Raises `VenueUnavailable`, `VenueRubbish` or `VenueRefused`.
    """
    with venue_errors(client, f"{client.id}: list of markets"):
        client.load_markets(anew)
        # A missing list makes an empty one, in which every symbol would be unknown.
        if missing := venue.kinds - {market["type"] for market in client.markets.values()}:
            client.markets = None  # what there is of it would be taken for the whole
            raise VenueRubbish(
                f"{client.id}: list of markets: there are none of the kind {', '.join(sorted(missing))}"
            )


def _check_unit(client: ccxt.Exchange, market: dict[str, Any]) -> None:
    """Refuse contracts whose volumes would be in something else than units of the base."""
    if market["contract"] and (market["linear"] is not True or str(market["contractSize"]) != "1"):
        raise VenueRefused(
            f"{client.id}: {market['symbol']} counts in contracts of {market['contractSize']}: it is not kept"
        )


def _instrument(client: ccxt.Exchange, market: dict[str, Any]) -> VenueInstrument:
    with venue_errors(client, f"{client.id}: market {market['symbol']}"):
        base, quote, settle = market["base"], market["quote"], market["settle"]
        if market["symbol"] != (f"{base}/{quote}:{settle}" if market["contract"] else f"{base}/{quote}"):
            raise VenueRubbish(f"{client.id}: {market['id']} has no symbol of its assets")
        created = market["created"]
        return VenueInstrument(
            symbol=market["symbol"],
            base=base,
            quote=quote,
            kind=market["type"],
            price_scale=_scale(client, market, "price"),
            volume_scale=_scale(client, market, "amount"),
            # A venue that does not say so (None) has the market open.
            active=market["active"] is not False,
            venue_id=market["id"],
            settle=settle if market["contract"] else None,
            contract_size=market["contractSize"] if market["contract"] else None,
            listed_at=datetime.fromtimestamp(created / 1000, tz=UTC) if created else None,
        )


def _scale(client: ccxt.Exchange, market: dict[str, Any], of: str) -> int:
    """The decimals of a precision: ccxt gives the smallest step, for some venues the number of decimals."""
    import ccxt

    precision = market["precision"][of]
    try:
        if client.precisionMode == ccxt.DECIMAL_PLACES:
            scale = int(precision)
        else:
            step = Decimal(str(precision)).normalize()
            if step <= 0:
                raise ValueError(step)
            scale = -int(step.as_tuple().exponent)
    except (InvalidOperation, ValueError, TypeError):
        raise VenueRubbish(
            f"{client.id}: {market['symbol']} has a smallest step of {precision!r} for its {of}"
        ) from None
    if scale > _MAX_SCALE:
        raise VenueRubbish(f"{client.id}: {market['symbol']} has {scale} decimals for its {of}")
    return max(0, scale)
