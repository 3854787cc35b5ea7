"""Faults of the simulated Binance that concern orders: what was answered, and what is in the books."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from tests.stack.conftest import wait_for
from tests.stack.exchange_process import Reply
from tests.stack.exchanges import LocalExchange, Trader, local, standing

__all__ = ["local", "standing"]

ORDER = "/api/v3/order"
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = MARKET | {"type": "LIMIT", "timeInForce": "GTC", "price": "20000"}


def outcome(ask: Callable[[], Reply]) -> tuple[int, Any]:
    """Status and code of an answer; 0 and the name of the error without one."""
    try:
        reply = ask()
    except (ConnectionError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    try:
        return reply.status, reply.json.get("code")
    except ValueError:
        return reply.status, "no JSON"


ANSWERS: list[tuple[dict[str, Any], tuple[int, Any], bool]] = [
    # What goes wrong with a new order, what its sender sees of it, and whether it was executed.
    ({"kind": "lost"}, (0, "ConnectionResetError"), True),
    ({"kind": "reset"}, (0, "ConnectionResetError"), False),
    ({"kind": "status", "status": 504}, (504, -1007), False),
    ({"kind": "status", "status": 504, "executed": True}, (504, -1007), True),
    ({"kind": "status", "status": 500}, (500, -1000), False),
    ({"kind": "status", "status": 500, "executed": True}, (500, -1000), True),
    ({"kind": "status", "status": 503}, (503, -1008), False),
    ({"kind": "status", "status": 429, "headers": {"Retry-After": 2}}, (429, -1003), False),
    ({"kind": "status", "status": 418, "headers": {"Retry-After": 120}}, (418, -1003), False),
    (
        {"kind": "status", "status": 400, "body": {"code": -1001, "msg": "Internal error"}},
        (400, -1001),
        False,
    ),
    ({"kind": "html"}, (502, "no JSON"), False),
    ({"kind": "html", "executed": True}, (502, "no JSON"), True),
    ({"kind": "garbage", "executed": True}, (200, "no JSON"), True),
    ({"kind": "delay", "seconds": 0}, (200, None), True),
    ({"kind": "delay", "seconds": 0, "executed": True}, (200, None), True),
]


def test_an_order_is_executed_or_not_whatever_is_answered(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    for number, (rule, answer, executed) in enumerate(ANSWERS):
        local.order({"path": ORDER, "method": "POST", **rule})
        name = f"order-{number}"

        def submit(name: str = name) -> Reply:
            return trader.send("POST", "order", newClientOrderId=name, **MARKET)

        assert outcome(submit) == answer, rule
        assert local.get("/_sim/faults") == [], rule
        found = trader.send("GET", "order", symbol="BTCUSDT", origClientOrderId=name).json
        assert found.get("status", found.get("code")) == ("FILLED" if executed else -2013), rule
    executions = [order["clientOrderId"] for order in trader.books()["orders"]]
    assert len(executions) == sum(executed for *_, executed in ANSWERS)
    assert trader.balance("USDT") == (trader.has("USDT"), 0)


def test_the_header_of_a_refusal_says_when_to_come_back(local: LocalExchange) -> None:
    trader = local.trader(USDT="1000")
    local.order({"path": ORDER, "kind": "status", "status": 429, "headers": {"Retry-After": 2}})
    assert trader.send("POST", "order", **MARKET).headers["Retry-After"] == "2"


@contextmanager
def waiting_order(trader: Trader) -> Iterator[None]:
    """An order that was sent and is not answered while the block runs; then its sender goes away."""
    connection = http.client.HTTPConnection(urlsplit(trader.exchange.url).netloc, timeout=30)
    payload = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&timestamp={trader.now_ms()}"
    signed = f"{payload}&signature={trader.sign(payload)}"
    connection.request("POST", ORDER, signed, {"X-MBX-APIKEY": trader.key})
    yield
    connection.close()


def test_an_answer_that_comes_too_late_is_about_an_order_in_the_books(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    for rule in ({"kind": "lost", "seconds": 600}, {"kind": "delay", "seconds": 600, "executed": True}):
        local.order({"path": ORDER, "method": "POST", **rule})
        known = len(trader.books()["orders"])
        with waiting_order(trader):
            wait_for(lambda known=known: len(trader.books()["orders"]) == known + 1)


def test_a_delayed_order_is_not_executed_before_its_delay_is_over(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    local.order({"path": ORDER, "method": "POST", "kind": "delay", "seconds": 600})
    with waiting_order(trader):
        wait_for(lambda: local.get("/_sim/faults") == [])
        assert trader.books()["orders"] == []


def test_a_rule_for_a_method_leaves_the_others_alone(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    order_id = trader.place(**LIMIT)["orderId"]
    names = {"symbol": "BTCUSDT", "orderId": order_id}
    local.order({"path": ORDER, "method": "DELETE", "kind": "status", "status": 503})
    assert trader.order(order_id)["status"] == "NEW"
    assert trader.place(quantity="0.001")["status"] == "FILLED"
    assert trader.send("DELETE", "order", **names).status == 503
    assert trader.order(order_id)["status"] == "NEW"
    local.order({"path": ORDER, "method": "DELETE", "kind": "lost"})
    assert outcome(lambda: trader.send("DELETE", "order", **names))[0] == 0
    assert trader.order(order_id)["status"] == "CANCELED"
    # A POST names its symbol in its body.
    local.order({"path": ORDER, "symbol": "ETHUSDT", "kind": "status", "status": 500})
    assert trader.place(quantity="0.001")["status"] == "FILLED"
    assert trader.send("POST", "order", **MARKET | {"symbol": "ETHUSDT", "quantity": "0.1"}).status == 500


def progress(trader: Trader, order_id: int) -> tuple[str, Decimal]:
    order = trader.order(order_id)
    return order["status"], Decimal(order["executedQty"])


def test_an_order_fills_in_part_and_the_rest_after_some_reads(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    part, whole = ("PARTIALLY_FILLED", Decimal("0.003")), ("FILLED", Decimal("0.01"))
    marketable = LIMIT | {"price": "60000"}
    for order, makers in ((MARKET, [False, False]), (LIMIT, [True, True]), (marketable, [False, True])):
        local.order({"path": ORDER, "kind": "partial", "share": 0.3, "reads": 2})
        placed = trader.ask("POST", "order", **order)
        order_id = placed["orderId"]
        assert (placed["status"], placed["executedQty"]) == ("PARTIALLY_FILLED", "0.00300000")
        assert len(placed["fills"]) == 1
        assert trader.balance("USDT")[1] > 0
        seen = [progress(trader, order_id) for _ in range(4)]
        assert seen == [part, part, whole, whole], order
        trades = trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=order_id)
        assert [Decimal(trade["qty"]) for trade in trades] == [Decimal("0.003"), Decimal("0.007")]
        assert [trade["isMaker"] for trade in trades] == makers
        assert trader.balance("USDT") == (trader.has("USDT"), 0)
    assert trader.balance("BTC") == (trader.has("BTC"), 0)


def test_every_kind_of_read_counts(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    local.order({"path": ORDER, "kind": "partial", "share": 0, "reads": 4})
    order_id = trader.ask("POST", "order", **LIMIT)["orderId"]
    other = trader.place(symbol="ETHUSDT", type="LIMIT", price="1000", quantity="0.1")["orderId"]
    assert trader.order(order_id)["status"] == "NEW"
    assert len(trader.ask("GET", "openOrders")) == 2
    assert trader.ask("GET", "allOrders", symbol="BTCUSDT")[0]["status"] == "NEW"
    assert trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=order_id) == []
    # What does not concern the order does not count.
    trader.order(other, "ETHUSDT")
    trader.ask("GET", "openOrders", symbol="ETHUSDT")
    assert trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=99) == []
    assert trader.books()["orders"][0]["status"] == "NEW"
    assert len(trader.ask("GET", "myTrades", symbol="BTCUSDT")) == 1
    assert [order["symbol"] for order in trader.ask("GET", "openOrders")] == ["ETHUSDT"]


def test_a_rest_that_never_comes_stays_open_or_expires(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    for order, status, executed in (
        (LIMIT, "PARTIALLY_FILLED", "0.004"),
        (MARKET, "EXPIRED", "0.004"),
        (LIMIT | {"price": "60000", "timeInForce": "IOC"}, "EXPIRED", "0.004"),
        (LIMIT | {"price": "60000", "timeInForce": "FOK"}, "EXPIRED", "0"),
        (LIMIT | {"timeInForce": "IOC"}, "EXPIRED", "0"),
    ):
        local.order({"path": ORDER, "kind": "partial", "share": 0.4})
        order_id = trader.ask("POST", "order", **order)["orderId"]
        for _ in range(3):
            assert progress(trader, order_id) == (status, Decimal(executed)), order
    local.clock.now_ms += 3_600_000
    (rested,) = trader.ask("GET", "openOrders")
    assert rested["status"] == "PARTIALLY_FILLED"
    cancelled = trader.ask(
        "DELETE",
        "order",
        symbol="BTCUSDT",
        orderId=rested["orderId"],
        cancelRestrictions="ONLY_PARTIALLY_FILLED",
    )
    assert (cancelled["status"], cancelled["executedQty"]) == ("CANCELED", "0.00400000")
    assert trader.balance("USDT") == (trader.has("USDT"), 0)
    assert trader.balance("BTC") == (trader.has("BTC"), 0)


def test_an_order_may_come_in_several_trades(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000", BTC="1")
    ask = local.price() + Decimal("0.01")
    for side, sign in (("BUY", 1), ("SELL", -1)):
        local.order({"path": ORDER, "kind": "trades", "trades": 3})
        order = trader.place(side=side, quantity="0.01")
        first = ask if side == "BUY" else ask - Decimal("0.02")
        fills = [(Decimal(fill["price"]), Decimal(fill["qty"])) for fill in order["fills"]]
        assert [quantity for _, quantity in fills] == [
            Decimal(text) for text in ("0.00334", "0.00333", "0.00333")
        ]
        assert [price for price, _ in fills] == [first + sign * Decimal(step) / 100 for step in range(3)]
        assert Decimal(order["cummulativeQuoteQty"]) == sum(price * quantity for price, quantity in fills)
        assert len(trader.ask("GET", "myTrades", symbol="BTCUSDT", orderId=order["orderId"])) == 3
    # No dearer than the limit, and no smaller than a lot.
    local.order({"path": ORDER, "kind": "trades", "trades": 3})
    limited = trader.ask("POST", "order", **LIMIT | {"price": str(ask)})
    assert {Decimal(fill["price"]) for fill in limited["fills"]} == {ask}
    local.order({"path": ORDER, "kind": "trades", "trades": 100})
    bitten = trader.place(symbol="BNBUSDT", quantity="0.020")
    assert {fill["qty"] for fill in bitten["fills"]} == {"0.00100000"}
    assert len(bitten["fills"]) == 20
    local.order({"path": ORDER, "kind": "trades", "trades": 3})
    spent = trader.place(quoteOrderQty="100")
    assert 99 < Decimal(spent["cummulativeQuoteQty"]) <= 100
    for asset in ("BTC", "USDT", "BNB"):
        assert trader.balance(asset) == (trader.has(asset), 0)


def test_a_lost_order_may_be_odd_in_other_ways_too(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    local.order({"path": ORDER, "kind": "lost", "method": "POST", "share": 0.5, "reads": 1, "trades": 2})
    assert outcome(lambda: trader.send("POST", "order", newClientOrderId="x", **MARKET))[0] == 0
    statuses = [
        trader.ask("GET", "order", symbol="BTCUSDT", origClientOrderId="x")["status"] for _ in range(2)
    ]
    assert statuses == ["PARTIALLY_FILLED", "FILLED"]
    quantities = [trade["qty"] for trade in trader.ask("GET", "myTrades", symbol="BTCUSDT")]
    assert quantities == ["0.00250000", "0.00250000", "0.00500000"]


def test_an_order_may_fill_while_it_is_cancelled(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    unknown = (-2011, "Unknown order sent.")
    order_id = trader.place(**LIMIT)["orderId"]
    local.order({"path": ORDER, "kind": "fill_on_cancel"})
    # A read does not use the rule up.
    assert trader.order(order_id)["status"] == "NEW"
    assert trader.refused("DELETE", "order", symbol="BTCUSDT", orderId=order_id) == unknown
    assert progress(trader, order_id) == ("FILLED", Decimal("0.01"))
    local.order({"path": ORDER, "kind": "partial", "share": 0.5})
    half = trader.ask("POST", "order", **LIMIT)["orderId"]
    whole = trader.place(**LIMIT)["orderId"]
    local.order({"path": "/api/v3/openOrders", "kind": "fill_on_cancel"})
    assert trader.refused("DELETE", "openOrders", symbol="BTCUSDT") == unknown
    assert {progress(trader, id_) for id_ in (half, whole)} == {("FILLED", Decimal("0.01"))}
    assert trader.balance("USDT") == (trader.has("USDT"), 0)


def test_requests_are_counted_by_method_where_that_is_not_get(local: LocalExchange) -> None:
    trader = local.trader(USDT="100000")
    names = (ORDER, f"POST {ORDER}", f"DELETE {ORDER}")
    before = [local.count(name) for name in names]
    order_id = trader.place(**LIMIT)["orderId"]
    trader.order(order_id)
    trader.ask("DELETE", "order", symbol="BTCUSDT", orderId=order_id)
    assert [local.count(name) for name in names] == [number + 1 for number in before]


def test_a_rule_that_no_order_can_follow_is_refused(local: LocalExchange) -> None:
    good = {"path": ORDER, "kind": "partial", "share": 0.5}
    for rule, field in (
        (good | {"share": 1}, "share"),
        (good | {"share": -0.1}, "share"),
        (good | {"share": True}, "share"),
        (good | {"share": None}, "share"),
        (good | {"reads": -1}, "reads"),
        (good | {"reads": 1.5}, "reads"),
        (good | {"method": "GET"}, "method"),
        (good | {"method": "PUT"}, "method"),
        (good | {"executed": True}, "executed"),
        ({"path": ORDER, "kind": "trades"}, "trades"),
        ({"path": ORDER, "kind": "trades", "trades": 1}, "trades"),
        ({"path": ORDER, "kind": "trades", "trades": 101}, "trades"),
        ({"path": ORDER, "kind": "trades", "trades": 2, "reads": 1}, "reads"),
        ({"path": ORDER, "kind": "fill_on_cancel", "method": "POST"}, "method"),
        ({"path": ORDER, "kind": "lost", "executed": False}, "executed"),
        ({"path": ORDER, "kind": "reset", "executed": True}, "executed"),
        ({"path": ORDER, "kind": "status", "executed": 1}, "executed"),
        ({"path": ORDER, "kind": "status", "share": 0.5}, "share"),
        ({"path": ORDER, "kind": "status", "trades": 2}, "trades"),
    ):
        reply = local.request("POST", "/_sim/faults", body=[rule])
        assert (reply.status, reply.json["error"].startswith(field)) == (400, True), (rule, reply.json)
    assert local.get("/_sim/faults") == []


def test_rules_are_listed_as_they_were_ordered(local: LocalExchange) -> None:
    local.order(
        {"path": ORDER, "kind": "lost", "method": "POST", "seconds": 3, "share": 0.5, "trades": 2},
        {"path": ORDER, "kind": "partial", "share": 0.25, "reads": 2, "times": None},
    )
    common = {"path": ORDER, "method": "POST"}
    assert local.get("/_sim/faults") == [
        common
        | {
            "kind": "lost",
            "times": 1,
            "seconds": 3,
            "executed": True,
            "share": 0.5,
            "reads": None,
            "trades": 2,
        },
        common | {"kind": "partial", "times": None, "share": 0.25, "reads": 2},
    ]
