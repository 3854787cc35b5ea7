"""What an exchange says of an order and its trades: ccxt's structures, read exactly, text to decimal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.orders.brokers.base import BrokerFill, BrokerOrder, Report, Unreadable
from apps.orders.states import State

_STATES: Mapping[str, State] = {
    "open": State.SUBMITTED,
    "canceling": State.SUBMITTED,
    "closed": State.FILLED,
    "canceled": State.CANCELLED,
    "expired": State.EXPIRED,
    "rejected": State.REJECTED,
}

#: Digits before or after the point that no amount has.
_PLACES = 100


def read_report(order: BrokerOrder, answer: Mapping[str, Any], *, placed: bool = False) -> Report:
    """What an *answer* about *order* says. Raises `Unreadable`.

    Where the order was just *placed*, one without a state only confirms that the exchange has it.
    """
    venue_order_id = answer.get("id")
    if not venue_order_id:
        raise Unreadable("an order without an id")
    status = answer.get("status")
    if placed and status is None:
        return Report(venue_order_id=str(venue_order_id), state=State.SUBMITTED, filled=Decimal(0))
    state = _STATES.get(str(status))
    if state is None:
        raise Unreadable(f"an order in the state {status!r}")
    filled = _amount(answer.get("filled"), "filled")
    if filled < 0:
        raise Unreadable(f"{filled:f} filled")
    fills = _fills_within(answer)
    return Report(
        venue_order_id=str(venue_order_id),
        state=_state(state, filled, order.quantity),
        filled=filled,
        fills=fills if sum(fill.quantity for fill in fills) == filled else (),
    )


def _state(state: State, filled: Decimal, quantity: Decimal) -> State:
    if state == State.SUBMITTED and filled:
        return State.PARTIALLY_FILLED
    if state == State.FILLED and filled < quantity:
        # "Closed" says only that it is over.
        return State.CANCELLED
    return state


def read_fills(order: BrokerOrder, trades: Iterable[Mapping[str, Any]]) -> Sequence[BrokerFill]:
    """Trades of *order*, oldest first, each once. Raises `Unreadable`."""
    fills: dict[str, BrokerFill] = {}
    for trade in trades:
        if str(trade["order"]) != order.venue_order_id:
            raise Unreadable(f"a trade of the order {trade['order']} among those of {order.venue_order_id}")
        fill = _fill(trade, trade["timestamp"])
        fills[fill.trade_id] = fill
    return sorted(fills.values(), key=lambda fill: (fill.traded_at, len(fill.trade_id), fill.trade_id))


def _fills_within(answer: Mapping[str, Any]) -> Sequence[BrokerFill]:
    """The trades in an answer about their order, if it has them in full."""
    moment = answer.get("timestamp")
    trades = answer.get("trades") or ()
    if not all(trade.get("price") for trade in trades):
        return ()
    return [_fill(trade, trade.get("timestamp") or moment) for trade in trades]


def _fill(trade: Mapping[str, Any], moment: Any) -> BrokerFill:
    if not trade.get("id") or moment is None:
        raise Unreadable("a trade without an id or a time")
    price, quantity = _amount(trade.get("price"), "price"), _amount(trade.get("amount"), "quantity")
    if price <= 0 or quantity <= 0:
        raise Unreadable(f"a trade of {quantity:f} at {price:f}")
    fees = [fee for fee in trade.get("fees") or [trade.get("fee") or {}] if fee.get("cost") is not None]
    if len(fees) > 1:
        raise Unreadable("a trade with several fees")
    fee = _amount(fees[0]["cost"], "fee") if fees else Decimal(0)
    return BrokerFill(
        trade_id=str(trade["id"]),
        price=price,
        quantity=quantity,
        fee=fee,
        fee_currency=str(fees[0].get("currency") or "") if fee else "",
        traded_at=_time(moment),
    )


def _time(moment: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(moment) / 1000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"{moment!r} for what is a time") from None


def _amount(text: Any, name: str) -> Decimal:
    if not isinstance(text, str | int):
        # A float would be what the exchange said only nearly.
        raise Unreadable(f"{text!r} for what is {name}")
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise Unreadable(f"{text!r} for what is {name}") from None
    # The exponent is bounded as well: amounts are written out, and each of its digits is one of the text.
    if (
        not amount.is_finite()
        or abs(int(amount.as_tuple().exponent)) > _PLACES
        or amount.adjusted() > _PLACES
    ):
        raise Unreadable(f"{text!r} for what is {name}")
    return amount
