"""What an order can be, and what can happen to it."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class State(models.TextChoices):
    RECEIVED = "received", "Received: recorded, not checked yet"
    ACCEPTED = "accepted", "Accepted: checked, to be submitted"
    SUBMITTED = "submitted", "Submitted: the broker has it"
    PARTIALLY_FILLED = "partially_filled", "Partially filled: some of it was traded, the rest is open"
    UNKNOWN = "unknown", "Unknown: submitted without an answer, to be looked up"
    FILLED = "filled", "Filled: all of it was traded"
    CANCELLED = "cancelled", "Cancelled: ended before all of it was traded"
    REJECTED = "rejected", "Rejected: refused by us or by the broker"
    EXPIRED = "expired", "Expired: ended by the broker, for its time or its kind"
    NEEDS_REVIEW = "needs_review", "Needs review: nobody could find out, a person has to"


#: Nothing more is expected to happen to these.
ENDED = frozenset({State.FILLED, State.CANCELLED, State.REJECTED, State.EXPIRED})
#: These may have an order at the broker, and are looked at.
AT_BROKER = frozenset({State.SUBMITTED, State.PARTIALLY_FILLED, State.UNKNOWN, State.NEEDS_REVIEW})
#: These may still change what is held.
WORKING = frozenset(set(State) - ENDED)

#: Looks at the broker, and a person's decision, lead to these.
_OUTCOMES = frozenset(
    {State.SUBMITTED, State.PARTIALLY_FILLED, State.FILLED, State.CANCELLED, State.REJECTED, State.EXPIRED}
)

#: State -> the states that may follow it. The empty text is what comes before an order.
TRANSITIONS: Mapping[str, frozenset[State]] = {
    "": frozenset({State.RECEIVED}),
    State.RECEIVED: frozenset({State.ACCEPTED, State.REJECTED, State.CANCELLED}),
    State.ACCEPTED: _OUTCOMES | {State.UNKNOWN},
    # Back to accepted only where looking it up has proved that the broker never had it.
    State.UNKNOWN: _OUTCOMES | {State.ACCEPTED, State.NEEDS_REVIEW},
    State.SUBMITTED: _OUTCOMES - {State.SUBMITTED} | {State.NEEDS_REVIEW},
    State.PARTIALLY_FILLED: frozenset(
        {State.FILLED, State.CANCELLED, State.EXPIRED, State.REJECTED, State.NEEDS_REVIEW}
    ),
    State.NEEDS_REVIEW: _OUTCOMES,
    # A fill that was reported late.
    State.CANCELLED: frozenset({State.FILLED}),
    State.EXPIRED: frozenset({State.FILLED}),
    State.FILLED: frozenset(),
    State.REJECTED: frozenset(),
}


class Side(models.TextChoices):
    BUY = "buy", "Buy"
    SELL = "sell", "Sell"


class Kind(models.TextChoices):
    MARKET = "market", "Market: at whatever price there is"
    LIMIT = "limit", "Limit: at this price or a better one"


class Intent(models.TextChoices):
    """What an order is for."""

    PLAIN = "plain", "Plain: buy or sell a quantity"
    ENTRY = "entry", "Entry: open a position or add to it"
    EXIT = "exit", "Exit: close what is held"
    CLOSE = "close", "Close leg: close what is held, so that the reversal's entry may follow"
