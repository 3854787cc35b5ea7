"""Looking up orders, trades and accounts on the simulated Binance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.stack.exchanges import LocalExchange, Trader, limit, local, standing

__all__ = ["local", "standing"]


def test_a_client_order_id_is_unique_among_open_orders_only(local: LocalExchange) -> None:
    trader, other = local.trader(USDT="10000"), local.trader(USDT="10000")
    first = trader.place(**limit("20000", newClientOrderId="same"))["orderId"]
    duplicate = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    assert trader.refused("POST", "order", newClientOrderId="same", **duplicate) == (
        -2010,
        "Duplicate order sent.",
    )
    assert other.place(newClientOrderId="same", quantity="0.001")["status"] == "FILLED"
    trader.ask("DELETE", "order", symbol="BTCUSDT", orderId=first)
    second = trader.place(newClientOrderId="same", quantity="0.001")["orderId"]
    third = trader.place(newClientOrderId="same", quantity="0.001")["orderId"]
    assert len({first, second, third}) == 3
    found = trader.ask("GET", "order", symbol="BTCUSDT", origClientOrderId="same")
    assert found["orderId"] == third
    assert trader.ask("GET", "order", symbol="BTCUSDT", orderId=first, origClientOrderId="same")


def test_orders_and_trades_are_the_accounts_own(local: LocalExchange) -> None:
    trader, other = local.trader(USDT="10000"), local.trader(USDT="10000")
    order_id = trader.place(quantity="0.001", newClientOrderId="mine")["orderId"]
    missing = (-2013, "Order does not exist.")
    for names in ({"orderId": order_id}, {"origClientOrderId": "mine"}):
        assert other.refused("GET", "order", symbol="BTCUSDT", **names) == missing
    for path in ("allOrders", "myTrades"):
        assert other.ask("GET", path, symbol="BTCUSDT") == []
        assert len(trader.ask("GET", path, symbol="BTCUSDT")) == 1
    # Ids are counted for each symbol.
    assert other.place(symbol="ETHUSDT", quantity="0.01")["orderId"] == 1
    assert trader.refused("GET", "order", symbol="ETHUSDT", orderId=order_id) == missing


def test_an_order_and_a_trade_have_the_documented_fields(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    order = trader.order(trader.place(quantity="0.001")["orderId"])
    assert set(order) == {
        *("symbol", "orderId", "orderListId", "clientOrderId", "price", "origQty", "executedQty"),
        *("cummulativeQuoteQty", "status", "timeInForce", "type", "side", "stopPrice", "icebergQty"),
        *("time", "updateTime", "isWorking", "workingTime", "origQuoteOrderQty", "selfTradePreventionMode"),
    }
    (trade,) = trader.ask("GET", "myTrades", symbol="BTCUSDT")
    assert set(trade) == {
        *("symbol", "id", "orderId", "orderListId", "price", "qty", "quoteQty", "commission"),
        *("commissionAsset", "time", "isBuyer", "isMaker", "isBestMatch"),
    }
    account = trader.ask("GET", "account")
    assert set(account) == {
        *("makerCommission", "takerCommission", "buyerCommission", "sellerCommission", "commissionRates"),
        *("canTrade", "canWithdraw", "canDeposit", "brokered", "requireSelfTradePrevention", "preventSor"),
        *("updateTime", "accountType", "balances", "permissions", "uid"),
    }
    assert {"BTC", "USDT", "DOGE"} < {balance["asset"] for balance in account["balances"]}
    held = trader.ask("GET", "account", omitZeroBalances="true")["balances"]
    assert {balance["asset"] for balance in held} == {"BTC", "USDT"}


@pytest.mark.parametrize(
    ("path", "name", "id_of"), [("allOrders", "orderId", "orderId"), ("myTrades", "fromId", "id")]
)
def test_lists_are_read_page_by_page(local: LocalExchange, path: str, name: str, id_of: str) -> None:
    trader = local.trader(USDT="10000")
    times = []
    for _ in range(6):
        local.clock.now_ms += 1000
        times.append(local.clock.now_ms)
        trader.place(quantity="0.001")

    def ids(**parameters: Any) -> list[int]:
        return [row[id_of] for row in trader.ask("GET", path, symbol="BTCUSDT", **parameters)]

    assert ids() == [1, 2, 3, 4, 5, 6]
    assert ids(limit=2) == [5, 6]
    assert ids(**{name: 3}, limit=2) == [3, 4]
    assert ids(startTime=times[1], limit=3) == [2, 3, 4]
    assert ids(endTime=times[3], limit=3) == [2, 3, 4]
    assert ids(startTime=times[1], endTime=times[2]) == [2, 3]
    assert ids(startTime=times[5] + 1) == []
    day = 86_400_000
    assert ids(startTime=times[0], endTime=times[0] + day) == [1, 2, 3, 4, 5, 6]
    for bad, code in (
        ({"startTime": times[0], "endTime": times[0] + day + 1}, -1127),
        ({"limit": 0}, -1130),
        ({name: "x"}, -1100),
        ({"symbol": "NONE"}, -1121),
        ({"symbol": None}, -1102),
        ({"other": 1}, -1104),
    ):
        assert trader.refused("GET", path, **{"symbol": "BTCUSDT"} | bad)[0] == code, bad


def test_trades_of_an_order_and_of_a_time_are_different_questions(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    ids = [trader.place(quantity="0.001")["orderId"] for _ in range(3)]
    trades = trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=ids[1])
    assert [trade["orderId"] for trade in trades] == [ids[1]]
    assert trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=ids[1], fromId=trades[0]["id"]) == trades
    assert trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=ids[1], fromId=3) == []
    for more in ({"orderId": ids[1]}, {"fromId": 1}):
        refusal = trader.refused("GET", "myTrades", symbol="BTCUSDT", startTime=1, **more)
        assert refusal == (-1128, "Combination of optional parameters invalid.")


# Accounts


def test_an_account_is_opened_once(local: LocalExchange) -> None:
    entry = {"key": "some-key-of-mine", "secret": "s", "balances": {"USDT": "1000", "BTC": "0.5"}}
    trader = Trader(exchange=local, key=entry["key"], secret="s", clock=local.clock)
    assert local.request("POST", "/_sim/accounts", body=[entry]).status == 200
    trader.place(quantity="0.001")
    again = local.request("POST", "/_sim/accounts", body=[entry | {"balances": {"USDT": "5"}}])
    (account,) = again.json
    assert (account["key"], account["balances"]["USDT"]["initial"]) == (entry["key"], "1000.00000000")
    assert Decimal(account["balances"]["USDT"]["free"]) < 1000
    assert len(account["orders"]) == len(account["trades"]) == 1
    assert again.json == local.get("/_sim/books")
    assert "secret" not in account
    other = [{"key": "another-key", "secret": "s"}, entry | {"secret": "t"}]
    refused = local.request("POST", "/_sim/accounts", body=other)
    assert (refused.status, "another secret" in refused.json["error"]) == (400, True)
    assert local.get("/_sim/books") == again.json
    assert local.request("DELETE", "/_sim/books").json == local.get("/_sim/books") == []
    assert trader.send("GET", "account").json["code"] == -2015


def test_an_account_that_cannot_be_opened_is_refused(local: LocalExchange) -> None:
    good = {"key": "12345678", "secret": "s"}
    for entries, word in (
        ({}, "list"),
        (["x"], "list"),
        ([good | {"key": "short"}], "key"),
        ([good | {"key": "with space"}], "key"),
        ([good | {"secret": ""}], "secret"),
        ([{"key": "12345678"}], "secret"),
        ([good | {"balances": ["USDT"]}], "balances"),
        ([good | {"balances": {"usdt": "1"}}], "usdt"),
        ([good | {"balances": {"USDT": 1}}], "balances"),
        ([good | {"balances": {"USDT": "1.123456789"}}], "balances"),
        ([good | {"balances": {"USDT": "1000000000001"}}], "balances"),
        ([good | {"name": "x"}], "name"),
        ([good, good | {"key": ""}], "key"),
    ):
        reply = local.request("POST", "/_sim/accounts", body=entries)
        assert (reply.status, word in reply.json["error"]) == (400, True), (entries, reply.json)
    assert local.get("/_sim/books") == []
