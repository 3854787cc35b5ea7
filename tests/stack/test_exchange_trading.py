"""Trading on the simulated Binance over HTTP: orders, balances, look-ups, refusals."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from tests.stack.exchanges import LocalExchange, Trader, local, local_exchange, standing

__all__ = ["local", "standing"]

MINUTE = 60_000
TICK = Decimal("0.01")


def limit(price: Decimal | str, quantity: str = "0.01", **more: Any) -> dict[str, Any]:
    return {"type": "LIMIT", "price": str(price), "quantity": quantity, **more}


# Orders that are filled at once


def test_a_market_order_is_filled_at_the_present_price_and_moves_the_balances(local: LocalExchange) -> None:
    trader = local.trader(USDT="1000")
    ask = local.price() + TICK
    bought = trader.place(quantity="0.00500")
    cost = ask * Decimal("0.005")
    assert (bought["status"], bought["executedQty"]) == ("FILLED", "0.00500000")
    assert Decimal(bought["cummulativeQuoteQty"]) == cost
    assert bought["fills"] == [
        {
            "price": f"{ask:.8f}",
            "qty": "0.00500000",
            "commission": "0.00000500",
            "commissionAsset": "BTC",
            "tradeId": 1,
        }
    ]
    assert trader.balance("USDT") == (1000 - cost, 0)
    assert trader.balance("BTC") == (Decimal("0.00499500"), 0)

    # The commission is not there any more to be sold.
    refusal = trader.refused("POST", "order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.005")
    assert refusal == (-2010, "Account has insufficient balance for requested action.")
    sold = trader.place(side="SELL", quantity="0.00499")
    proceeds = (ask - 2 * TICK) * Decimal("0.00499")
    assert sold["fills"][0]["commissionAsset"] == "USDT"
    commission = Decimal(sold["fills"][0]["commission"])
    assert 0 <= proceeds / 1000 - commission < Decimal("0.00000001")
    assert trader.balance("USDT") == (1000 - cost + proceeds - commission, 0)
    assert trader.balance("BTC") == (Decimal("0.00000500"), 0)
    for asset in ("BTC", "USDT"):
        assert trader.balance(asset)[0] == trader.has(asset)


def test_a_quote_quantity_buys_as_many_lots_as_it_pays_for(local: LocalExchange) -> None:
    trader = local.trader(USDT="1000", BTC="1")
    bid, ask = local.price() - TICK, local.price() + TICK
    for side, price in (("BUY", ask), ("SELL", bid)):
        order = trader.place(side=side, quoteOrderQty="100")
        quantity = Decimal(order["executedQty"])
        assert order["origQty"] == order["executedQty"]
        assert order["origQuoteOrderQty"] == "100.00000000"
        assert quantity * price <= 100 < (quantity + Decimal("0.00001")) * price
        assert order["status"] == "FILLED"
    assert trader.balance("USDT") == (trader.has("USDT"), 0)


def test_a_limit_that_the_market_offers_is_taken_at_the_better_price(local: LocalExchange) -> None:
    trader = local.trader(USDT="1000", BTC="1")
    price = local.price()
    bought = trader.place(**limit(price + 500))
    assert (bought["status"], bought["fills"][0]["price"]) == ("FILLED", f"{price + TICK:.8f}")
    assert trader.balance("USDT") == (1000 - (price + TICK) / 100, 0)
    sold = trader.place(**limit(price - 500, side="SELL"))
    assert (sold["status"], sold["fills"][0]["price"]) == ("FILLED", f"{price - TICK:.8f}")
    assert [trade["isMaker"] for trade in trader.ask("GET", "myTrades", symbol="BTCUSDT")] == [False] * 2
    # What a limit locks must be there, although less would do.
    assert trader.refused(
        "POST", "order", symbol="BTCUSDT", side="BUY", timeInForce="GTC", **limit("200000")
    )[0] == (-2010)


def test_orders_that_may_not_rest_expire(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    for time_in_force, reason in (
        ("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ("FOK", "UNFILLED_FOK_ORDER_EXPIRED"),
    ):
        missed = trader.place(**limit(local.price() - 100, timeInForce=time_in_force))
        assert (missed["status"], missed["expiryReason"], missed["fills"]) == ("EXPIRED", reason, [])
        taken = trader.place(**limit(local.price() + 100, timeInForce=time_in_force))
        assert (taken["status"], "expiryReason" in taken) == ("FILLED", False)
    assert trader.ask("GET", "openOrders") == []
    assert trader.balance("USDT") == (trader.has("USDT"), 0)


def test_a_limit_maker_never_takes(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    order = {"type": "LIMIT_MAKER", "quantity": "0.01"}
    rested = trader.place(**order, price=local.price())
    assert set(rested) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert trader.order(rested["orderId"])["status"] == "NEW"
    refusal = trader.refused(
        "POST", "order", symbol="BTCUSDT", side="BUY", price=local.price() + TICK, **order
    )
    assert refusal == (-2010, "Order would immediately match and take.")


def test_the_answer_tells_as_much_as_was_asked_for(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    ack = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    result = ack | {
        *("price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status"),
        *("timeInForce", "type", "side", "workingTime", "selfTradePreventionMode"),
    }
    for asked, keys in (
        ("ACK", ack),
        ("RESULT", result),
        ("FULL", result | {"fills"}),
        (None, result | {"fills"}),
    ):
        for order in ({"quantity": "0.001"}, limit("20000", "0.001")):
            assert set(trader.place(newOrderRespType=asked, **order)) == keys


# Orders that rest


def test_a_resting_order_locks_what_it_may_cost(local: LocalExchange) -> None:
    trader = local.trader(USDT="1000", BTC="1")
    bought = trader.place(**limit("20000"))
    assert (bought["status"], bought["fills"]) == ("NEW", [])
    sold = trader.place(**limit("90000", "0.25", side="SELL"))
    assert trader.balance("USDT") == (800, 200)
    assert trader.balance("BTC") == (Decimal("0.75"), Decimal("0.25"))
    assert [order["orderId"] for order in trader.ask("GET", "openOrders")] == [
        bought["orderId"],
        sold["orderId"],
    ]
    for order in (bought, sold):
        assert (
            trader.ask("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])["status"] == "CANCELED"
        )
    assert trader.balance("USDT") == (1000, 0)
    assert trader.balance("BTC") == (1, 0)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_resting_order_fills_when_the_market_comes_to_it(local: LocalExchange, side: str) -> None:
    clock, began = local.clock, local.clock.now_ms + 17_400
    clock.now_ms = began
    trader = local.trader(USDT="10000", BTC="1")
    place, sign = ("low", 1) if side == "BUY" else ("high", -1)
    column = 3 if side == "BUY" else 2
    price = local.price() - sign * 40
    order = trader.place(**limit(price, side=side))
    assert order["status"] == "NEW"

    clock.now_ms = began + 6 * 60 * MINUTE
    filled = trader.order(order["orderId"])
    assert filled["status"] == "FILLED", f"choose a nearer price: no {place} came to it"
    (trade,) = trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=order["orderId"])
    assert (Decimal(trade["price"]), trade["isMaker"], trade["isBuyer"]) == (price, True, side == "BUY")
    assert trade["time"] == filled["updateTime"]
    assert trader.balance("USDT") == (trader.has("USDT"), 0)
    assert trader.balance("BTC") == (trader.has("BTC"), 0)

    # No minute before had come to it, and its own had not in the millisecond before.
    clock.now_ms = trade["time"]
    rows = local.klines(startTime=began // MINUTE * MINUTE, endTime=trade["time"], limit=1000)
    reached = [sign * (price - Decimal(row[column])) for row in rows]
    assert max(reached[1:-1], default=-1) < 0 <= reached[-1]
    clock.now_ms -= 1
    before = local.klines(startTime=rows[-1][0], limit=1)
    assert not before or sign * (price - Decimal(before[0][column])) < 0


def test_when_it_fills_does_not_depend_on_when_someone_looks() -> None:
    prices = [Decimal(step) for step in (-120, -60, -25, -9, 8, 30, 70, 140)]

    def played(steps: list[int]) -> Any:
        """The trades of the same orders, with a look at these times."""
        with local_exchange() as exchange:
            trader = exchange.trader(USDT="100000", BTC="10")
            exchange.clock.now_ms += 23_456
            start, price = exchange.clock.now_ms, exchange.price()
            for step in prices:
                side, name = "BUY" if step < 0 else "SELL", f"order{step}"
                trader.place(**limit(price + step, side=side, newClientOrderId=name))
            for step in steps:
                exchange.clock.now_ms = start + step
                trader.ask("GET", "openOrders")
            books = trader.books()
            key = {"key", "uid"}
            return {name: value for name, value in books.items() if name not in key}

    hour = 60 * MINUTE
    once = played([hour])
    often = played([*range(0, 150_000, 1_500), *range(150_000, hour, 45_000), hour])
    assert 2 <= len(once["trades"]) < len(prices)
    assert once == often


# Cancellation


def test_a_cancelled_order_is_told_with_the_name_of_its_cancellation(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    order = trader.place(**limit("20000", newClientOrderId="mine"))
    cancelled = trader.ask(
        "DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="the-end"
    )
    assert cancelled == {
        "symbol": "BTCUSDT",
        "origClientOrderId": "mine",
        "orderId": order["orderId"],
        "orderListId": -1,
        "clientOrderId": "the-end",
        "transactTime": local.clock.now_ms,
        "price": "20000.00000000",
        "origQty": "0.01000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "CANCELED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    assert trader.order(order["orderId"])["clientOrderId"] == "mine"


def test_only_open_orders_can_be_cancelled(local: LocalExchange) -> None:
    trader, other = local.trader(USDT="10000"), local.trader(USDT="10000")
    rested = trader.place(**limit("20000", newClientOrderId="a"))["orderId"]
    filled = trader.place(quantity="0.001", newClientOrderId="b")["orderId"]
    unknown = (-2011, "Unknown order sent.")
    for who, names, refusal in (
        (trader, {"orderId": filled}, unknown),
        (trader, {"origClientOrderId": "b"}, unknown),
        (trader, {"orderId": 999}, unknown),
        (trader, {"orderId": 10**19}, unknown),
        (trader, {"origClientOrderId": "c"}, unknown),
        (other, {"orderId": rested}, unknown),
        (other, {"origClientOrderId": "a"}, unknown),
        (trader, {"orderId": rested, "symbol": "ETHUSDT"}, unknown),
        (
            trader,
            {"orderId": rested, "origClientOrderId": "b"},
            (-2039, "Client order ID is not correct for this order ID."),
        ),
        (
            trader,
            {},
            (-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
        ),
        (trader, {"orderId": rested, "cancelRestrictions": "ONLY"}, (-1145, "Invalid cancelRestrictions")),
        (
            trader,
            {"orderId": rested, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"},
            (-2011, "Order was not canceled due to cancel restrictions."),
        ),
    ):
        assert who.refused("DELETE", "order", **{"symbol": "BTCUSDT"} | names) == refusal, names
    both = {"orderId": rested, "origClientOrderId": "a", "cancelRestrictions": "ONLY_NEW"}
    assert trader.ask("DELETE", "order", symbol="BTCUSDT", **both)["status"] == "CANCELED"
    assert trader.refused("DELETE", "order", symbol="BTCUSDT", orderId=rested) == unknown


def test_all_open_orders_of_a_symbol_are_cancelled_together(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    ids = [trader.place(**limit("20000"))["orderId"] for _ in range(3)]
    trader.place(symbol="ETHUSDT", **limit("1000", "0.1"))
    cancelled = trader.ask("DELETE", "openOrders", symbol="BTCUSDT")
    assert [(order["orderId"], order["status"]) for order in cancelled] == [(id_, "CANCELED") for id_ in ids]
    assert [order["symbol"] for order in trader.ask("GET", "openOrders")] == ["ETHUSDT"]
    assert trader.refused("DELETE", "openOrders", symbol="BTCUSDT") == (-2011, "Unknown order sent.")


# Looking up


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


# Refusals of orders

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMITED = ORDER | {"type": "LIMIT", "price": "20000", "timeInForce": "GTC"}


def mandatory(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def unwanted(name: str) -> tuple[int, str]:
    return -1106, f"Parameter '{name}' sent when not required."


def filtered(name: str) -> tuple[int, str]:
    return -1013, f"Filter failure: {name}"


REFUSALS: list[tuple[dict[str, Any], tuple[int, str]]] = [
    (ORDER | {"symbol": None}, mandatory("symbol")),
    (ORDER | {"side": None}, mandatory("side")),
    (ORDER | {"type": None}, mandatory("type")),
    (LIMITED | {"timeInForce": None}, mandatory("timeInForce")),
    (LIMITED | {"quantity": None}, mandatory("quantity")),
    (LIMITED | {"price": None}, mandatory("price")),
    (ORDER | {"symbol": "NONE"}, (-1121, "Invalid symbol.")),
    (ORDER | {"side": "HOLD"}, (-1117, "Invalid side.")),
    (ORDER | {"type": "HOPE"}, (-1116, "Invalid orderType.")),
    (LIMITED | {"timeInForce": "GTD"}, (-1115, "Invalid timeInForce.")),
    (
        ORDER | {"type": "STOP_LOSS", "stopPrice": "20000"},
        (-2010, "Stop loss orders are not supported for this symbol."),
    ),
    (
        LIMITED | {"type": "TAKE_PROFIT_LIMIT"},
        (-2010, "Take profit limit orders are not supported for this symbol."),
    ),
    (LIMITED | {"stopPrice": "20000"}, unwanted("stopPrice")),
    (LIMITED | {"icebergQty": "0.001"}, unwanted("icebergQty")),
    (
        ORDER | {"quantity": None},
        (-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"),
    ),
    (ORDER | {"quoteOrderQty": "100"}, (-1128, "Combination of optional parameters invalid.")),
    (ORDER | {"price": "20000"}, unwanted("price")),
    (ORDER | {"timeInForce": "GTC"}, unwanted("timeInForce")),
    (LIMITED | {"quoteOrderQty": "100"}, unwanted("quoteOrderQty")),
    (LIMITED | {"type": "LIMIT_MAKER"}, unwanted("timeInForce")),
    (
        ORDER | {"quantity": "1e-3"},
        (
            -1100,
            "Illegal characters found in parameter 'quantity'; legal range is "
            "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
    ),
    (ORDER | {"quantity": "-1"}, (-1100, "Illegal characters found in parameter 'quantity'; ")),
    (ORDER | {"quantity": ""}, (-1105, "Parameter 'quantity' was empty.")),
    (ORDER | {"quantity": "0.010000001"}, (-1111, "Parameter 'quantity' has too much precision.")),
    (
        ORDER | {"newClientOrderId": "a b"},
        (
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is "
            "'^[a-zA-Z0-9-_]{1,36}$'.",
        ),
    ),
    (ORDER | {"newClientOrderId": "x" * 37}, (-1100, "Illegal characters found")),
    (
        ORDER | {"newOrderRespType": "ALL"},
        (-1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ),
    (ORDER | {"colour": "red"}, (-1104, "Not all sent parameters were read; read '6' ")),
    (ORDER | {"quantity": "0"}, filtered("LOT_SIZE")),
    (ORDER | {"quantity": "0.000005"}, filtered("LOT_SIZE")),
    (ORDER | {"quantity": "0.010005"}, filtered("LOT_SIZE")),
    (ORDER | {"quantity": "9000001"}, filtered("LOT_SIZE")),
    (ORDER | {"quantity": "99999999999999999999"}, filtered("LOT_SIZE")),
    (LIMITED | {"price": "0"}, filtered("PRICE_FILTER")),
    (LIMITED | {"price": "20000.005"}, filtered("PRICE_FILTER")),
    (LIMITED | {"price": "1000001"}, filtered("PRICE_FILTER")),
    (ORDER | {"quantity": "0.00001"}, filtered("NOTIONAL")),
    (LIMITED | {"quantity": "0.00024"}, filtered("NOTIONAL")),
    (LIMITED | {"quantity": "451"}, filtered("NOTIONAL")),
    (ORDER | {"quantity": None, "quoteOrderQty": "4.99"}, filtered("NOTIONAL")),
    (ORDER | {"quantity": "1"}, (-2010, "Account has insufficient balance for requested action.")),
    (ORDER | {"quantity": "8000000"}, (-2010, "Account has insufficient balance for requested action.")),
    (LIMITED | {"quantity": "1"}, (-2010, "Account has insufficient balance for requested action.")),
    (ORDER | {"side": "SELL"}, (-2010, "Account has insufficient balance for requested action.")),
]


def test_an_order_that_cannot_be_is_refused_in_the_exchanges_words(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    for order, (code, message) in REFUSALS:
        got = trader.refused("POST", "order", **order)
        assert (got[0], got[1][: len(message)]) == (code, message), order
    assert trader.books()["orders"] == []
    assert trader.balance("USDT") == (10_000, 0)


def test_a_tried_order_is_checked_and_leaves_nothing(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    assert trader.ask("POST", "order/test", **ORDER) == {}
    # Balances are looked at by the matching engine only.
    assert trader.ask("POST", "order/test", **ORDER | {"side": "SELL"}) == {}
    assert trader.refused("POST", "order/test", **ORDER | {"quantity": "0"}) == filtered("LOT_SIZE")
    rates = trader.ask("POST", "order/test", computeCommissionRates="true", **ORDER)
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert trader.books()["orders"] == []


def test_too_many_unfilled_orders_are_refused(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    trader.place(quantity="0.001")  # has a trade, and so does not count
    for number in range(1, 101):
        reply = trader.send("POST", "order", **LIMITED | {"quantity": "0.001"})
        assert reply.headers["X-MBX-ORDER-COUNT-10S"] == str(number)
        assert reply.headers["X-MBX-ORDER-COUNT-1D"] == str(number)
    reply = trader.send("POST", "order", **ORDER)
    assert (reply.status, reply.json) == (
        429,
        {"code": -1015, "msg": "Too many new orders; current limit is 100 orders per 10 SECOND."},
    )
    assert int(reply.headers["Retry-After"]) == 10
    local.clock.now_ms += 10_000
    for _ in range(100):
        trader.place(**limit("20000", "0.001"))
    local.calm()
    assert trader.refused("POST", "order", **LIMITED) == filtered("MAX_NUM_ORDERS")
    assert trader.place(quantity="0.001")["status"] == "FILLED"


# The book


def test_the_best_prices_are_what_market_orders_get(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000", BTC="1")
    best = local.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT")
    book = local.get("/api/v3/depth", symbol="BTCUSDT", limit=5)
    assert [book["bids"][0][0], book["asks"][0][0]] == [best["bidPrice"], best["askPrice"]]
    assert [len(book["bids"]), len(book["asks"])] == [5, 5]
    bids, asks = ([Decimal(level[0]) for level in book[side]] for side in ("bids", "asks"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert trader.place(quantity="0.001")["fills"][0]["price"] == best["askPrice"]
    assert trader.place(side="SELL", quantity="0.001")["fills"][0]["price"] == best["bidPrice"]
    everything = local.get("/api/v3/ticker/bookTicker")
    assert best in everything
    assert len(local.get("/api/v3/depth", symbol="BTCUSDT")["asks"]) == 100


def test_every_request_weighs_what_is_documented(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    order = trader.place(quantity="0.001")["orderId"]
    local.calm()
    signed: list[tuple[str, str, dict[str, Any], int]] = [
        ("POST", "order", ORDER | {"quantity": "0.001"}, 1),
        ("POST", "order/test", ORDER, 1),
        ("POST", "order/test", ORDER | {"computeCommissionRates": "true"}, 20),
        ("DELETE", "order", {"symbol": "BTCUSDT", "orderId": order}, 1),
        ("DELETE", "openOrders", {"symbol": "BTCUSDT"}, 1),
        ("GET", "order", {"symbol": "BTCUSDT", "orderId": order}, 4),
        ("GET", "openOrders", {"symbol": "BTCUSDT"}, 6),
        ("GET", "openOrders", {}, 80),
        ("GET", "allOrders", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT", "orderId": order}, 5),
        ("GET", "account", {}, 20),
    ]
    used = [int(trader.send(*what, **sent).headers["X-MBX-USED-WEIGHT-1M"]) for *what, sent, _ in signed]
    assert used == list(itertools.accumulate(weight for *_, weight in signed))
    local.calm()
    public = [("ticker/bookTicker?symbol=BTCUSDT", 2), ("ticker/bookTicker", 4), ("depth?symbol=BTCUSDT", 5)]
    public += [
        (f"depth?symbol=BTCUSDT&limit={limit}", weight)
        for limit, weight in ((101, 25), (1000, 50), (5000, 250))
    ]
    used = [
        int(local.request("GET", f"/api/v3/{path}").headers["X-MBX-USED-WEIGHT-1M"]) for path, _ in public
    ]
    assert used == list(itertools.accumulate(weight for _, weight in public))


def test_what_a_client_reads_of_the_markets_is_what_the_engine_does(local: LocalExchange) -> None:
    info = local.get("/api/v3/exchangeInfo", symbol="BTCUSDT")
    assert [limit["limit"] for limit in info["rateLimits"]] == [6000, 100, 200_000]
    assert info["symbols"][0]["orderTypes"] == ["LIMIT", "LIMIT_MAKER", "MARKET"]


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
