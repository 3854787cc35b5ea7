"""The matching engine: takes orders, fills them at the market's price, and moves balances."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from apps.stack.exchange import tickets, trading_errors
from apps.stack.exchange.amounts import UNIT, product, step
from apps.stack.exchange.books import Books
from apps.stack.exchange.entries import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEVER,
    PARTIALLY_FILLED,
    Order,
    Resting,
    Trade,
)
from apps.stack.exchange.markets import MOST_ORDERS, MOST_QUANTITY, Market
from apps.stack.exchange.quotes import Quotes
from apps.stack.exchange.tickets import Ticket
from apps.stack.exchange.twists import Twist

#: The share of what a trade brings that the exchange keeps.
COMMISSION = Fraction(1, 1000)


class Engine:
    """Orders on *markets*. Its methods are to be called within a transaction of *books*.

    There is always enough to trade with: an order whose price the market offers is filled at once. One that
    rests is filled at its own price in the first millisecond in which the market comes to it. That is found
    out when someone looks, and does not depend on when that is.
    """

    def __init__(self, markets: Mapping[str, Market], quotes: Quotes, books: Books) -> None:
        self._markets = markets
        self._quotes = quotes
        self._books = books
        # Up to when the market is known not to have come to the price of an order.
        self._looked: dict[tuple[str, int], int] = {}

    def settle(self, *, now_ms: int) -> None:
        """Fill the resting orders whose price the market has reached by now, in order of time."""
        hits: list[tuple[int, Resting]] = []
        looked: dict[tuple[str, int], int] = {}
        missed: set[tuple[str, str, int]] = set()
        for order in self._books.resting():
            # A replayed file that is not here any more may have listed its symbol.
            if order.symbol not in self._markets:
                continue
            name = (order.symbol, order.order_id)
            after_ms = self._looked.get(name, order.time)
            # Where the market did not come to one, it did not come to those beyond it.
            alike = (order.symbol, order.side, after_ms)
            reached = None if alike in missed else self._reached(order, after_ms=after_ms, now_ms=now_ms)
            if reached is None:
                missed.add(alike)
                looked[name] = now_ms
            else:
                hits.append((reached, order))
        self._looked = looked
        for reached, hit in sorted(hits, key=lambda hit: (hit[0], hit[1].symbol, hit[1].order_id)):
            found = self._books.order(hit.account, hit.symbol, hit.order_id)
            if found is not None:
                self._fill(found, [(found.rest, found.rest_price)], time=reached, maker=True)

    def place(self, account: int, ticket: Ticket, twist: Twist, *, now_ms: int) -> tuple[Order, list[Trade]]:
        """Take an order that has passed the filters. Raises `ApiError` when the account cannot place it."""
        market = self._markets[ticket.symbol]
        if ticket.client_id and self._books.order_called(
            account, ticket.symbol, ticket.client_id, is_open=True
        ):
            raise trading_errors.duplicate_order()
        best = self._best(ticket, now_ms=now_ms)
        takes = ticket.kind == tickets.MARKET or self._within(ticket, best)
        if takes and ticket.kind == tickets.LIMIT_MAKER:
            raise trading_errors.would_take()
        levels = self._levels(ticket, market, best, twist.trades)
        quantity = ticket.quantity or _affordable(ticket, market, levels)
        order = Order(
            symbol=ticket.symbol,
            account=account,
            client_id=ticket.client_id or secrets.token_hex(11),
            side=ticket.side,
            kind=ticket.kind,
            time_in_force=ticket.time_in_force,
            price=ticket.price,
            quantity=quantity,
            quote_quantity=ticket.quote_quantity,
            # The last level is the worst, and what is withheld is filled at it.
            rest_price=levels[-1] if takes else ticket.price,
            time=now_ms,
            update_time=now_ms,
        )
        rests = ticket.kind != tickets.MARKET and ticket.time_in_force == tickets.GTC
        if rests and not takes and len(self._books.open_orders(account, order.symbol)) >= MOST_ORDERS:
            raise trading_errors.filter_failure("MAX_NUM_ORDERS")
        self._lock(order, market)
        self._books.add_order(order)
        return order, self._execute(order, levels if takes else None, twist, now_ms=now_ms)

    def cancel(self, order: Order, twist: Twist, *, now_ms: int) -> bool:
        """End an open order; False when it fills instead, because *twist* says so."""
        if twist.fills_first:
            self._fill(order, [(order.rest, order.rest_price)], time=now_ms, maker=True)
            return False
        self._end(order, CANCELED, now_ms=now_ms)
        return True

    def read(self, orders: Sequence[Order], *, now_ms: int) -> None:
        """Count a read of *orders*, and fill what has been withheld from them for long enough."""
        for order in orders:
            if order.withheld in (None, NEVER) or order.symbol not in self._markets:
                continue
            if order.withheld == 0:
                self._fill(order, [(order.rest, order.rest_price)], time=now_ms, maker=order.kind != "MARKET")
            else:
                order.withheld -= 1
                self._books.save_order(order)

    # What an order meets

    def _reached(self, order: Resting, *, after_ms: int, now_ms: int) -> int | None:
        """When the market first came to the price of *order*; None: it did not. See `Quotes.reached`."""
        ticks = order.price // step(self._markets[order.symbol].price_scale)
        return self._quotes.reached(order.symbol, ticks, falling=order.buys, after_ms=after_ms, now_ms=now_ms)

    def _best(self, ticket: Ticket, *, now_ms: int) -> int:
        """The best price that the market offers, in ticks."""
        offer: Callable[..., int] = self._quotes.ask if ticket.buys else self._quotes.bid
        return offer(ticket.symbol, now_ms=now_ms)

    def _within(self, ticket: Ticket, ticks: int) -> bool:
        """Whether the limit of *ticket* allows a price."""
        limit = ticket.price // step(self._markets[ticket.symbol].price_scale)
        return ticks <= limit if ticket.buys else ticks >= limit

    def _levels(self, ticket: Ticket, market: Market, best: int, count: int) -> list[int]:
        """The prices of *count* trades, each a tick worse than the one before, as far as the limit allows."""
        ticks = [max(best + level if ticket.buys else best - level, 1) for level in range(count)]
        if ticket.kind != tickets.MARKET:
            limit = ticket.price // step(market.price_scale)
            ticks = [min(price, limit) if ticket.buys else max(price, limit) for price in ticks]
        return [price * step(market.price_scale) for price in ticks]

    # What becomes of it

    def _lock(self, order: Order, market: Market) -> None:
        """Set aside what *order* may cost. Raises `ApiError` when the account has less."""
        asset = market.quote if order.buys else market.base
        price = order.price or order.rest_price
        order.locked = product(price, order.quantity) if order.buys else order.quantity
        if self._books.balance(order.account, asset).free < order.locked:
            raise trading_errors.insufficient_balance()
        self._books.move(order.account, asset, free=-order.locked, locked=order.locked)

    def _execute(self, order: Order, levels: list[int] | None, twist: Twist, *, now_ms: int) -> list[Trade]:
        """What happens to a new order at once; *levels* is None when the market does not offer its price."""
        lot = step(self._markets[order.symbol].lot_scale)
        rests = order.kind != tickets.MARKET and order.time_in_force == tickets.GTC
        now = order.quantity if levels is not None else 0
        if twist.share is not None and (levels is not None or rests):
            now = int(order.quantity * Fraction(twist.share)) // lot * lot
            if order.time_in_force == tickets.FOK:
                now = 0
            if rests or (order.kind == tickets.MARKET and twist.reads is not None):
                order.withheld = NEVER if twist.reads is None else twist.reads
                rests = True
        trades: list[Trade] = []
        if now:
            prices = levels or [order.rest_price]
            parts = zip(_split(now, len(prices), lot), prices, strict=False)
            trades = self._fill(order, list(parts), time=now_ms, maker=levels is None)
        if order.rest and not rests:
            order.expiry_reason = {
                tickets.IOC: "UNFILLED_IOC_QUANTITY_EXPIRED",
                tickets.FOK: "UNFILLED_FOK_ORDER_EXPIRED",
            }.get(order.time_in_force, "INSUFFICIENT_LIQUIDITY")
            self._end(order, EXPIRED, now_ms=now_ms)
        elif not trades:
            self._books.save_order(order)
        return trades

    def _fill(self, order: Order, parts: Sequence[tuple[int, int]], *, time: int, maker: bool) -> list[Trade]:
        """Trade *parts* of *order*: quantities, and the price of each."""
        market = self._markets[order.symbol]
        trades = []
        for quantity, price in parts:
            quote = product(price, quantity)
            given, taken = (quote, quantity) if order.buys else (quantity, quote)
            paid_in, received_in = (market.quote, market.base) if order.buys else (market.base, market.quote)
            commission = int(taken * COMMISSION)
            self._books.move(order.account, paid_in, locked=-given)
            self._books.move(order.account, received_in, free=taken - commission)
            order.locked -= given
            order.executed += quantity
            order.quote_executed += quote
            trades.append(
                self._books.add_trade(
                    order,
                    price=price,
                    quantity=quantity,
                    quote=quote,
                    commission=commission,
                    commission_asset=received_in,
                    time=time,
                    buyer=order.buys,
                    maker=maker,
                )
            )
        if order.rest:
            order.status = PARTIALLY_FILLED
            order.update_time = time
            self._books.save_order(order)
        else:
            self._end(order, FILLED, now_ms=time)
        return trades

    def _end(self, order: Order, status: str, *, now_ms: int) -> None:
        """Close *order* and give back what it did not use."""
        market = self._markets[order.symbol]
        asset = market.quote if order.buys else market.base
        self._books.move(order.account, asset, free=order.locked, locked=-order.locked)
        order.locked = 0
        order.status = status
        order.update_time = now_ms
        order.withheld = None
        self._books.save_order(order)


def _affordable(ticket: Ticket, market: Market, levels: Sequence[int]) -> int:
    """What a market order for a quote quantity trades: as much as it surely pays for, in whole lots."""
    lot = step(market.lot_scale)
    price = levels[-1] if ticket.buys else levels[0]
    quantity = ticket.quote_quantity * UNIT // price // lot * lot
    if not quantity:
        raise trading_errors.too_little_liquidity("LOT_SIZE")
    if quantity > MOST_QUANTITY * UNIT:
        raise trading_errors.filter_failure("MARKET_LOT_SIZE")
    return quantity


def _split(quantity: int, parts: int, lot: int) -> list[int]:
    """*quantity* in that many parts or fewer, each at least a lot, the first the largest."""
    lots = quantity // lot
    parts = min(parts, lots)
    each = lots // parts
    return [(lots - each * (parts - 1)) * lot] + [each * lot] * (parts - 1)
