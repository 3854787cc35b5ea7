"""What a broker is: the one place where orders leave this system.

A broker submits, looks up and cancels, and says plainly what it knows of the outcome. It never tries again:
what follows from an outcome is decided by `apps.orders.submission` and `apps.orders.verification`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from apps.orders.states import Kind, Side, State


@dataclass(frozen=True, kw_only=True)
class BrokerOrder:
    """What a broker is told of an order."""

    #: Ours, at most 36 characters of ``[A-Za-z0-9_-]``; the same in every submission and look-up.
    client_order_id: str
    #: As ccxt spells it: ``BTC/USDT``.
    symbol: str
    side: Side
    kind: Kind
    #: In units of the base currency, exact: what the broker would round is refused.
    quantity: Decimal
    #: The limit, in the quote currency; None for market orders.
    price: Decimal | None = None
    #: The broker's own id, where it is known.
    venue_order_id: str = ""
    #: When its submission began, by `time.monotonic()` of this process; None: now. What began too long ago
    #: is not sent any more.
    begun: float | None = None


@dataclass(frozen=True, kw_only=True)
class BrokerFill:
    """One trade of an order, as the broker reports it."""

    #: Unique among the trades of one symbol of one account at this broker.
    trade_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal = Decimal(0)
    #: What the fee was taken in; empty where there was none.
    fee_currency: str = ""
    #: Among the trades in the answer to a submission it may be the order's time, some milliseconds earlier.
    traded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the broker says of an order that it has."""

    venue_order_id: str
    #: SUBMITTED (open), PARTIALLY_FILLED, FILLED, CANCELLED, REJECTED or EXPIRED.
    state: State
    filled: Decimal
    #: The trades, where the answer holds them: all of them or none (then `Broker.fills` has them).
    fills: Sequence[BrokerFill] = field(default_factory=tuple)
    reason: str = ""


class BrokerError(Exception):
    """A broker did not do what was asked. ``code`` is its own code for that, where it has one."""

    def __init__(self, message: str, *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        #: Seconds that it asked to be left alone for.
        self.retry_after = retry_after


class Refused(BrokerError):
    """It said no, for good: the order does not exist there and will not."""


class NotTaken(BrokerError):
    """It did not take the order, certainly, and may later: nothing was executed."""


class Unanswered(BrokerError):
    """Whether the order exists is not known. It must be looked up, and must not be submitted again."""


class Unavailable(BrokerError):
    """A look-up had no answer. Nothing is known that was not known before."""


class Unreadable(BrokerError):
    """A look-up had an answer that says nothing that could be understood of an order."""


class Broker(Protocol):
    """One account at one broker. Every method may take seconds, and none is called within a transaction."""

    #: Seconds after a submission from which a look-up that finds nothing proves that the broker never had
    #: the order and cannot take it any more. None: nothing proves it.
    absence_is_proof_after: float | None

    def submit(self, order: BrokerOrder) -> Report:
        """Submit *order*, once. Raises `Refused`, `NotTaken` or `Unanswered`."""
        ...

    def find(self, order: BrokerOrder) -> Report | None:
        """What the broker knows of *order*, by its own id or ours; None where it says that there is none.

        Raises `Unavailable`, `Unreadable`, and `Refused` where it does not let us look (keys).
        """
        ...

    def fills(self, order: BrokerOrder) -> Sequence[BrokerFill]:
        """All trades of *order*, oldest first. Its ``venue_order_id`` must be known. Raises as `find`."""
        ...

    def cancel(self, order: BrokerOrder) -> Report | None:
        """Ask to cancel *order*. What it is afterwards; None where the broker does not say (look it up).

        An order that had ended already is no error: its state is reported. Raises as `find`.
        """
        ...

    def lot(self, symbol: str) -> Decimal:
        """The step of quantities of *symbol*: they are whole multiples of it. Raises as `find`."""
        ...
