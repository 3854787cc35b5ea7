"""What follows from what a broker says of an order: events, trades to be recorded, and doubts. Pure.

An order ends here only when its trades are recorded: until then what is held would be wrong. Where the broker
says that more was traded than it shows trades of, the order stays as it is, and is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from apps.core import redaction
from apps.events.records import NewEvent
from apps.orders.amounts import exact, text, total
from apps.orders.brokers.base import BrokerFill, Report
from apps.orders.models import Order
from apps.orders.positions import Trade
from apps.orders.recording import NewFill
from apps.orders.states import Side, State

#: Characters of codes and reasons.
_CODE, _REASON = 64, 1000


class Known(Protocol):
    """A trade that is recorded already."""

    @property
    def order_id(self) -> object: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def fee(self) -> Decimal: ...
    @property
    def fee_currency(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a report means for an order."""

    events: tuple[NewEvent, ...]
    fills: tuple[NewFill, ...]
    #: What the broker says is recorded now, to the last trade.
    agrees: bool
    #: It agrees, and the order has ended at the broker.
    ended: bool
    #: Why a person has to look; empty where nobody has to.
    doubt: str = ""


def why(code: str, reason: str) -> dict[str, str]:
    """A code and a reason as events hold them: what others said is cut to what fits, without secrets."""
    return {"code": _shown(code)[:_CODE], "reason": _shown(reason)[:_REASON]}


def _shown(said: str) -> str:
    return redaction.text(said.replace("\0", "").encode(errors="replace").decode())


def needs_review(code: str, reason: str) -> NewEvent:
    """The event of that name."""
    return NewEvent(type="order.needs_review", data=why(code, reason))


def rejected(by: str, code: str, reason: str) -> NewEvent:
    """The event of that name. By ``us``, ``broker`` or ``person``."""
    return NewEvent(type="order.rejected", data={"by": by, **why(code, reason)})


def cancelled(by: str, code: str, reason: str) -> NewEvent:
    """The event of that name. By ``us``, ``broker`` or ``person``."""
    return NewEvent(type="order.cancelled", data={"by": by, **why(code, reason)})


def new_fill(order: Order, fill: BrokerFill, *, by: str = "broker") -> NewFill:
    """A trade of *order*, to be recorded. By ``broker`` or ``person``."""
    return NewFill(
        event=NewEvent(
            type="order.filled_part",
            data={
                "trade_id": fill.trade_id,
                "price": text(fill.price),
                "quantity": text(fill.quantity),
                "fee": text(fill.fee),
                "fee_currency": fill.fee_currency,
                "traded_at": fill.traded_at.isoformat(),
                "by": by,
            },
        ),
        trade=Trade(
            side=Side(order.side),
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_currency=fill.fee_currency,
            base=order.instrument.base,
            quote=order.instrument.quote,
        ),
    )


def read(
    *, order: Order, known: Mapping[str, Known], report: Report, trades: Sequence[BrokerFill], arrival: str
) -> Reading:
    """What *report* means for *order*, of which or of whose account the trades *known* are recorded.

    *trades* are the broker's trades of the order, as far as it shows them. *arrival* is the event that says
    that the broker has it: ``order.submitted`` in the answer to a submission, else ``order.found``.
    """
    fresh, doubt = _sifted(order, known, trades)
    filled = total(order.filled, *(trade.quantity for trade in fresh))
    if not doubt and filled > order.quantity:
        doubt = "overfilled", f"{text(filled)} of {text(order.quantity)} were traded"
    agrees = not doubt and filled == report.filled
    if agrees:
        doubt = _contradiction(order, report, filled)
        agrees = not doubt
    if agrees and report.state == State.REJECTED and order.state not in (State.CANCELLED, State.EXPIRED):
        event = rejected("broker", "rejected", report.reason)
        return Reading(events=(event,), fills=(), agrees=True, ended=True)
    events: list[NewEvent] = []
    held_back = order.state == State.NEEDS_REVIEW and not agrees
    if order.state in (State.ACCEPTED, State.UNKNOWN, State.NEEDS_REVIEW) and not held_back:
        events.append(NewEvent(type=arrival, data={"venue_order_id": report.venue_order_id}))
    fills = tuple(new_fill(order, trade) for trade in fresh)
    events += [fill.event for fill in fills]
    if doubt and order.state != State.NEEDS_REVIEW:
        events.append(needs_review(*doubt))
    ended = agrees and report.state not in (State.SUBMITTED, State.PARTIALLY_FILLED)
    if ended and filled < order.quantity and order.state not in (State.CANCELLED, State.EXPIRED):
        events.append(_end(report))
    return Reading(
        events=tuple(events), fills=fills, agrees=agrees, ended=ended, doubt=doubt[1] if doubt else ""
    )


def _end(report: Report) -> NewEvent:
    if report.state == State.EXPIRED:
        return NewEvent(type="order.expired", data={"reason": why("", report.reason)["reason"]})
    return cancelled("broker", "", report.reason)


def _sifted(
    order: Order, known: Mapping[str, Known], trades: Sequence[BrokerFill]
) -> tuple[list[BrokerFill], tuple[str, str] | None]:
    """The trades that are new and can be recorded; and why a person has to look."""
    fresh: dict[str, BrokerFill] = {}
    doubt: tuple[str, str] | None = None
    for trade in trades:
        seen = known.get(trade.trade_id)
        again = fresh.get(trade.trade_id)
        if seen is not None and seen.order_id != order.pk:
            doubt = "conflicting_fill", f"trade {trade.trade_id} is recorded as one of order {seen.order_id}"
        elif (seen is not None and _content(seen) != _content(trade)) or (
            again is not None and again != trade
        ):
            doubt = (
                "conflicting_fill",
                f"trade {trade.trade_id} is recorded otherwise than the broker tells it",
            )
        elif not (trade.price > 0 and trade.quantity > 0) or not all(
            exact(value) for value in (trade.price, trade.quantity, trade.fee)
        ):
            doubt = "unusable_fill", f"trade {trade.trade_id} has amounts that cannot be"
        elif seen is None:
            fresh[trade.trade_id] = trade
    return list(fresh.values()), doubt


def _content(trade: Known | BrokerFill) -> tuple[Decimal, Decimal, Decimal, str]:
    return trade.price, trade.quantity, trade.fee, trade.fee_currency


def _contradiction(order: Order, report: Report, filled: Decimal) -> tuple[str, str] | None:
    """Why what the broker says cannot be, although all its trades are recorded."""
    if report.state == State.FILLED and filled != order.quantity:
        return (
            "filled_short",
            f"the broker says that it is filled, with {text(filled)} of {text(order.quantity)}",
        )
    if report.state == State.REJECTED and filled:
        return "rejected_after_fill", f"the broker says that it was rejected, with {text(filled)} traded"
    return None
