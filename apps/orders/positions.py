"""What is held after a trade: average cost, exact to 18 places.

What is held has a *cost*: the quote currency paid for it, negative where it is held short. A trade that adds
adds its value to the cost; one that closes takes out the share of the cost that belongs to what it closes,
and the difference to its value is realised. One that goes through zero closes all and opens the rest.

Fees are realised at once. One in the quote currency is taken from what is realised. One in the base currency
is a sale of that much at the trade's price, of which the proceeds are the fee: less is held (more, if short),
and its value is taken from what is realised. One in another currency is only added up.

Values are products rounded once to 18 places, halves to even. So whatever is rounded, what was realised less
the cost of what is held is to the last digit the sum of what all trades brought and cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from apps.orders.amounts import product, ratio, share, total
from apps.orders.states import Side


@dataclass(frozen=True, kw_only=True)
class Trade:
    """What a fill says, and of which currencies."""

    side: Side
    price: Decimal
    #: In units of the base currency; positive.
    quantity: Decimal
    #: Negative is a rebate.
    fee: Decimal
    fee_currency: str
    base: str
    quote: str


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What is held, and what came of what was closed."""

    #: In units of the base currency; negative is short.
    quantity: Decimal = Decimal(0)
    #: In the quote currency; negative where it is held short.
    cost: Decimal = Decimal(0)
    #: In the quote currency.
    realised: Decimal = Decimal(0)
    #: By currency.
    fees: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def average_price(self) -> Decimal | None:
        """What a unit of it cost, rounded; None while nothing is held."""
        return ratio(self.cost, self.quantity) if self.quantity else None


def traded(holding: Holding, trade: Trade) -> Holding:
    """What is held after *trade*."""
    signed = trade.quantity if trade.side == Side.BUY else trade.quantity.copy_negate()
    after = _moved(holding, signed, trade.price)
    if not trade.fee:
        return after
    fees = {**after.fees}
    fees[trade.fee_currency] = total(fees.get(trade.fee_currency, Decimal(0)), trade.fee)
    after = replace(after, fees=fees)
    if trade.fee_currency == trade.base:
        value = product(trade.fee, trade.price)
        after = _moved(after, trade.fee.copy_negate(), trade.price)
        return replace(after, realised=total(after.realised, value.copy_negate()))
    if trade.fee_currency == trade.quote:
        return replace(after, realised=total(after.realised, trade.fee.copy_negate()))
    return after


def _moved(holding: Holding, signed: Decimal, price: Decimal) -> Holding:
    """What is held after *signed* was bought (or sold, where negative) at *price*, without a fee."""
    value = product(signed, price)
    if holding.quantity * signed >= 0:
        return replace(holding, quantity=total(holding.quantity, signed), cost=total(holding.cost, value))
    closing = min(signed.copy_abs(), holding.quantity.copy_abs())
    # What was paid for the closed part, and what is paid for it now, both with their signs.
    out = share(holding.cost, closing, holding.quantity.copy_abs())
    paid = value if closing == signed.copy_abs() else share(value, closing, signed.copy_abs())
    return replace(
        holding,
        quantity=total(holding.quantity, signed),
        cost=total(holding.cost, out.copy_negate(), value, paid.copy_negate()),
        realised=total(holding.realised, paid.copy_negate(), out.copy_negate()),
    )
