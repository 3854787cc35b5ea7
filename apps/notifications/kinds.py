"""The kinds of e-mails: who gets them, how often, and what their templates are given.

A kind has the templates ``notifications/<name>.txt`` (the first line is the subject) and
``notifications/<name>.html``. Its *fields* are the keys of the context that has to be given with a request.
Values are JSON values, times (`datetime`), decimals or UUIDs. Quantities are in units of the base currency,
``url`` is a path of this installation or an absolute address, and empty where whom it is for can open none:
then the path ``api`` says what to ask the API for. `apps.notifications.links` makes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models


class Audience(models.TextChoices):
    """Who gets mails of a kind."""

    USER = "user", "Users: about what is theirs"
    OPERATORS = "operators", "Operators: the addresses of OPERATOR_EMAILS"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of e-mail."""

    name: str
    label: str
    #: When such a mail is sent, for those who decide whether they want it.
    description: str
    audience: Audience = Audience.USER
    #: Whether users may turn it off.
    changeable: bool = True
    #: Seconds in which one recipient gets one mail of the kind and throttle key; 0: no limit.
    throttle: float = 0.0
    #: What the throttle key is made of.
    throttle_key: str = ""
    #: What a mail is about; asked for twice about the same, it is sent once.
    about: str
    #: Keys of the context, and what they hold.
    fields: Mapping[str, str]
    #: Keys that may be left out.
    optional: Mapping[str, str] = field(default_factory=dict)
    #: A context for previews.
    sample: Mapping[str, Any]

    def check(self, context: Mapping[str, Any]) -> None:
        """Raises `ValueError` where a field is missing, or one is unknown."""
        missing = [name for name in self.fields if name not in context]
        if missing:
            raise ValueError(f"the context of a mail {self.name!r} lacks {', '.join(missing)}")
        unknown = [name for name in context if name not in self.fields and name not in self.optional]
        if unknown:
            raise ValueError(f"the context of a mail {self.name!r} has no {', '.join(map(str, unknown))}")


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make *kind* known. Raises `ValueError` for a name that is taken, or a sample that does not fit."""
    if kind.name in _kinds:
        raise ValueError(f"there is a kind of mail {kind.name!r} already")
    kind.check(kind.sample)
    _kinds[kind.name] = kind
    return kind


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises `LookupError`."""
    try:
        return _kinds[name]
    except KeyError:
        raise LookupError(f"there is no kind of mail {name!r}") from None


def all_kinds() -> list[Kind]:
    """All of them, in the order in which they were registered."""
    return list(_kinds.values())


def user_kinds() -> list[Kind]:
    """Those that users get."""
    return [kind for kind in _kinds.values() if kind.audience == Audience.USER]


# Orders -------------------------------------------------------------------------------------------

_ORDER = {
    "order_id": "the order's UUID",
    "account": "the account's name",
    "instrument": "the instrument's name",
    "side": "buy or sell",
    "quantity": "how much of it was to be traded",
    "simulation": "true on paper, false for real",
}
_ORDER_SAMPLE = {
    "order_id": "01920f6e-7a3b-7c50-9d4e-2f6b8a1c3e5d",
    "account": "main",
    "instrument": "binance:BTC/USDT",
    "side": "buy",
    "quantity": "0.25",
    "simulation": True,
    "url": "",
    "api": "/api/v1/orders/01920f6e-7a3b-7c50-9d4e-2f6b8a1c3e5d",
}
_URL = {"url": "where to see it"}
_LINKS = {"url": "a page that shows it, or empty", "api": "the path of the API that does"}

register(
    Kind(
        name="verification_needed",
        label="Order without an answer",
        description="The exchange did not answer when an order was submitted: what became of it is being"
        " looked up.",
        about="order:<order>:<number of the submission>",
        fields={**_ORDER, "since": "when it was submitted", **_LINKS},
        sample={**_ORDER_SAMPLE, "since": "2026-03-02T09:30:00Z"},
    )
)
register(
    Kind(
        name="order_rejected",
        label="Order rejected",
        description="An order was refused, by us or by the exchange.",
        about="order:<order>",
        fields={
            **_ORDER,
            "reason_code": "a stable word for the reason",
            "reason": "the reason in words",
            "at": "when it was rejected",
            **_LINKS,
        },
        sample={
            **_ORDER_SAMPLE,
            "reason_code": "insufficient_funds",
            "reason": "Account has insufficient balance for requested action.",
            "at": "2026-03-02T09:30:01Z",
        },
    )
)
register(
    Kind(
        name="order_needs_review",
        label="Order needs a review",
        description="It could not be found out what became of an order: you have to decide.",
        changeable=False,
        about="order:<order>:<version of the order>",
        fields={
            **_ORDER,
            "filled": "how much of it is known to be traded",
            "looks": "how often the exchange was asked",
            "reason": "why it could not be found out",
            **_LINKS,
        },
        sample={
            **_ORDER_SAMPLE,
            "filled": "0.1",
            "looks": 10,
            "reason": "The exchange has confirmed no end after 10 looks.",
        },
    )
)
register(
    Kind(
        name="daily_limit",
        label="Daily limit reached",
        description="An account has used up its orders of the day. You are told once a day and account.",
        about="account:<account>:<day>:<paper or real>",
        fields={
            "account": "the account's name",
            "limit": "orders a day",
            "day": "the day (UTC), ISO 8601",
            "plan": "the account's plan",
            "simulation": "true: of its orders on paper; false: of those for real",
            **_LINKS,
        },
        sample={
            "account": "main",
            "limit": 50,
            "day": "2026-03-02",
            "plan": "basic",
            "simulation": True,
            "url": "",
            "api": "/api/v1/accounts/01920f6e-7a3b-7c50-9d4e-2f6b8a1c3e5d",
        },
    )
)

# Webhooks -----------------------------------------------------------------------------------------

register(
    Kind(
        name="webhook_attack",
        label="Attack on a webhook",
        description="Somebody who knows the address of a webhook endpoint sent what it refuses, such as a"
        " wrong secret. You are told once in 15 minutes of each kind of attack on an endpoint.",
        throttle=900.0,
        throttle_key="<endpoint>:<attack kind>",
        about="delivery:<delivery>",
        fields={
            "endpoint": "the endpoint's name",
            "endpoint_id": "its UUID",
            "attack": "what was tried, in words",
            "address": "the address that it came from",
            "user_agent": "what the sender calls itself; may be empty",
            "at": "when",
            **_LINKS,
        },
        optional={"held_back": "how many like it the caller has counted beside this one"},
        sample={
            "endpoint": "momentum",
            "endpoint_id": "01920f6e-1111-7c50-9d4e-2f6b8a1c3e5d",
            "attack": "The secret is wrong",
            "address": "203.0.113.7",
            "user_agent": "curl/8.5.0",
            "at": "2026-03-02T09:30:00Z",
            "held_back": 3,
            "url": "",
            "api": "/api/v1/webhooks/01920f6e-1111-7c50-9d4e-2f6b8a1c3e5d",
        },
    )
)

# Workers and backtests ----------------------------------------------------------------------------

register(
    Kind(
        name="worker_orphaned",
        label="Trading worker lost",
        description="Your trading worker was not heard of in time and was declared dead.",
        about="worker:<session>",
        fields={"sessions": "list of: worker, started_at, ended_at, reason", **_LINKS},
        sample={
            "sessions": [
                {
                    "worker": "host/anna",
                    "started_at": "2026-03-02T08:00:00Z",
                    "ended_at": "2026-03-02T09:30:00Z",
                    "reason": "it has not beaten for 95 s",
                }
            ],
            "url": "",
            "api": "/api/v1/workers",
        },
    )
)
register(
    Kind(
        name="backtest_finished",
        label="Backtest finished",
        description="A backtest that you asked for has finished.",
        about="backtest:<backtest>",
        fields={
            "strategy": "its name",
            "instrument": "the instrument, or several",
            "timeframe": "of the bars",
            "start": "of the range",
            "end": "of the range, which is not in it",
            "figures": "list of: name, value",
            **_URL,
        },
        sample={
            "strategy": "sma_cross",
            "instrument": "binance:BTC/USDT",
            "timeframe": "1h",
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-03-01T00:00:00Z",
            "figures": [
                {"name": "final equity", "value": "11,482.10"},
                {"name": "return", "value": "14.82 %"},
                {"name": "n trades", "value": "37"},
            ],
            "url": "/backtests/01920f6e-2222-7c50-9d4e-2f6b8a1c3e5d",
        },
    )
)
register(
    Kind(
        name="sweep_finished",
        label="Sweep finished",
        description="A sweep that you asked for has finished.",
        about="sweep:<sweep>",
        fields={
            "sweep": "what was swept, in words",
            "start": "of the range",
            "end": "of the range, which is not in it",
            "computed": "how many combinations were",
            "failed": "how many were not; empty for none",
            "metric": "what they are ranked by",
            "best": "list of: params, value",
            "pbo": "the probability of overfitting; empty where it is not known",
            **_URL,
        },
        sample={
            "sweep": "24 of sma_cross on binance:BTC/USDT 1h",
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-03-01T00:00:00Z",
            "computed": "23",
            "failed": "1",
            "metric": "sharpe",
            "best": [
                {"params": "fast 8, slow 40", "value": "1.912"},
                {"params": "fast 5, slow 40", "value": "1.740"},
            ],
            "pbo": "12 %",
            "url": "/backtests/sweeps/01920f6e-3333-7c50-9d4e-2f6b8a1c3e5d",
        },
    )
)

# Operators ----------------------------------------------------------------------------------------

register(
    Kind(
        name="dead_letters",
        label="Dead tasks",
        description="Runs have died and stay dead until somebody redrives them.",
        audience=Audience.OPERATORS,
        changeable=False,
        about="alert:<UUID>",
        fields={
            "total": "how many runs",
            "tasks": "list of: name, queue, total, lines: list of: count, reason, latest_at, url",
            "more": "how many runs no line tells of",
            **_URL,
        },
        sample={
            "total": 4,
            "tasks": [
                {
                    "name": "orders.verify",
                    "queue": "fills.fifo",
                    "total": 3,
                    "lines": [
                        {
                            "count": 3,
                            "reason": "ExchangeNotAvailable: 503",
                            "latest_at": "2026-03-02T09:30:00Z",
                            "url": "/admin/tasks/taskrun/01920f6e-4444-7c50-9d4e-2f6b8a1c3e5d/change/",
                        }
                    ],
                }
            ],
            "more": 1,
            "url": "/admin/tasks/taskrun/?state=dead",
        },
    )
)
register(
    Kind(
        name="orphans",
        label="Orphans settled",
        description="Workers, processes or runs were not heard of in time and were declared dead, or so many"
        " at once that somebody has to decide.",
        audience=Audience.OPERATORS,
        changeable=False,
        about="orphans:<UUID>",
        fields={
            "total": "how many were settled",
            "populations": "list of: name, total, lines: list of: count, kind",
            "orphans": "list of: at, population, member, silence (seconds, or null)",
            "more": "how many orphans are not in the list",
            "held": "names of the populations that were left alone",
            **_URL,
        },
        sample={
            "total": 3,
            "populations": [
                {"name": "workers", "total": 3, "lines": [{"count": 3, "kind": "it has not beaten in time"}]}
            ],
            "orphans": [
                {"at": "2026-03-02T09:30:00Z", "population": "workers", "member": "7", "silence": 95.2},
                {"at": "2026-03-02T09:30:00Z", "population": "workers", "member": "8", "silence": None},
            ],
            "more": 1,
            "held": ["processes"],
            "url": "/admin/liveness/workersession/now/",
        },
    )
)
