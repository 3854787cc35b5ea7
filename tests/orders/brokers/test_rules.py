"""The rules of a market: what is refused before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from apps.candles.venues import VenueRubbish
from apps.orders.brokers import BrokerOrder, Refused
from apps.orders.brokers.rules import check
from apps.orders.states import Kind, Side

#: As ccxt has it, with numbers as text. Zero is no bound.
MARKET: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "spot": True,
    "precision": {"amount": "0.001", "price": "0.05"},
    "limits": {
        "amount": {"min": "0.002", "max": "100"},
        "market": {"min": "0.00000000", "max": "5"},
        "price": {"min": "1", "max": "1000"},
        "cost": {"min": "10", "max": "20000"},
    },
}


def order(quantity: str, price: str | None = None) -> BrokerOrder:
    return BrokerOrder(
        client_order_id="x",
        symbol="BTC/USDT",
        side=Side.BUY,
        kind=Kind.MARKET if price is None else Kind.LIMIT,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
    )


def broken(asked: BrokerOrder, market: dict[str, Any]) -> str | None:
    """The rule that an order breaks."""
    try:
        with localcontext(Context(prec=80)):
            check(asked, market)
    except Refused as error:
        return error.code
    return None


def test_each_rule_has_its_border() -> None:
    cases = [
        (order("0.002"), None),
        (order("0.001"), "LOT_SIZE"),
        (order("0.0025"), "LOT_SIZE"),
        (order("5"), None),
        (order("5.001"), "MARKET_LOT_SIZE"),
        (order("100", "100"), None),
        (order("100.001", "100"), "LOT_SIZE"),
        (order("0.1", "100.05"), None),
        (order("0.1", "100.01"), "PRICE_FILTER"),
        (order("11", "1"), None),
        (order("11", "0.95"), "PRICE_FILTER"),
        (order("0.1", "1000"), None),
        (order("0.1", "1000.05"), "PRICE_FILTER"),
        (order("0.1", "100"), None),
        (order("0.1", "99.95"), "NOTIONAL"),
        (order("20", "1000"), None),
        (order("20.001", "1000"), "NOTIONAL"),
    ]
    for asked, code in cases:
        assert broken(asked, MARKET) == code, asked


def test_the_last_of_thirty_eight_digits_counts() -> None:
    fine = MARKET | {
        "precision": {"amount": "0.000000000000000001", "price": "1"},
        "limits": {"amount": {}, "price": {}, "cost": {"min": None, "max": None}},
    }
    huge = "99999999999999999999.000000000000000001"
    assert broken(order(huge), fine) is None
    coarse = fine | {"precision": {"amount": "0.00000000000000001", "price": "1"}}
    assert broken(order(huge), coarse) == "LOT_SIZE"


def test_only_the_thing_itself_is_traded() -> None:
    assert broken(order("1"), MARKET | {"spot": False}) == "NOT_SPOT"
    assert broken(replace(order("1", "20"), kind=Kind.MARKET), MARKET) == "PRICE_FILTER"


def test_steps_that_are_none_are_the_exchanges_mistake() -> None:
    for step in ("0", "-1", "NaN"):
        with pytest.raises(VenueRubbish):
            check(order("1"), MARKET | {"precision": {"amount": step, "price": "1"}})
