"""The layers of validation: each a pure function of what is known of a delivery.

A layer says null where it has nothing against the delivery. Otherwise what it says decides, and the layers
after it are not asked, so that a sender learns nothing that it has not shown to be entitled to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from apps.orders.signals import EXITS
from apps.webhooks import addresses
from apps.webhooks.codes import CODES, Layer
from apps.webhooks.facts import Earlier, Facts
from apps.webhooks.formats.base import Fault
from apps.webhooks.masking import without_secrets

#: Seconds that a signal may be ahead of the database's clock.
AHEAD = 60.0


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a layer has against a delivery."""

    #: A key of `codes.CODES`.
    code: str
    detail: str
    faults: tuple[Fault, ...] = ()
    #: Seconds after which it is worth trying again; null: not said.
    retry_after: int | None = None

    @property
    def layer(self) -> str:
        """The layer that refuses; empty where it was none."""
        layer = CODES[self.code].layer
        return layer.value if layer else ""

    @property
    def status(self) -> int:
        """Of the answer."""
        return CODES[self.code].status


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """The delivery came before, and gets the answer of then."""

    earlier: Earlier


Verdict = Refusal | Repeated
LayerFunction = Callable[[Facts], Verdict | None]


def token(facts: Facts) -> Verdict | None:
    """Whether the address belongs to an endpoint, and that, its account and its user are on."""
    target = facts.found
    if target is None:
        return Refusal(code="unknown_token", detail="There is nothing at this address.")
    if not target.endpoint_enabled:
        return Refusal(code="endpoint_disabled", detail="This endpoint is disabled.")
    if not target.user_active:
        return Refusal(code="user_disabled", detail="The user of this endpoint is disabled.")
    if not target.account_enabled:
        return Refusal(code="account_disabled", detail="The account of this endpoint is disabled.")
    return None


def address(facts: Facts) -> Verdict | None:
    """Whether the sender's address is allowed."""
    if addresses.allows(facts.target.allowed_addresses, facts.sender.address):
        return None
    return Refusal(code="address_blocked", detail="This endpoint takes no signals from your address.")


def shape(facts: Facts) -> Verdict | None:
    """Whether the body is what its format takes; a signal for real trading needs a timestamp.

    A key is kept as it is, and must therefore not hold the secret.
    """
    if facts.malformed is not None:
        return Refusal(
            code=facts.malformed.code, detail=facts.malformed.detail, faults=facts.malformed.faults
        )
    if facts.asked.timestamp is None and not facts.simulation:
        return _invalid("timestamp", "This field is required for real trading.")
    if without_secrets(facts.asked.key, facts.target.credentials.secret_hashes) != facts.asked.key:
        return _invalid("id", "Holds the secret, which belongs into the field secret only.")
    return None


def _invalid(field: str, detail: str) -> Refusal:
    return Refusal(code="invalid", detail=f"{field}: {detail}", faults=(Fault(field=field, detail=detail),))


def timestamp(facts: Facts) -> Verdict | None:
    """Whether the signal is young enough, and not of the future."""
    age = facts.age
    if age is None:
        return None
    if age < -AHEAD:
        return Refusal(
            code="ahead", detail=f"The timestamp is {-age:.0f} s ahead; {AHEAD:.0f} s are tolerated."
        )
    if age > facts.target.window_seconds and not facts.format.in_order:
        return Refusal(
            code="expired",
            detail=f"The signal is {age:.0f} s old; up to {facts.target.window_seconds} s are taken.",
        )
    return None


def secret(facts: Facts) -> Verdict | None:
    """Whether the sender proves to be the one whom the endpoint is for, in the way of the format."""
    refused = facts.format.refuses(
        facts.arrival, facts.asked, facts.target.credentials, simulation=facts.simulation
    )
    return None if refused is None else Refusal(code=refused[0], detail=refused[1])


def replay(facts: Facts) -> Verdict | None:
    """Whether the key came before: with the same request, it is answered again."""
    if facts.earlier is None:
        return None
    if facts.earlier.digest == facts.asked.digest:
        return Repeated(earlier=facts.earlier)
    return Refusal(code="replay_conflict", detail="This key came with another request before.")


def rate(facts: Facts) -> Verdict | None:
    """Whether the endpoint has room for another signal. An exit is never one too many."""
    room = facts.room
    if room is None or room.allowed or facts.asked.signal in EXITS:
        return None
    if room.is_unknown:
        return Refusal(
            code="rate_unknown",
            detail="It cannot be told now whether the endpoint may take this signal. Send it again.",
            retry_after=room.retry_after,
        )
    if room.retry_after is None:
        detail = "The endpoint may take no signals at all."
    else:
        detail = (
            "The endpoint has taken as many signals as it may:"
            f" there is room again in {room.retry_after:,} s."
        )
    return Refusal(code="rate_limited", detail=detail, retry_after=room.retry_after)


def symbol(facts: Facts) -> Verdict | None:
    """Whether there is one instrument that the sender can mean."""
    name, exchange = facts.asked.symbol, facts.target.exchange
    if facts.idle or facts.instrument is not None or name is None:
        return None
    if name.exchange not in ("", exchange):
        detail = f"{name.given} is at {name.exchange}, and this endpoint's account at {exchange}."
    else:
        what = {True: "perpetual contract", False: "spot market", None: "market"}[name.swap]
        detail = f"{exchange} has no one {what} {name.given} that is traded now and known here."
    return Refusal(code="unknown_symbol", detail=detail, faults=(Fault(field="symbol", detail=detail),))


def plan(facts: Facts) -> Verdict | None:
    """Whether the account may trade so, and has orders left today. An exit is never over the limit."""
    if facts.idle:
        return None
    if not facts.simulation:
        if facts.target.simulation_only:
            return Refusal(code="simulation_only", detail="The account's plan allows orders on paper only.")
        if not facts.target.has_keys:
            return Refusal(code="keys_missing", detail="The account has no keys for its exchange.")
    if facts.asked.signal in EXITS or facts.target.used < facts.target.limit:
        return None
    return limit_reached(facts)


def limit_reached(facts: Facts) -> Refusal:
    """The refusal of one order too many, until the day is over."""
    now = facts.target.now
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Refusal(
        code="daily_limit",
        detail=f"The account has used its {facts.target.limit:,} orders of today (UTC).",
        retry_after=max(1, round((tomorrow - now).total_seconds())),
    )


#: Those that need to know who sends, and what came before; then those that need what is only looked for once
#: these have passed: whether there is room, and the instrument.
SCREENING: Sequence[LayerFunction] = (token, address, shape, timestamp, secret, replay)
ADMISSION: Sequence[LayerFunction] = (rate, symbol, plan)


#: What layers of these say is about the account, and not about the signal or who sends it.
_OF_THE_ACCOUNT = frozenset({Layer.RATE.value, Layer.SYMBOL.value, Layer.PLAN.value})
#: From here on a status says that it is not the sender's fault, and senders come again.
_SERVER_ERROR = 500


def passes_over(facts: Facts, verdict: Verdict) -> bool:
    """Whether the signal is recorded and not acted upon for what was said, rather than refused."""
    return (
        isinstance(verdict, Refusal)
        and facts.format.in_order
        and verdict.layer in _OF_THE_ACCOUNT
        and verdict.status < _SERVER_ERROR
    )


def decide(facts: Facts, layers: Sequence[LayerFunction]) -> Verdict | None:
    """What the first of *layers* says that says anything."""
    for layer in layers:
        verdict = layer(facts)
        if verdict is not None:
            return verdict
    return None
