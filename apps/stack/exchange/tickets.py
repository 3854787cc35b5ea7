"""What a client asks for with a new order, read from parameters and held against the filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.stack.exchange import errors, trading_errors
from apps.stack.exchange.amounts import UNIT, parsed, product, step
from apps.stack.exchange.markets import (
    AVERAGED_MINUTES,
    HIGHEST_PRICE,
    MOST_NOTIONAL,
    MOST_QUANTITY,
    SELF_TRADE_PREVENTION,
    Market,
)
from apps.stack.exchange.parameters import Parameters
from apps.stack.exchange.quotes import Quotes

LIMIT = "LIMIT"
LIMIT_MAKER = "LIMIT_MAKER"
MARKET = "MARKET"
GTC, IOC, FOK = "GTC", "IOC", "FOK"
ACK, RESULT, FULL = "ACK", "RESULT", "FULL"
_UNSUPPORTED = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
# What other kinds of orders would need.
_OF_OTHERS = ("stopPrice", "trailingDelta", "icebergQty")


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A new order. Amounts are in units of 10**-8; a market order has a quantity or a quote quantity.

    ``price`` is 0 for market orders, ``client_id`` empty when the exchange is to make one up, ``response``
    what the answer is to tell.
    """

    symbol: str
    side: str
    kind: str
    time_in_force: str
    quantity: int
    quote_quantity: int
    price: int
    client_id: str
    response: str

    @property
    def buys(self) -> bool:
        return self.side == "BUY"


def read(parameters: Parameters, markets: Mapping[str, Market]) -> Ticket:
    """The order in *parameters*. Raises `ApiError`."""
    symbol = parameters.symbol()
    if symbol is None:
        raise errors.mandatory("symbol")
    side = _choice(parameters.text("side"), "side", ("BUY", "SELL"), trading_errors.invalid_side())
    kinds = (LIMIT, LIMIT_MAKER, MARKET, *_UNSUPPORTED)
    kind = _choice(parameters.text("type"), "type", kinds, trading_errors.invalid_type())
    time_in_force = parameters.text("timeInForce")
    quantity, quote_quantity = parameters.amount("quantity"), parameters.amount("quoteOrderQty")
    price = parameters.amount("price")
    client_id = parameters.client_id("newClientOrderId")
    response = parameters.text("newOrderRespType")
    if parameters.text("selfTradePreventionMode") not in (None, SELF_TRADE_PREVENTION):
        raise errors.invalid_value("selfTradePreventionMode")
    others = [name for name in _OF_OTHERS if parameters.text(name) is not None]
    parameters.finish()
    if symbol not in markets:
        raise errors.invalid_symbol()
    if kind in _UNSUPPORTED:
        raise trading_errors.unsupported_kind(kind)
    if others:
        raise trading_errors.not_required(others[0])
    if kind == MARKET:
        if quantity is None and quote_quantity is None:
            raise trading_errors.one_of("quantity", "quoteOrderQty")
        if quantity is not None and quote_quantity is not None:
            raise errors.bad_combination()
    _require(quantity=quantity if kind != MARKET else 0, price=price if kind != MARKET else 0)
    _refuse(
        price=price if kind == MARKET else None,
        quoteOrderQty=quote_quantity if kind != MARKET else None,
        timeInForce=time_in_force if kind != LIMIT else None,
    )
    if kind == LIMIT:
        time_in_force = _choice(
            time_in_force, "timeInForce", (GTC, IOC, FOK), trading_errors.invalid_time_in_force()
        )
    if response not in (None, ACK, RESULT, FULL):
        raise errors.invalid_value("newOrderRespType")
    return Ticket(
        symbol=symbol,
        side=side,
        kind=kind,
        time_in_force=time_in_force or GTC,
        quantity=quantity or 0,
        quote_quantity=quote_quantity or 0,
        price=price or 0,
        client_id=client_id or "",
        response=response or (ACK if kind == LIMIT_MAKER else FULL),
    )


def _choice(value: str | None, name: str, choices: tuple[str, ...], refusal: errors.ApiError) -> str:
    if value is None:
        raise errors.mandatory(name)
    if value not in choices:
        raise refusal
    return value


def _require(**values: int | None) -> None:
    for name, value in values.items():
        if value is None:
            raise errors.mandatory(name)


def _refuse(**values: object) -> None:
    for name, value in values.items():
        if value is not None:
            raise trading_errors.not_required(name)


def check(ticket: Ticket, market: Market, quotes: Quotes, *, now_ms: int) -> None:
    """Raise `ApiError` for an order that the filters of *market* do not let through."""
    lot, tick = step(market.lot_scale), step(market.price_scale)
    if ticket.kind != MARKET and not _fits(ticket.price, tick, HIGHEST_PRICE * UNIT):
        raise trading_errors.filter_failure("PRICE_FILTER")
    if not ticket.quote_quantity:
        if not _fits(ticket.quantity, lot, MOST_QUANTITY * UNIT):
            raise trading_errors.filter_failure("LOT_SIZE")
        price = ticket.price or quotes.average(market.symbol, AVERAGED_MINUTES, now_ms=now_ms) * tick
        notional = product(price, ticket.quantity)
    else:
        notional = ticket.quote_quantity
    if notional < parsed(market.least_notional):
        raise trading_errors.filter_failure("NOTIONAL")
    if ticket.kind != MARKET and notional > MOST_NOTIONAL * UNIT:
        raise trading_errors.filter_failure("NOTIONAL")


def _fits(amount: int, smallest: int, largest: int) -> bool:
    return smallest <= amount <= largest and amount % smallest == 0
