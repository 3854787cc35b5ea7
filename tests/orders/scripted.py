"""A broker in memory, which does as it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.orders.brokers.base import BrokerError, BrokerFill, BrokerOrder, Report, Unanswered
from apps.orders.states import State

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Booked:
    """An order that the broker has."""

    order: BrokerOrder
    venue_order_id: str
    state: State = State.SUBMITTED
    fills: list[BrokerFill] = field(default_factory=list)
    #: Trades that count as traded, and are not shown yet.
    hidden: int = 0

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def visible(self) -> list[BrokerFill]:
        return self.fills[: len(self.fills) - self.hidden]


Step = str | BrokerError | Exception | Callable[["ScriptedBroker", BrokerOrder], Report]


class ScriptedBroker:
    """One account at a broker. ``script`` says what the next submissions come to; then all are filled."""

    def __init__(self) -> None:
        self.absence_is_proof_after: float | None = 0.0
        self.script: deque[Step] = deque()
        self.book: dict[str, Booked] = {}
        self.submissions: list[BrokerOrder] = []
        self.cancels: list[str] = []
        #: What looks, and cancellations, raise.
        self.down: BrokerError | None = None
        self.cancel_fails: BrokerError | None = None
        self.cancel_says = True
        self.price = Decimal(100)
        self.fee: tuple[Decimal, str] = (Decimal(0), "")
        self.step = Decimal("0.001")
        #: Called within a submission: what happens meanwhile.
        self.meanwhile: Callable[[], Any] | None = None
        self.with_fills = True

    # What tests do to it --------------------------------------------------------------------------

    def __getitem__(self, order: Any) -> Booked:
        return self.book[str(order.pk)]

    def trade(self, order: Any, quantity: str, price: str | None = None, *, trade_id: str = "") -> BrokerFill:
        """Somebody trades with an order that is open."""
        booked = self[order]
        fill = self._trade(booked, Decimal(quantity), Decimal(price) if price else None, trade_id)
        whole = booked.filled == booked.order.quantity
        booked.state = State.FILLED if whole else State.PARTIALLY_FILLED
        return fill

    def end(self, order: Any, state: State) -> None:
        self[order].state = state

    def _trade(
        self, booked: Booked, quantity: Decimal, price: Decimal | None, trade_id: str = ""
    ) -> BrokerFill:
        count = sum(len(one.fills) for one in self.book.values())
        fill = BrokerFill(
            trade_id=trade_id or f"t{count + 1}",
            price=price or booked.order.price or self.price,
            quantity=quantity,
            fee=self.fee[0],
            fee_currency=self.fee[1],
            traded_at=AT,
        )
        booked.fills.append(fill)
        return fill

    # What orders ask of it ------------------------------------------------------------------------

    def submit(self, order: BrokerOrder) -> Report:
        self.submissions.append(order)
        if self.meanwhile is not None:
            doing, self.meanwhile = self.meanwhile, None
            doing()
        step = self.script.popleft() if self.script else "fill"
        if callable(step) and not isinstance(step, Exception):
            return step(self, order)
        if isinstance(step, Exception):
            raise step
        booked = self.book[order.client_order_id] = Booked(order, f"v{len(self.book) + 1}")
        for part in step.split():
            if part == "fill":
                self._trade(booked, order.quantity - booked.filled, None)
                booked.state = State.FILLED
            elif part == "half":
                self._trade(booked, order.quantity / 2, None)
                booked.state = State.PARTIALLY_FILLED
            elif part in ("expired", "cancelled", "rejected"):
                booked.state = State(part)
            elif part == "lost":
                raise Unanswered("no answer", code="-1007")
            elif part == "hide":
                booked.hidden = 1
            else:
                assert part == "rest", part
        return self._report(booked)

    def _report(self, booked: Booked) -> Report:
        fills = booked.visible if self.with_fills and not booked.hidden else ()
        return Report(
            venue_order_id=booked.venue_order_id,
            state=booked.state,
            filled=booked.filled,
            fills=tuple(fills),
            reason="because" if booked.state == State.REJECTED else "",
        )

    def _check(self) -> None:
        if self.down is not None:
            raise self.down

    def find(self, order: BrokerOrder) -> Report | None:
        self._check()
        booked = self.book.get(order.client_order_id)
        return None if booked is None else self._report(booked)

    def fills(self, order: BrokerOrder) -> Sequence[BrokerFill]:
        self._check()
        assert order.venue_order_id
        return list(self.book[order.client_order_id].visible)

    def cancel(self, order: BrokerOrder) -> Report | None:
        self.cancels.append(order.client_order_id)
        if self.cancel_fails is not None:
            raise self.cancel_fails
        self._check()
        booked = self.book[order.client_order_id]
        if booked.state in (State.SUBMITTED, State.PARTIALLY_FILLED):
            booked.state = State.CANCELLED
        return self._report(booked) if self.cancel_says else None

    def lot(self, symbol: str) -> Decimal:
        self._check()
        return self.step


def changed(fill: BrokerFill, **changes: Any) -> BrokerFill:
    return replace(fill, **changes)
