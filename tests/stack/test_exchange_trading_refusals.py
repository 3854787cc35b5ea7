"""Orders that the simulated Binance does not take, and in which words."""

from __future__ import annotations

from typing import Any

from tests.stack.exchanges import LocalExchange, limit, local, standing

__all__ = ["local", "standing"]


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
