"""Orders, trades and accounts as the exchange tells of them in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from apps.stack.exchange.amounts import printed
from apps.stack.exchange.entries import Account, Balance, Order, Trade
from apps.stack.exchange.markets import SELF_TRADE_PREVENTION
from apps.stack.exchange.matching import COMMISSION
from apps.stack.exchange.tickets import ACK, FULL

_RATE = f"{float(COMMISSION):.8f}"
_NO_RATE = "0.00000000"


def _named(order: Order, client_id: str) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": client_id,
    }


def _progress(order: Order) -> dict[str, Any]:
    return {
        "price": printed(order.price),
        "origQty": printed(order.quantity),
        "executedQty": printed(order.executed),
        "origQuoteOrderQty": printed(order.quote_quantity),
        "cummulativeQuoteQty": printed(order.quote_executed),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.kind,
        "side": order.side,
    }


def _ending(order: Order) -> dict[str, Any]:
    expiry = {"expiryReason": order.expiry_reason} if order.expiry_reason else {}
    return {"selfTradePreventionMode": SELF_TRADE_PREVENTION, **expiry}


def placed(order: Order, trades: Sequence[Trade], response: str) -> dict[str, Any]:
    """The answer to a new order."""
    answer = _named(order, order.client_id) | {"transactTime": order.time}
    if response == ACK:
        return answer
    answer |= _progress(order) | {"workingTime": order.time} | _ending(order)
    if response == FULL:
        answer["fills"] = [
            {
                "price": printed(trade.price),
                "qty": printed(trade.quantity),
                "commission": printed(trade.commission),
                "commissionAsset": trade.commission_asset,
                "tradeId": trade.trade_id,
            }
            for trade in trades
        ]
    return answer


def cancelled(order: Order, client_id: str) -> dict[str, Any]:
    """The answer to a cancellation that has *client_id* as its own."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        **_named(order, client_id),
        "transactTime": order.update_time,
        **_progress(order),
        **_ending(order),
    }


def of_order(order: Order) -> dict[str, Any]:
    """An order as it is."""
    return {
        **_named(order, order.client_id),
        **_progress(order),
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": order.time,
        "updateTime": order.update_time,
        "isWorking": True,
        "workingTime": order.time,
        **_ending(order),
    }


def of_trade(trade: Trade) -> dict[str, Any]:
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": printed(trade.price),
        "qty": printed(trade.quantity),
        "quoteQty": printed(trade.quote),
        "commission": printed(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time,
        "isBuyer": trade.buyer,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def of_account(account: Account, balances: Iterable[Balance], *, updated_ms: int) -> dict[str, Any]:
    commission = int(COMMISSION * 10_000)
    return {
        "makerCommission": commission,
        "takerCommission": commission,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": _RATE, "taker": _RATE, "buyer": _NO_RATE, "seller": _NO_RATE},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": balance.asset, "free": printed(balance.free), "locked": printed(balance.locked)}
            for balance in balances
        ],
        "permissions": ["SPOT"],
        "uid": account.account,
    }


def rates_of_test() -> dict[str, Any]:
    """What an order that is only tried would cost."""
    none = {"maker": _NO_RATE, "taker": _NO_RATE}
    return {
        "standardCommissionForOrder": {"maker": _RATE, "taker": _RATE},
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": _NO_RATE,
        },
    }
