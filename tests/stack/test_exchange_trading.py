"""Trading on the simulated Binance over HTTP: what becomes of orders and balances, what requests weigh."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from apps.stack.exchange.quotes import Quotes
from tests.stack.exchanges import LocalExchange, limit, local, local_exchange, standing

__all__ = ["local", "standing"]

MINUTE = 60_000
TICK = Decimal("0.01")
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


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


def test_many_resting_orders_cost_no_more_looks_at_the_market_than_the_nearest(
    local: LocalExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader, asked, found = local.trader(USDT="1000000", BTC="10"), [], Quotes.reached

    def reached(*given: Any, falling: bool, **more: Any) -> int | None:
        asked.append(falling)
        return found(*given, falling=falling, **more)

    price = local.price().quantize(Decimal(1))
    for step in range(1, 6):
        local.clock.now_ms += 1
        for far, side in ((price - 1_000 * step, "BUY"), (price + 1_000 * step, "SELL")):
            trader.place(**limit(far, side=side))
    trader.ask("GET", "openOrders")
    monkeypatch.setattr(Quotes, "reached", reached)
    local.clock.now_ms += 1
    assert len(trader.ask("GET", "openOrders")) == 10
    assert sorted(asked) == [False, True]


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
