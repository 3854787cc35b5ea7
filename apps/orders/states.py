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
    # A fill that was reported late; or, before it is verified, the broker says otherwise than it did.
    State.CANCELLED: frozenset({State.FILLED, State.NEEDS_REVIEW}),
    State.EXPIRED: frozenset({State.FILLED, State.NEEDS_REVIEW}),
    State.FILLED: frozenset({State.NEEDS_REVIEW}),
    State.REJECTED: frozenset(),
}

#: What has been at the broker and ended there: looked at once more, until that is verified.
TO_VERIFY = frozenset({State.FILLED, State.CANCELLED, State.EXPIRED})
_LOOKED_AT = AT_BROKER | TO_VERIFY

#: Event -> the states in which it may happen to an order.
FOUND_IN: Mapping[str, frozenset[str]] = {
    "order.received": frozenset({""}),
    "order.accepted": frozenset({State.RECEIVED}),
    "order.released": frozenset({State.ACCEPTED}),
    "order.submission_started": frozenset({State.ACCEPTED}),
    "order.not_taken": frozenset({State.ACCEPTED}),
    "order.unanswered": frozenset({State.ACCEPTED}),
    "order.submitted": frozenset({State.ACCEPTED}),
    "order.absent": frozenset({State.UNKNOWN}),
    "order.found": frozenset({State.UNKNOWN, State.NEEDS_REVIEW}),
    "order.filled_part": _LOOKED_AT - {State.UNKNOWN},
    "order.cancelled": frozenset({State.ACCEPTED, State.SUBMITTED, State.PARTIALLY_FILLED}),
    "order.expired": frozenset({State.SUBMITTED, State.PARTIALLY_FILLED}),
    "order.rejected": frozenset(
        {State.RECEIVED, State.ACCEPTED, State.UNKNOWN, State.SUBMITTED, State.NEEDS_REVIEW}
    ),
    "order.looked": _LOOKED_AT,
    "order.verified": TO_VERIFY,
    "order.needs_review": _LOOKED_AT - {State.NEEDS_REVIEW},
    "order.look_asked": _LOOKED_AT,
    "order.resolved": frozenset({State.NEEDS_REVIEW}),
    "order.cancel_requested": frozenset({State.ACCEPTED, *AT_BROKER}),
    "order.cancel_failed": AT_BROKER,
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
