"""Finding out at the broker what became of an order: one look, and when the next one is due.

A look records what the broker says, and leads to one of these: the order has ended and is verified; it is
looked at again, after a wait that doubles; the broker proves that it never had it, and it is submitted again
under the same client order id; or a person has to look.

Looks that the broker does not answer make the waits longer, but are not counted: however long an exchange is
away, its orders are found when it is back, after no longer than it was away.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, DataError

from apps.core.database import clock
from apps.events.records import NewEvent
from apps.orders import conf
from apps.orders.amounts import text
from apps.orders.brokers.base import Broker, BrokerError, BrokerFill, Refused, Report, Unreadable
from apps.orders.broking import broker_of, order_get, reading_of, told, too_late, trades_of
from apps.orders.models import Order
from apps.orders.moving import look_planned, order_move
from apps.orders.outcomes import Reading, cancelled, needs_review, rejected, why
from apps.orders.reasons import REASONS
from apps.orders.recording import order_locked
from apps.orders.requesting import submission_request
from apps.orders.states import TO_VERIFY, Kind, State
from apps.tasks import Fenced, current_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look came to."""

    #: None where the broker says that there is no such order, and where it says nothing.
    report: Report | None = None
    trades: Sequence[BrokerFill] = ()
    #: Why nothing can be said, where that is so.
    error: BrokerError | None = None
    #: Whether that the broker has no such order proves that it never had it, and cannot get it any more.
    proof: bool = False


def order_look(order_id: str, look: int) -> dict[str, Any]:
    """Look at an order for the *look*-th time, and record what was seen with the success of the run.

    Nothing is done where that look was made already, or nothing is left to be found out.
    """
    order = order_get(order_id)
    if not _expected(order, look):
        return {"state": order.state}
    seen = _look(order)
    try:
        state = _recorded(order, look, seen)
    except Fenced:
        raise
    except Exception as exc:
        if isinstance(exc, DatabaseError) and not isinstance(exc, DataError):
            raise
        # Tried again, it would come to the same, for ever: so it counts as an answer like any other.
        logger.exception("order %s: what the broker says of it cannot be recorded", order.pk)
        state = _recorded(order, look, Seen(error=_unusable(exc)))
    return {"state": state}


def _recorded(order: Order, look: int, seen: Seen) -> str:
    """Record what was seen, if the look is still the one that is due. The state after it."""
    with current_run().completing():
        now = order_locked(order.pk)
        if _expected(now, look) and now.submissions == order.submissions:
            _record(now, look, seen)
    return now.state


def _expected(order: Order, look: int) -> bool:
    """Whether this is the look that is due. One of an order in review was asked for by a person."""
    return order.looks + 1 == look and (order.to_be_looked_at or order.state == State.NEEDS_REVIEW)


def _look(order: Order) -> Seen:
    """Ask the broker. Takes seconds."""
    try:
        broker = broker_of(order)
        proves = _proves_absence(broker, order)
        report = broker.find(told(order))
        if report is None:
            return Seen(proof=proves)
        return Seen(report=report, trades=trades_of(broker, order, report))
    except BrokerError as exc:
        return Seen(error=exc)
    except (DatabaseError, ImproperlyConfigured):
        raise
    except Exception as exc:
        logger.exception("order %s: the look failed in a way that brokers should not", order.pk)
        return Seen(error=_unusable(exc))


def _unusable(exc: Exception) -> Unreadable:
    return Unreadable(f"{type(exc).__name__}: {exc}")


def _proves_absence(broker: Broker, order: Order) -> bool:
    """Whether a look that begins now and finds nothing proves that the broker never had the order."""
    after, begun = broker.absence_is_proof_after, order.submission_started_at
    if order.state != State.UNKNOWN or after is None or begun is None:
        return False
    keys_set_at = order.account.keys_set_at
    if not order.simulation and keys_set_at is not None and keys_set_at >= begun:
        # They may be those of another account at the exchange than the one that was asked to take it.
        return False
    # The database's clock says when the submission began, on whatever machine that was.
    return clock() - begun.timestamp() >= after


def _record(order: Order, look: int, seen: Seen) -> None:
    """What follows from a look, for the order, which is locked."""
    if seen.report is not None:
        _found(order, look, seen.report, seen.trades)
    elif seen.error is not None:
        outcome = _unseen(seen.error)
        error = why("", f"{seen.error.code} {seen.error}".strip())["reason"]
        order_move(order, [_looked(look, outcome, error=error)])
        code = "unreadable" if outcome == "unreadable" else "look_refused"
        _again(order, code, f"{REASONS[code]} {error}", seen.error.retry_after)
    elif seen.proof:
        _absent(order, look)
    else:
        order_move(order, [_looked(look, "absent")])
        _again(order, "not_found", REASONS["not_found"])


def _unseen(error: BrokerError) -> str:
    """The outcome of a look by which nothing was seen."""
    if isinstance(error, Unreadable):
        return "unreadable"
    return "refused" if isinstance(error, Refused) else "unavailable"


def _found(order: Order, look: int, report: Report, trades: Sequence[BrokerFill]) -> None:
    reading = reading_of(order, report, trades, arrival="order.found")
    # Where one that has ended is said to be open, what the broker reads from lags behind.
    open_ = reading.agrees and order.state not in TO_VERIFY
    outcome = "ended" if reading.ended else "doubt" if reading.doubt else "open" if open_ else "behind"
    looked = _looked(
        look, outcome, state=report.state.value, filled=text(report.filled), new=len(reading.fills),
        error=reading.doubt,
    )  # fmt: skip
    order_move(order, [looked, *reading.events], reading.fills)
    if reading.ended and order.state in TO_VERIFY:
        order_move(order, [NewEvent(type="order.verified", data={"filled": text(order.filled)})])
        return
    _again(order, *_open_too_long(order, reading))


def _open_too_long(order: Order, reading: Reading) -> tuple[str, str]:
    """Why a person has to look, should this have been the last look."""
    code = "still_open" if reading.agrees and order.kind == Kind.MARKET else "unverified"
    return code, REASONS[code]


def _again(order: Order, code: str, reason: str, retry_after: float | None = None) -> None:
    """Plan the next look; or leave the order to a person, where that would be one too many."""
    if order.to_be_looked_at and order.fruitless_looks >= conf.verify_looks():
        order_move(order, [needs_review(code, reason)])
        return
    look_planned(order, retry_after=retry_after)


def _absent(order: Order, look: int) -> None:
    """The broker never had the order: submit it again, unless that is too late or not wanted any more."""
    absent = NewEvent(type="order.absent", data={"submission": order.submissions})
    order_move(order, [_looked(look, "absent"), absent])
    if order.cancel_requested:
        order_move(order, [cancelled("person", "cancelled", REASONS["cancelled"])])
    elif too_late(order):
        order_move(order, [rejected("us", "never_reached", REASONS["never_reached"])])
    else:
        submission_request(order)


def _looked(
    look: int, outcome: str, *, state: str = "", filled: str = "", new: int = 0, error: str = ""
) -> NewEvent:
    return NewEvent(
        type="order.looked",
        data={
            "look": look, "outcome": outcome, "state": state, "filled": filled, "new": new, "error": error,
        },
    )  # fmt: skip


#: What a look may come to, as ``order.looked`` has it.
OUTCOMES = {
    "open": "the broker has it open, with the trades that are recorded",
    "ended": "it has ended at the broker, with the trades that are recorded",
    "behind": "what the broker says is not all there yet: trades, or the end",
    "doubt": "what the broker says contradicts what is recorded",
    "absent": "the broker says that there is no such order",
    "refused": "the broker did not let us look",
    "unreadable": "the broker's answer could not be understood",
    "unavailable": "the broker did not answer",
}
