"""What a decision on a delivery is made from: read first, believed later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.core.database import execute
from apps.core.resources import sql
from apps.orders import limits
from apps.webhooks import conf
from apps.webhooks.formats.base import Arrival, Asked, Credentials, Format, Malformed
from apps.webhooks.models import signing_context
from apps.webhooks.symbols import instrument_of


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who sent a request, as far as that can be seen."""

    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The endpoint that a token belongs to, with its account and its user."""

    endpoint_id: UUID
    name: str
    user_id: int
    account_id: UUID
    exchange: str
    endpoint_enabled: bool = True
    user_active: bool = True
    account_enabled: bool = True
    account_simulation: bool = True
    has_keys: bool = False
    allowed_addresses: tuple[str, ...] = ()
    window_seconds: int = 300
    credentials: Credentials = field(default_factory=Credentials)
    #: Of the account's plan: whether all is on paper, and orders a day.
    simulation_only: bool = True
    limit: int = 0
    #: Orders of today (UTC), on paper or for real as this one.
    used: int = 0


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What a key was answered before."""

    digest: str
    status: int
    answer: Mapping[str, Any]
    order_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that layers look at."""

    format: Format
    arrival: Arrival
    sender: Sender
    #: By the clock of the database.
    now: datetime | None = None
    #: Null where the token is nobody's.
    target: Target | None = None
    #: One of them is there.
    asked: Asked | None = None
    malformed: Malformed | None = None
    earlier: Earlier | None = None
    #: The instrument that is meant, once it was looked for; null where there is none.
    instrument: int | None = None

    @property
    def simulation(self) -> bool | None:
        """Whether it is traded on paper; null where the body could not be read."""
        if self.asked is None:
            return None
        return self.asked.simulation or (self.target is not None and self.target.account_simulation)

    @property
    def age(self) -> float | None:
        """Seconds since the signal was sent, by its own words."""
        if self.asked is None or self.asked.timestamp is None or self.now is None:
            return None
        return (self.now - self.asked.timestamp).total_seconds()

    @property
    def idle(self) -> str:
        """Why there is nothing to act upon; empty where there is."""
        assert self.asked is not None and self.target is not None
        if self.asked.signal is None:
            return self.asked.idle
        late = self.age is not None and self.age > self.target.window_seconds
        return "expired" if late and self.format.records_late else ""


def hashed(secret: str) -> str:
    """What is stored of a token or a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def facts_of(*, format: Format, token: str, arrival: Arrival, sender: Sender) -> Facts:  # noqa: A002
    """What there is to know of a request, in one statement; the instrument is not looked for yet."""
    asked, malformed = _parsed(format, arrival)
    cursor = execute(
        sql(__package__, "facts.sql"),
        {
            "token": hashed(token),
            "key": asked.key if asked else "",
            "simulation": asked.simulation if asked else True,
        },
    )
    row = cursor.fetchone()
    facts = Facts(format=format, arrival=arrival, sender=sender, asked=asked, malformed=malformed)
    if row is None:
        return facts
    return _known(facts, dict(zip((column.name for column in cursor.description or ()), row, strict=True)))


def _parsed(format: Format, arrival: Arrival) -> tuple[Asked | None, Malformed | None]:  # noqa: A002
    if arrival.too_large:
        return None, Malformed(f"The body has more than {conf.max_body():,} bytes.", code="too_large")
    try:
        return format.parse(arrival), None
    except Malformed as exc:
        return None, exc


def _known(facts: Facts, row: dict[str, Any]) -> Facts:
    plan = limits.plan(row["plan"])
    credentials = Credentials(
        secret_hashes=tuple(one for one in (row["secret_hash"], row["previous_secret_hash"]) if one),
        signing_secrets=tuple(one for one in (row["signing_secret"], row["previous_signing_secret"]) if one),
        signing_context=signing_context(row["endpoint_id"]),
        require_secret=row["require_secret"],
    )
    target = Target(
        endpoint_id=row["endpoint_id"],
        name=row["name"],
        user_id=row["user_id"],
        account_id=row["account_id"],
        exchange=row["exchange"],
        endpoint_enabled=row["endpoint_enabled"],
        user_active=row["user_active"],
        account_enabled=row["account_enabled"],
        account_simulation=row["account_simulation"],
        has_keys=row["has_keys"],
        allowed_addresses=tuple(row["allowed_addresses"]),
        window_seconds=row["window_seconds"],
        credentials=credentials,
        simulation_only=plan.simulation_only,
        limit=plan.daily_orders if row["daily_limit"] is None else row["daily_limit"],
        used=row["used"],
    )
    earlier = None
    if row["digest"] is not None:
        earlier = Earlier(
            digest=row["digest"], status=row["status"], answer=row["answer"], order_id=row["order_id"]
        )
    return replace(facts, now=row["now"], target=target, earlier=earlier)


def with_instrument(facts: Facts) -> Facts:
    """The same once the instrument was looked for: among those of the account's exchange."""
    assert facts.asked is not None and facts.target is not None
    name, exchange = facts.asked.symbol, facts.target.exchange
    if name is None or name.exchange not in ("", exchange):
        return facts
    return replace(facts, instrument=instrument_of(exchange, name))
