"""What stands in the books: accounts, balances, orders and trades. All amounts are in units of 10**-8."""

from __future__ import annotations

from dataclasses import dataclass

NEW = "NEW"
PARTIALLY_FILLED = "PARTIALLY_FILLED"
FILLED = "FILLED"
CANCELED = "CANCELED"
EXPIRED = "EXPIRED"

#: What an order may still be filled in.
OPEN = (NEW, PARTIALLY_FILLED)
#: The rest of an order that comes after no number of reads.
NEVER = -1


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who has a key."""

    account: int
    key: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Balance:
    """How much of *asset* an account has free and in open orders, and what it was opened with."""

    asset: str
    free: int
    locked: int
    initial: int


@dataclass(kw_only=True)
class Order:
    """One order. ``quote_quantity`` is 0 unless the order named what to spend or to receive.

    ``locked`` is what its account cannot use because of it, ``rest_price`` the price at which what is left
    of it fills, ``withheld`` the reads after which it does (`NEVER`), None when the market decides.
    """

    symbol: str
    order_id: int = 0
    account: int
    client_id: str
    side: str
    kind: str
    time_in_force: str
    price: int
    quantity: int
    quote_quantity: int
    executed: int = 0
    quote_executed: int = 0
    locked: int = 0
    rest_price: int
    status: str = NEW
    expiry_reason: str = ""
    withheld: int | None = None
    time: int
    update_time: int

    @property
    def buys(self) -> bool:
        return self.side == "BUY"

    @property
    def rest(self) -> int:
        """The quantity that is not filled."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True, kw_only=True)
class Resting:
    """Of an order that rests until the market comes to its price: what tells whether it did."""

    symbol: str
    order_id: int
    account: int
    side: str
    price: int
    time: int

    @property
    def buys(self) -> bool:
        return self.side == "BUY"


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One trade of an order. ``maker``: the order had been resting."""

    symbol: str
    trade_id: int
    order_id: int
    account: int
    price: int
    quantity: int
    quote: int
    commission: int
    commission_asset: str
    time: int
    buyer: bool
    maker: bool
