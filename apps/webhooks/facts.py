"""What a decision on a delivery is made from: read first, believed later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from apps.core.database import execute
from apps.core.resources import sql
from apps.orders import limits
from apps.ratelimits.limiter import Unavailable
from apps.ratelimits.scopes import Verdict as Room
from apps.ratelimits.scopes import scope
from apps.webhooks import conf
from apps.webhooks.formats.base import Arrival, Asked, Credentials, Format, Malformed
from apps.webhooks.models import signing_context
from apps.webhooks.symbols import instrument_of

if TYPE_CHECKING:
    from apps.webhooks.layers import Refusal

#: The group of `RATELIMITS_GROUPS` that signals are counted in.
RATE_GROUP = "webhook-signals"
_LIMIT = scope(RATE_GROUP)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who sent a request, as far as that can be seen."""

    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The endpoint that a token belongs to, with its account and its user."""

    #: By the clock of the database.
    now: datetime
    endpoint_id: UUID
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
    #: Null where the token is nobody's.
    found: Target | None = None
    #: One of them is there.
    parsed: Asked | None = None
    malformed: Malformed | None = None
    earlier: Earlier | None = None
    #: The instrument that is meant, once it was looked for; null where there is none.
    instrument: int | None = None
    #: Whether the endpoint may take another signal now, once that was asked; null: nobody said.
    room: Room | None = None
    #: Why a valid signal is recorded only, of a format that wants that; null where it is acted upon.
    passed_over: Refusal | None = None

    @property
    def target(self) -> Target:
        """The endpoint, once the layer ``token`` has passed."""
        assert self.found is not None
        return self.found

    @property
    def asked(self) -> Asked:
        """What is asked for, once the layer ``shape`` has passed."""
        assert self.parsed is not None
        return self.parsed

    @property
    def simulation(self) -> bool:
        """Whether it is traded on paper: where it asks for that, and where the account does nothing else."""
        return self.asked.simulation or self.target.account_simulation

    @property
    def age(self) -> float | None:
        """Seconds since the signal was sent, by its own words; null where it does not say."""
        sent = self.asked.timestamp
        return None if sent is None else (self.target.now - sent).total_seconds()

    @property
    def idle(self) -> str:
        """Why there is nothing to act upon: a code; empty where there is."""
        if self.passed_over is not None:
            return self.passed_over.code
        if self.asked.signal is None:
            return "no_action"
        late = self.format.in_order and self.age is not None and self.age > self.target.window_seconds
        return "expired" if late else ""


def hashed(secret: str) -> str:
    """What is stored of a token or a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def facts_of(*, format: Format, token_hash: str, arrival: Arrival, sender: Sender) -> Facts:  # noqa: A002
    """What there is to know of a request, in one statement; the instrument is not looked for yet."""
    asked, malformed = _parsed(format, arrival)
    cursor = execute(
        sql(__package__, "facts.sql"),
        {
            "token": token_hash,
            "key": asked.receipt if asked else "",
            "simulation": asked.simulation if asked else True,
        },
    )
    row = cursor.fetchone()
    facts = Facts(format=format, arrival=arrival, sender=sender, parsed=asked, malformed=malformed)
    return facts if row is None else _known(facts, _Row(*row))


class _Row(NamedTuple):
    """The columns of ``facts.sql``."""

    endpoint_id: UUID
    account_id: UUID
    exchange: str
    endpoint_enabled: bool
    user_active: bool
    account_enabled: bool
    account_simulation: bool
    plan: str
    daily_limit: int | None
    has_keys: bool
    allowed_addresses: list[str]
    window_seconds: int
    require_secret: bool
    secret_hash: str
    previous_secret_hash: str | None
    signing_secret: str
    previous_signing_secret: str | None
    now: datetime
    used: int
    digest: str | None
    status: int
    #: Django has JSON come as text.
    answer: str
    order_id: UUID | None


def _parsed(format: Format, arrival: Arrival) -> tuple[Asked | None, Malformed | None]:  # noqa: A002
    if arrival.too_large:
        return None, Malformed(f"The body has more than {conf.max_body():,} bytes.", code="too_large")
    if arrival.fault:
        return None, Malformed(arrival.fault)
    try:
        return format.parse(arrival), None
    except Malformed as exc:
        return None, exc


def _known(facts: Facts, row: _Row) -> Facts:
    plan = limits.plan_named(row.plan)
    credentials = Credentials(
        secret_hashes=tuple(one for one in (row.secret_hash, row.previous_secret_hash) if one),
        signing_secrets=tuple(one for one in (row.signing_secret, row.previous_signing_secret) if one),
        signing_context=signing_context(row.endpoint_id),
        require_secret=row.require_secret,
    )
    target = Target(
        now=row.now,
        endpoint_id=row.endpoint_id,
        account_id=row.account_id,
        exchange=row.exchange,
        endpoint_enabled=row.endpoint_enabled,
        user_active=row.user_active,
        account_enabled=row.account_enabled,
        account_simulation=row.account_simulation,
        has_keys=row.has_keys,
        allowed_addresses=tuple(row.allowed_addresses),
        window_seconds=row.window_seconds,
        credentials=credentials,
        simulation_only=plan.simulation_only,
        limit=limits.daily_orders(plan=row.plan, own=row.daily_limit),
        used=row.used,
    )
    earlier = None
    if row.digest is not None:
        earlier = Earlier(
            digest=row.digest, status=row.status, answer=json.loads(row.answer), order_id=row.order_id
        )
    return replace(facts, found=target, earlier=earlier)


def with_instrument(facts: Facts) -> Facts:
    """The same once the instrument was looked for: among those of the account's exchange."""
    name, exchange = facts.asked.symbol, facts.target.exchange
    if name is None or name.exchange not in ("", exchange):
        return facts
    return replace(facts, instrument=instrument_of(exchange, name))


def with_room(facts: Facts) -> Facts:
    """The same once the signal was charged to the limit of its endpoint, or had no room there.

    Only what has passed the layer ``secret`` may come here. Signals that came without a secret, where none is
    needed, are counted by themselves: whoever merely knows the address uses up nothing of others.
    """
    return replace(facts, room=_LIMIT.hit(*_counted_as(facts)))


def with_room_seen(facts: Facts) -> Facts:
    """The same once it was asked whether there is room. Nothing is charged; without Redis nobody says."""
    try:
        return replace(facts, room=_LIMIT.peek(*_counted_as(facts)))
    except Unavailable:
        return facts


def _counted_as(facts: Facts) -> tuple[str, str]:
    endpoint = str(facts.target.endpoint_id)
    return "endpoint", endpoint if facts.format.proves(facts.asked) else f"{endpoint}/no-secret"
