"""Why orders stand as they do: the codes that are ours. Others come from brokers, as they call them."""

from __future__ import annotations

#: Code -> what it means.
REASONS = {
    "account_disabled": "The account is switched off.",
    "on_paper_now": "The account was put on paper before the order was submitted.",
    "real_not_allowed": "The account's plan allows trading on paper only.",
    "keys_missing": "The account has no keys, without which nothing is traded for real.",
    "wrong_exchange": "The instrument is of another exchange than the account.",
    "instrument_inactive": "The exchange does not trade the instrument now.",
    "not_spot": "Only spot markets are traded, and the instrument is a contract.",
    "flat": "There was nothing to exit: nothing is held that way.",
    "unsettled": "What is held was not known: an earlier market order was still under way.",
    "too_old": "It was asked for too long ago to be sent to a market (`ORDERS_MARKET_MAX_AGE`).",
    "not_taken": "No broker took it in time (`ORDERS_SUBMIT_LIMIT`).",
    "never_reached": "It never reached the broker, and it is too late to send it again.",
    "rejected": "The broker rejected it, after it had taken it.",
    "reversal_aborted": "The close leg of a reversal was not filled in time, so its entry was given up.",
    "cancelled": "Somebody asked for it, before a broker had the order.",
    "unanswered": "The broker did not answer the submission.",
    "no_answer_known": "The worker died during the submission: nobody knows the broker's answer.",
    "not_found": "The broker does not show it, as often as it was asked.",
    "look_refused": "The broker does not let us look, as often as it was asked.",
    "unreadable": "The broker's answers cannot be understood, as often as it was asked.",
    "unverified": "The broker does not show trades that agree with what it says, as often as it was asked.",
    "still_open": "The market order is still open, as often as the broker was asked.",
    "conflicting_fill": "A trade that is recorded is another order's, or was told otherwise before.",
    "unusable_fill": "A trade has amounts that cannot be.",
    "overfilled": "More was traded than was asked for.",
    "filled_short": "The broker says that it is filled, and not all of it is.",
    "rejected_after_fill": "The broker says that it was rejected, and some of it was traded.",
    "resolved": "A person said how it ended.",
}
