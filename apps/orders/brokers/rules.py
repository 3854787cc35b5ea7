"""The rules of a market that an order must keep.

ccxt cuts off what is too fine and sends the rest: so an order is checked before, by what it is exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.candles.venues.errors import VenueRubbish
from apps.orders.amounts import floor
from apps.orders.brokers.base import BrokerOrder, Refused
from apps.orders.states import Kind


def is_multiple(amount: Decimal, step: Decimal) -> bool:
    """Whether *amount* is a whole multiple of *step*, which is above zero."""
    return floor(amount, step) == amount


def step_of(market: Mapping[str, Any], of: str) -> Decimal:
    """The step of quantities (``amount``) or of prices (``price``) of a market. Raises `VenueRubbish`."""
    step = Decimal(str(market["precision"][of]))
    if not step.is_finite() or step <= 0:
        raise VenueRubbish(f"{market['symbol']} has a step of {step} for its {of}")
    return step


def check(order: BrokerOrder, market: Mapping[str, Any]) -> None:
    """Raise `Refused` for an order that breaks a rule of its *market*, with the name of the rule as code.

    *market* is ccxt's entry, with numbers as text.
    """
    if market["spot"] is not True:
        raise Refused(f"{order.symbol} is not traded for what it is itself (spot)", code="NOT_SPOT")
    limits = market["limits"]
    _check_size("quantity", order.quantity, step_of(market, "amount"), limits["amount"], code="LOT_SIZE")
    if order.kind == Kind.MARKET:
        if order.price is not None:
            raise Refused("a market order takes no price", code="PRICE_FILTER")
        _check_range("quantity", order.quantity, limits.get("market"), code="MARKET_LOT_SIZE")
        return
    if order.price is None:
        raise Refused("a limit order needs a price", code="PRICE_FILTER")
    _check_size("price", order.price, step_of(market, "price"), limits["price"], code="PRICE_FILTER")
    _check_range("value", order.price * order.quantity, limits["cost"], code="NOTIONAL")


def _check_size(name: str, amount: Decimal, step: Decimal, limits: Mapping[str, Any], *, code: str) -> None:
    if not amount.is_finite() or amount <= 0:
        raise Refused(f"the {name} {amount} is not above zero", code=code)
    if not is_multiple(amount, step):
        raise Refused(f"the {name} {amount:f} is no multiple of {step:f}", code=code)
    _check_range(name, amount, limits, code=code)


def _check_range(name: str, amount: Decimal, limits: Mapping[str, Any] | None, *, code: str) -> None:
    least, most = (_bound(limits, end) for end in ("min", "max"))
    if least is not None and amount < least:
        raise Refused(f"the {name} {amount:f} is below the least, {least:f}", code=code)
    if most is not None and amount > most:
        raise Refused(f"the {name} {amount:f} is above the most, {most:f}", code=code)


def _bound(limits: Mapping[str, Any] | None, end: str) -> Decimal | None:
    """A bound of a range; None where there is none, which some exchanges write as zero."""
    given = (limits or {}).get(end)
    return None if given is None else Decimal(str(given)) or None
