"""The types of events of orders and positions. Amounts are decimal text, times ISO 8601."""

from __future__ import annotations

from apps.events.registry import EventType, register

_NO_FIELDS: tuple[str, ...] = ()

#: Type -> what it means, and the fields it always has.
_TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "order.received": (
        "The order was asked for.",
        (
            "account", "instrument", "simulation", "side", "kind", "intent", "quantity", "price", "signal",
            "source", "source_id", "client_order_id", "after", "release_before", "flat_within", "asked_at",
        ),
    ),
    "order.accepted": ("It was checked, and is to be submitted.", _NO_FIELDS),
    "order.rejected": (
        "It was refused: by us, by the broker, or by a person. Nothing of it was traded.",
        ("by", "code", "reason"),
    ),
    "order.released": (
        "Its close leg is filled and nothing is held, or that was too little to be closed: it is to be"
        " submitted.",
        ("after",),
    ),
    "order.submission_started": (
        "It is handed to the broker. Without an answer after this, nobody knows whether the broker has it.",
        ("submission",),
    ),
    "order.not_taken": (
        "The broker certainly did not take it, and may later: it will be submitted again.",
        ("submission", "code", "reason", "retry_after"),
    ),
    "order.unanswered": (
        "The submission had no answer: whether the broker has it is looked up, never tried.",
        ("submission", "code", "reason"),
    ),
    "order.submitted": ("The broker has taken it.", ("venue_order_id",)),
    "order.found": ("A look found it at the broker.", ("venue_order_id",)),
    "order.absent": (
        "The broker says that it never had it, long enough after the submission: it may be submitted again.",
        ("submission",),
    ),
    "order.filled_part": (
        "A trade of it was recorded.",
        ("trade_id", "price", "quantity", "fee", "fee_currency", "traded_at", "by"),
    ),
    "order.cancelled": (
        "It ended before all of it was traded: by request, by the broker, or as it made no sense any more.",
        ("by", "code", "reason"),
    ),
    "order.expired": ("The broker ended it, for its time or its kind.", ("reason",)),
    "order.looked": (
        "The broker was asked what became of it, and this is what it said.",
        ("look", "outcome", "state", "filled", "new", "error"),
    ),
    "order.verified": ("It has ended, and the broker's trades are the fills recorded.", ("filled",)),
    "order.needs_review": ("It could not be found out: a person has to.", ("code", "reason")),
    "order.look_asked": ("Somebody asked to look again; the looks are counted anew.", _NO_FIELDS),
    "order.resolved": ("A person said how it ended.", ("outcome", "note")),
    "order.cancel_requested": ("Somebody asked to cancel it.", _NO_FIELDS),
    "order.cancel_failed": ("The broker would not cancel it.", ("code", "reason")),
    "position.changed": (
        "A trade changed what is held.",
        (
            "account", "instrument", "simulation", "order", "trade_id", "side", "price", "quantity", "fee",
            "fee_currency", "base", "quote", "held", "cost", "realised",
        ),
    ),
}  # fmt: skip

for _name, (_meaning, _fields) in _TYPES.items():
    register(EventType(name=_name, meaning=_meaning, fields=frozenset(_fields)))

#: By name.
NAMES = tuple(_TYPES)
