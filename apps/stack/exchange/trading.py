"""Binance's signed endpoints: orders, trades and the account."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.stack.exchange import errors, signing, statements, tickets, trading_errors
from apps.stack.exchange.amounts import printed
from apps.stack.exchange.answers import Answer, json_answer
from apps.stack.exchange.books import Books, Page
from apps.stack.exchange.entries import NEW, PARTIALLY_FILLED, Account, Balance, Order
from apps.stack.exchange.markets import Market
from apps.stack.exchange.matching import Engine
from apps.stack.exchange.order_limits import OrderLimits
from apps.stack.exchange.parameters import Parameters
from apps.stack.exchange.quotes import Quotes
from apps.stack.exchange.request import Request
from apps.stack.exchange.twists import Twist
from apps.stack.exchange.weights import Weigh, always, by, by_rates

_DEFAULT_LIMIT, _LARGEST_LIMIT = 500, 1000
_DAY_MS = 86_400_000
_RESTRICTIONS = {"ONLY_NEW": NEW, "ONLY_PARTIALLY_FILLED": PARTIALLY_FILLED}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request of a known sender; the time does not go on while it is answered."""

    account: Account
    parameters: Parameters
    twist: Twist
    now_ms: int

    @property
    def number(self) -> int:
        return self.account.account


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint: the method of `Trading` that answers, and what a request weighs."""

    answer: Callable[[Trading, Call], Any]
    weigh: Weigh


class Trading:
    """What accounts do on *markets*: checked, executed, and in *books* before it is answered."""

    def __init__(
        self, markets: Mapping[str, Market], quotes: Quotes, books: Books, *, clock: Callable[[], int]
    ) -> None:
        self._markets = markets
        self._quotes = quotes
        self._clock = clock
        self.books = books
        self.limits = OrderLimits(books)
        self._engine = Engine(markets, quotes, books)

    def answer(self, request: Request, twist: Twist) -> Answer:
        """The answer to a request for one of `ROUTES`. Raises `ApiError`."""
        parameters = Parameters(request.query, request.body)
        account = signing.sender(request, parameters, self.books.account, now_ms=self._clock())
        answer = ROUTES[request.method, request.path].answer
        with self.books.transaction():
            # Within the lock, so that the times of orders go up with their ids.
            now_ms = self._clock()
            self._engine.settle(now_ms=now_ms)
        with self.books.transaction():
            call = Call(account=account, parameters=parameters, twist=twist, now_ms=now_ms)
            result = answer(self, call)
            headers = self.limits.headers(call.number, now_ms=now_ms) if request.method == "POST" else ()
        if isinstance(result, errors.ApiError):
            raise result
        return json_answer(result, headers=headers)

    def forgive(self) -> None:
        """Count no order that was placed up to now."""
        self.limits.forgive(now_ms=self._clock())

    def state(self) -> list[dict[str, Any]]:
        """Every account with all that is in its books, brought up to the present."""
        with self.books.transaction():
            self._engine.settle(now_ms=self._clock())
            return [self._state_of(account) for account in self.books.accounts()]

    def _state_of(self, account: Account) -> dict[str, Any]:
        everything = Page(from_id=0, limit=-1)
        return {
            "key": account.key,
            "uid": account.account,
            "balances": {
                balance.asset: {
                    "free": printed(balance.free),
                    "locked": printed(balance.locked),
                    "initial": printed(balance.initial),
                }
                for balance in self.books.balances(account.account).values()
            },
            "orders": [
                statements.of_order(order) for order in self.books.orders(account.account, None, everything)
            ],
            "trades": [
                statements.of_trade(trade) for trade in self.books.trades(account.account, None, everything)
            ],
        }

    # Orders

    def new_order(self, call: Call) -> dict[str, Any]:
        ticket = tickets.read(call.parameters, self._markets)
        tickets.check(ticket, self._markets[ticket.symbol], self._quotes, now_ms=call.now_ms)
        self.limits.check(call.number, now_ms=call.now_ms)
        order, trades = self._engine.place(call.number, ticket, call.twist, now_ms=call.now_ms)
        return statements.placed(order, trades, ticket.response)

    def test_order(self, call: Call) -> dict[str, Any]:
        """Everything that is checked before an order comes to the matching engine."""
        rates = call.parameters.flag("computeCommissionRates")
        ticket = tickets.read(call.parameters, self._markets)
        tickets.check(ticket, self._markets[ticket.symbol], self._quotes, now_ms=call.now_ms)
        return statements.rates_of_test() if rates else {}

    def cancel_order(self, call: Call) -> dict[str, Any] | errors.ApiError:
        """The cancelled order; the refusal when the order filled in that instant."""
        symbol, order_id, client_id = self._names(call)
        own_id = call.parameters.client_id("newClientOrderId")
        restrictions = call.parameters.text("cancelRestrictions")
        call.parameters.finish()
        if restrictions is not None and restrictions not in _RESTRICTIONS:
            raise trading_errors.invalid_restrictions()
        order = self._find(call, symbol, order_id, client_id, is_open=True)
        if order is None or not order.is_open:
            raise trading_errors.unknown_order()
        if restrictions is not None and order.status != _RESTRICTIONS[restrictions]:
            raise trading_errors.restricted_cancel()
        if not self._engine.cancel(order, call.twist, now_ms=call.now_ms):
            return trading_errors.unknown_order()
        return statements.cancelled(order, own_id or secrets.token_hex(11))

    def cancel_orders(self, call: Call) -> list[dict[str, Any]] | errors.ApiError:
        symbol = self._symbol(call)
        call.parameters.finish()
        orders = self.books.open_orders(call.number, symbol)
        own_id = secrets.token_hex(11)
        done = [order for order in orders if self._engine.cancel(order, call.twist, now_ms=call.now_ms)]
        return [statements.cancelled(order, own_id) for order in done] or trading_errors.unknown_order()

    def order(self, call: Call) -> dict[str, Any]:
        symbol, order_id, client_id = self._names(call)
        call.parameters.finish()
        order = self._find(call, symbol, order_id, client_id)
        if order is None:
            raise trading_errors.no_such_order()
        self._engine.read([order], now_ms=call.now_ms)
        return statements.of_order(order)

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = call.parameters.symbol()
        call.parameters.finish()
        if symbol is not None and symbol not in self._markets:
            raise errors.invalid_symbol()
        orders = self.books.open_orders(call.number, symbol)
        self._engine.read(orders, now_ms=call.now_ms)
        return [statements.of_order(order) for order in orders if order.is_open]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call)
        page = self._page(call, from_id="orderId")
        self._engine.read(self.books.open_orders(call.number, symbol), now_ms=call.now_ms)
        return [statements.of_order(order) for order in self.books.orders(call.number, symbol, page)]

    def my_trades(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call)
        order_id = call.parameters.id("orderId")
        page = self._page(call, from_id="fromId", order_id=order_id)
        timed = page.start_ms is not None or page.end_ms is not None
        if timed and (page.from_id is not None or order_id is not None):
            raise errors.bad_combination()
        orders = self.books.open_orders(call.number, symbol)
        concerned = [order for order in orders if order_id in (None, order.order_id)]
        self._engine.read(concerned, now_ms=call.now_ms)
        return [statements.of_trade(trade) for trade in self.books.trades(call.number, symbol, page)]

    def account(self, call: Call) -> dict[str, Any]:
        without_zeros = call.parameters.flag("omitZeroBalances")
        call.parameters.finish()
        traded = {asset for market in self._markets.values() for asset in (market.base, market.quote)}
        balances = {
            asset: Balance(asset=asset, free=0, locked=0, initial=0) for asset in sorted(traded)
        } | self.books.balances(call.number)
        shown = [
            balance for balance in balances.values() if not without_zeros or balance.free or balance.locked
        ]
        updated_ms = self.books.updated_ms(call.number)
        return statements.of_account(call.account, shown, updated_ms=updated_ms)

    # What requests have in common

    def _symbol(self, call: Call) -> str:
        symbol = call.parameters.symbol()
        if symbol is None:
            raise errors.mandatory("symbol")
        if symbol not in self._markets:
            raise errors.invalid_symbol()
        return symbol

    def _names(self, call: Call) -> tuple[str, int | None, str | None]:
        """Symbol, order id and client id of one order."""
        symbol = self._symbol(call)
        order_id = call.parameters.id("orderId")
        client_id = call.parameters.client_id("origClientOrderId")
        if order_id is None and client_id is None:
            raise trading_errors.one_of("origClientOrderId", "orderId")
        return symbol, order_id, client_id

    def _find(
        self, call: Call, symbol: str, order_id: int | None, client_id: str | None, *, is_open: bool = False
    ) -> Order | None:
        """The order with this id, else the newest with this client id, of the open ones when *is_open*."""
        if order_id is None:
            return self.books.order_called(call.number, symbol, client_id or "", is_open=is_open)
        order = self.books.order(call.number, symbol, order_id)
        if order is not None and client_id not in (None, order.client_id):
            raise trading_errors.wrong_client_id()
        return order

    def _page(self, call: Call, *, from_id: str, order_id: int | None = None) -> Page:
        parameters = call.parameters
        start_ms, end_ms = parameters.moment("startTime"), parameters.moment("endTime")
        first, limit = parameters.id(from_id), parameters.number("limit")
        parameters.finish()
        if start_ms is not None and end_ms is not None and end_ms - start_ms > _DAY_MS:
            raise trading_errors.interval_too_big()
        if limit == 0:
            raise errors.invalid_value("limit")
        return Page(
            from_id=first,
            start_ms=start_ms,
            end_ms=end_ms,
            order_id=order_id,
            limit=min(limit or _DEFAULT_LIMIT, _LARGEST_LIMIT),
        )


ORDER = "/api/v3/order"
OPEN_ORDERS = "/api/v3/openOrders"
ROUTES: Mapping[tuple[str, str], Route] = {
    ("POST", ORDER): Route(answer=Trading.new_order, weigh=always(1)),
    ("POST", f"{ORDER}/test"): Route(answer=Trading.test_order, weigh=by_rates),
    ("DELETE", ORDER): Route(answer=Trading.cancel_order, weigh=always(1)),
    ("DELETE", OPEN_ORDERS): Route(answer=Trading.cancel_orders, weigh=always(1)),
    ("GET", ORDER): Route(answer=Trading.order, weigh=always(4)),
    ("GET", OPEN_ORDERS): Route(answer=Trading.open_orders, weigh=by("symbol", sent=6, absent=80)),
    ("GET", "/api/v3/allOrders"): Route(answer=Trading.all_orders, weigh=always(20)),
    ("GET", "/api/v3/myTrades"): Route(answer=Trading.my_trades, weigh=by("orderId", sent=5, absent=20)),
    ("GET", "/api/v3/account"): Route(answer=Trading.account, weigh=always(20)),
}
