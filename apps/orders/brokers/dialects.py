"""How each exchange wants orders sent, looked up and cancelled, where ccxt leaves that to its caller."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apps.orders.brokers.base import BrokerOrder

if TYPE_CHECKING:
    import ccxt

#: An order or a trade as ccxt gives it, with numbers as text.
Answer = Mapping[str, Any]

#: How long an order may be under way, from when its submission began (ms).
WINDOW_MS = 5000


class Dialect(ABC):
    """What holds for most exchanges. Each method makes one look, or pages through one list."""

    #: Options of the ccxt client.
    options: Mapping[str, Any] = {}
    #: Milliseconds between requests of the weight one; None: as ccxt has it.
    pace: float | None = None
    #: Seconds from the start of a submission after which the exchange takes its request no more, and once an
    #: order that it took can be looked up without fail. None where that is not so.
    window: float | None = None
    #: What it takes as the client's own id of an order.
    client_ids = re.compile(r"[A-Za-z0-9_-]{1,36}")

    def submission(self, client: ccxt.Exchange, order: BrokerOrder, *, age_ms: int) -> dict[str, Any]:
        """Parameters of a submission which began so long ago."""
        return {"clientOrderId": order.client_order_id}

    @abstractmethod
    def find(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        """The order; None, or ``ccxt.OrderNotFound``, where there is none."""

    @abstractmethod
    def trades(self, client: ccxt.Exchange, order: BrokerOrder) -> Sequence[Answer]:
        """All trades of the order."""

    @abstractmethod
    def cancel(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        """The cancelled order; None where the answer only says that it will be. ``ccxt.OrderNotFound``
        where there is none that is open."""


class Binance(Dialect):
    options = {"recvWindow": WINDOW_MS, "newOrderRespType": {"market": "FULL", "limit": "FULL"}}
    # Documented by the exchange as 6000 a minute.
    pace = 10.0
    window = WINDOW_MS / 1000

    #: Trades in one answer.
    page = 1000

    def submission(self, client: ccxt.Exchange, order: BrokerOrder, *, age_ms: int) -> dict[str, Any]:
        # Of the start of the submission, and not of this moment: so the window ends for sure when it should,
        # whatever keeps the request from being sent (a process that is stopped, say).
        return {"newClientOrderId": order.client_order_id, "timestamp": int(client.nonce()) - age_ms}

    def find(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        found: Answer = client.fetch_order(order.venue_order_id, order.symbol, self._by(order))
        return found

    def trades(self, client: ccxt.Exchange, order: BrokerOrder) -> Sequence[Answer]:
        trades: list[Answer] = []
        # Without it the answer would be the last ones, and older ones would be missing where there are many.
        params: dict[str, Any] = {"orderId": order.venue_order_id, "fromId": 0}
        while True:
            page = client.fetch_my_trades(order.symbol, None, self.page, params)
            trades += page
            if len(page) < self.page:
                return trades
            params["fromId"] = max(int(trade["id"]) for trade in page) + 1

    def cancel(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        cancelled: Answer = client.cancel_order(order.venue_order_id, order.symbol, self._by(order))
        return cancelled

    def _by(self, order: BrokerOrder) -> dict[str, str]:
        return {} if order.venue_order_id else {"origClientOrderId": order.client_order_id}


class Bybit(Dialect):
    # Unified accounts only: ccxt would ask which kind it is before the first order.
    options = {"recvWindow": WINDOW_MS, "enableUnifiedMargin": False, "enableUnifiedAccount": True}

    #: Trades in one answer.
    page = 100

    # It confirms orders before they are in its books, and does not say how long after: so although it has a
    # window, that a look-up finds nothing proves nothing.

    def find(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        for orders in (client.fetch_open_orders, client.fetch_canceled_and_closed_orders):
            found: Sequence[Answer] = orders(order.symbol, None, None, self._by(order))
            if found:
                return found[0]
        return None

    def trades(self, client: ccxt.Exchange, order: BrokerOrder) -> Sequence[Answer]:
        trades: list[Answer] = []
        params = {"orderId": order.venue_order_id}
        while True:
            trades += client.fetch_my_trades(order.symbol, None, self.page, params)
            cursor = client.last_json_response["result"].get("nextPageCursor")
            if not cursor:
                return trades
            params["cursor"] = cursor

    def cancel(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        client.cancel_order(order.venue_order_id or None, order.symbol, self._by(order))
        return None

    def _by(self, order: BrokerOrder) -> dict[str, str]:
        if order.venue_order_id:
            return {"orderId": order.venue_order_id}
        return {"orderLinkId": order.client_order_id}


class Kraken(Dialect):
    #: UUIDs with or without hyphens, or short texts.
    client_ids = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[A-Za-z0-9_-]{1,18}")

    #: Trades that can be asked for at once.
    page = 20

    def find(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        if order.venue_order_id:
            found: Answer = client.fetch_order(order.venue_order_id, order.symbol)
            return found
        ours = {"clientOrderId": order.client_order_id}
        for orders in (client.fetch_open_orders, client.fetch_closed_orders):
            listed: Sequence[Answer] = orders(order.symbol, None, None, ours)
            if listed:
                return listed[0]
        return None

    def trades(self, client: ccxt.Exchange, order: BrokerOrder) -> Sequence[Answer]:
        answer = client.fetch_order(order.venue_order_id, order.symbol, {"trades": True})
        ids = [trade["id"] for trade in answer["trades"]]
        # One less at once, because ccxt asks for none after a full page.
        size = self.page - 1
        pages = [ids[start : start + size] for start in range(0, len(ids), size)]
        return [
            trade
            for page in pages
            for trade in client.fetch_order_trades(
                order.venue_order_id, order.symbol, None, None, {"trades": page}
            )
        ]

    def cancel(self, client: ccxt.Exchange, order: BrokerOrder) -> Answer | None:
        params = {} if order.venue_order_id else {"clientOrderId": order.client_order_id}
        client.cancel_order(order.venue_order_id, order.symbol, params)
        return None


#: By exchange.
DIALECTS: Mapping[str, Dialect] = {"binance": Binance(), "bybit": Bybit(), "kraken": Kraken()}
