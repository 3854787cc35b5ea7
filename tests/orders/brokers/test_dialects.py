"""Bybit and Kraken through the real clients: what they are sent, and what is read out of their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.orders.brokers import BrokerOrder, Refused, Unanswered, Unreadable, broker_for
from apps.orders.brokers.clients import trading_client
from apps.orders.models import Account
from apps.orders.states import State
from tests.orders.brokers.desks import account_of, order_of, reachable, venue
from tests.stack.exchange_process import ExchangeAt

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
MS = int(MOMENT.timestamp() * 1000)


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeAt]:
    with venue() as running:
        yield running


@pytest.fixture(autouse=True)
def reached(exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    exchange.calm()
    reachable(exchange, monkeypatch, settings, "bybit", "kraken")


def sent(account: Account) -> dict[str, str]:
    """The parameters of the account's last request."""
    with trading_client(account) as client:
        body, query = client.last_request_body, urlsplit(client.last_request_url).query
    if body and body.startswith("{"):
        return dict(json.loads(body))
    return {name: values[0] for name, values in parse_qs(body or query).items()}


class TestBybit:
    @pytest.fixture
    def account(self) -> Account:
        return account_of(exchange="bybit", key="key", secret="secret")

    def say(self, exchange: ExchangeAt, path: str, result: Any) -> None:
        body = {"retCode": 0, "retMsg": "OK", "result": result, "time": MS}
        exchange.order({"path": path, "kind": "status", "status": 200, "body": body})

    def order(self, asked: BrokerOrder, **fields: Any) -> dict[str, Any]:
        usual = {
            "symbol": "BTCUSDT",
            "orderId": "b-1",
            "orderLinkId": asked.client_order_id,
            "side": "Buy",
            "orderType": "Market",
            "marketUnit": "baseCoin",
            "qty": "0.01",
            "cumExecQty": "0.01",
            "cumExecValue": "230",
            "avgPrice": "23000",
            "leavesQty": "0",
            "createdTime": str(MS),
            "updatedTime": str(MS),
        }
        return usual | fields

    def test_an_order_is_confirmed_first_and_found_later(
        self, exchange: ExchangeAt, account: Account
    ) -> None:
        broker = broker_for(account, simulation=False)
        assert broker.absence_is_proof_after is None
        order = order_of()
        self.say(exchange, "/v5/order/create", {"orderId": "b-1", "orderLinkId": order.client_order_id})
        placed = broker.submit(order)
        assert (placed.venue_order_id, placed.state, placed.filled) == ("b-1", State.SUBMITTED, 0)
        asked = sent(account)
        assert (asked["qty"], asked["marketUnit"], asked["orderType"]) == ("0.01", "baseCoin", "Market")
        assert asked["orderLinkId"] == order.client_order_id

        self.say(exchange, "/v5/order/realtime", {"list": []})
        self.say(exchange, "/v5/order/history", {"list": []})
        assert broker.find(order) is None
        self.say(exchange, "/v5/order/realtime", {"list": []})
        self.say(exchange, "/v5/order/history", {"list": [self.order(order, orderStatus="Filled")]})
        found = broker.find(order)
        assert found is not None
        assert (found.venue_order_id, found.state, found.filled) == ("b-1", State.FILLED, Decimal("0.01"))
        assert sent(account)["orderLinkId"] == order.client_order_id

    def test_states_are_what_was_traded(self, exchange: ExchangeAt, account: Account) -> None:
        broker = broker_for(account, simulation=False)
        order = order_of(venue_order_id="b-1")
        cases = [
            ("New", "0", State.SUBMITTED),
            ("PartiallyFilled", "0.004", State.PARTIALLY_FILLED),
            ("Filled", "0.01", State.FILLED),
            ("Cancelled", "0", State.CANCELLED),
            ("PartiallyFilledCanceled", "0.004", State.CANCELLED),
            ("Rejected", "0", State.REJECTED),
        ]
        for status, filled, state in cases:
            listed = self.order(order, orderStatus=status, cumExecQty=filled)
            self.say(exchange, "/v5/order/realtime", {"list": [listed]})
            report = broker.find(order)
            assert report is not None
            assert (report.state, report.filled) == (state, Decimal(filled)), status
            assert sent(account)["orderId"] == "b-1"
        for odd in (
            {"orderStatus": "Odd"},
            {"cumExecQty": "-1"},
            # Written out, these would fill the memory.
            {"cumExecQty": "1e9999999"},
            {"cumExecQty": "0e-9999999"},
        ):
            listed = self.order(order, **{"orderStatus": "New", **odd})
            self.say(exchange, "/v5/order/realtime", {"list": [listed]})
            with pytest.raises(Unreadable):
                broker.find(order)

    def test_trades_are_read_to_the_last_page(self, exchange: ExchangeAt, account: Account) -> None:
        broker = broker_for(account, simulation=False)
        order = order_of(venue_order_id="b-1")

        def trade(number: int, **fields: Any) -> dict[str, Any]:
            usual = {
                "symbol": "BTCUSDT",
                "orderId": "b-1",
                "execId": f"t-{number}",
                "execPrice": "23000.1",
                "execQty": "0.004",
                "execFee": "0.000004",
                "feeCurrency": "BTC",
                "execTime": str(MS + number),
                "execType": "Trade",
                "side": "Buy",
                "orderType": "Market",
            }
            return usual | fields

        pages = [{"list": [trade(2)], "nextPageCursor": "c-2"}, {"list": [trade(1)], "nextPageCursor": ""}]
        for page in pages:
            self.say(exchange, "/v5/execution/list", page)
        fills = broker.fills(order)
        assert sent(account)["cursor"] == "c-2"
        assert [fill.trade_id for fill in fills] == ["t-1", "t-2"]
        assert {(fill.price, fill.quantity) for fill in fills} == {(Decimal("23000.1"), Decimal("0.004"))}
        assert {(fill.fee, fill.fee_currency) for fill in fills} == {(Decimal("0.000004"), "BTC")}
        assert (fills[0].traded_at - MOMENT).total_seconds() == pytest.approx(0.001)
        for odd in ({"orderId": "b-2"}, {"execPrice": "0"}, {"execQty": "a little"}, {"execId": ""},
                    {"execFee": "1e-9999999"}, {"execTime": "9" * 20}):  # fmt: skip
            self.say(exchange, "/v5/execution/list", {"list": [trade(1, **odd)]})
            with pytest.raises(Unreadable):
                broker.fills(order)

    def test_a_cancellation_is_confirmed_and_has_to_be_looked_up(
        self, exchange: ExchangeAt, account: Account
    ) -> None:
        broker = broker_for(account, simulation=False)
        order = order_of(price=Decimal("20000"))
        self.say(exchange, "/v5/order/cancel", {"orderId": "b-1"})
        assert broker.cancel(order) is None
        assert sent(account)["orderLinkId"] == order.client_order_id
        # It has ended already.
        unknown = {"retCode": 170213, "retMsg": "Order does not exist.", "result": {}}
        exchange.order({"path": "/v5/order/cancel", "kind": "status", "status": 200, "body": unknown})
        filled = self.order(order, orderStatus="Filled", orderType="Limit", price="20000")
        self.say(exchange, "/v5/order/realtime", {"list": [filled]})
        report = broker.cancel(replace(order, venue_order_id="b-1"))
        assert report is not None
        assert report.state == State.FILLED

    def test_contracts_are_refused(self, account: Account) -> None:
        with pytest.raises(Refused) as raised:
            broker_for(account, simulation=False).submit(order_of(symbol="BTC/USDT:USDT"))
        assert raised.value.code == "NOT_SPOT"


class TestKraken:
    @pytest.fixture
    def account(self) -> Account:
        return account_of(exchange="kraken", key="key", secret="c2VjcmV0")

    def say(self, exchange: ExchangeAt, method: str, result: Any, *errors: str) -> None:
        body = {"error": list(errors), "result": result}
        exchange.order({"path": f"/0/private/{method}", "kind": "status", "status": 200, "body": body})

    def order(self, **fields: Any) -> dict[str, Any]:
        described = {
            "pair": "XBTUSDT",
            "type": "buy",
            "ordertype": "market",
            "price": "0",
            "price2": "0",
            "order": "buy 0.01 XBTUSDT @ market",
        }
        usual = {
            "status": "closed",
            "opentm": MS / 1000,
            "vol": "0.01000000",
            "vol_exec": "0.01000000",
            "cost": "230",
            "fee": "0.6",
            "price": "23000",
            "oflags": "fciq",
            "descr": described,
        }
        return usual | fields

    def test_an_order_is_confirmed_first_and_found_later(
        self, exchange: ExchangeAt, account: Account
    ) -> None:
        broker = broker_for(account, simulation=False)
        assert broker.absence_is_proof_after is None
        order = order_of()
        self.say(
            exchange,
            "AddOrder",
            {"descr": {"order": "buy 0.01 XBTUSDT @ market"}, "txid": ["O-1"]},
        )
        placed = broker.submit(order)
        assert (placed.venue_order_id, placed.state, placed.filled) == ("O-1", State.SUBMITTED, 0)
        asked = sent(account)
        assert (asked["volume"], asked["ordertype"]) == ("0.01", "market")
        assert asked["cl_ord_id"] == order.client_order_id

        self.say(exchange, "OpenOrders", {"open": {}})
        self.say(exchange, "ClosedOrders", {"closed": {}, "count": 0})
        assert broker.find(order) is None
        self.say(exchange, "OpenOrders", {"open": {}})
        self.say(exchange, "ClosedOrders", {"closed": {"O-1": self.order()}, "count": 1})
        found = broker.find(order)
        assert found is not None
        assert (found.venue_order_id, found.state, found.filled) == ("O-1", State.FILLED, Decimal("0.01"))
        known = replace(order, venue_order_id="O-1")
        self.say(exchange, "QueryOrders", {"O-1": self.order(status="canceled", vol_exec="0.00400000")})
        partly = broker.find(known)
        assert partly is not None
        assert (partly.state, partly.filled) == (State.CANCELLED, Decimal("0.004"))
        self.say(exchange, "QueryOrders", {})
        assert broker.find(known) is None
        self.say(exchange, "AddOrder", {"txid": []})
        with pytest.raises(Unanswered):
            broker.submit(order_of())

    def test_trades_are_read_however_many_there_are(self, exchange: ExchangeAt, account: Account) -> None:
        broker = broker_for(account, simulation=False)
        order = order_of(venue_order_id="O-1")
        for count in (0, 1, 20):
            ids = [f"T-{number:02}" for number in range(count)]
            self.say(exchange, "QueryOrders", {"O-1": self.order(trades=ids)})
            for start in range(0, count, 19):
                trades = {
                    name: {
                        "ordertxid": "O-1",
                        "pair": "XBTUSDT",
                        "time": MS / 1000,
                        "type": "buy",
                        "ordertype": "market",
                        "price": "23000.1",
                        "cost": "11.5",
                        "fee": "0.03",
                        "vol": "0.00050000",
                    }
                    for name in ids[start : start + 19]
                }
                self.say(exchange, "QueryTrades", trades)
            fills = broker.fills(order)
            assert [fill.trade_id for fill in fills] == ids
            for fill in fills:
                assert (fill.price, fill.quantity) == (Decimal("23000.1"), Decimal("0.0005"))
                assert (fill.fee, fill.fee_currency) == (Decimal("0.03"), "USDT")

    def test_a_cancellation_is_confirmed_and_has_to_be_looked_up(
        self, exchange: ExchangeAt, account: Account
    ) -> None:
        broker = broker_for(account, simulation=False)
        order = order_of(price=Decimal("20000"))
        self.say(exchange, "CancelOrder", {"count": 1})
        assert broker.cancel(order) is None
        assert sent(account)["cl_ord_id"] == order.client_order_id
        self.say(exchange, "CancelOrder", {}, "EOrder:Unknown order")
        self.say(exchange, "QueryOrders", {"O-1": self.order()})
        report = broker.cancel(replace(order, venue_order_id="O-1"))
        assert report is not None
        assert report.state == State.FILLED

    def test_an_id_of_another_shape_is_refused_before_it_is_sent(self, account: Account) -> None:
        with pytest.raises(Refused) as raised:
            broker_for(account, simulation=False).submit(order_of(client_order_id="an-order-of-somebody-1"))
        assert raised.value.code == "CLIENT_ORDER_ID"
