"""The layers that a delivery passes, and what each of them can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.db import models


class Layer(models.TextChoices):
    """In their order: the first that refuses decides."""

    TOKEN = (
        "token",
        "Token: whether the address is an endpoint's, which is on, with its account and user",
    )
    ADDRESS = "address", "Address: whether the sender's address is one that the endpoint takes signals from"
    SHAPE = "shape", "Shape: whether the body is what its format takes"
    TIMESTAMP = "timestamp", "Timestamp: whether the signal is as young as the endpoint's window"
    SECRET = "secret", "Secret: whether the sender knows the endpoint's secret, or signed with it"
    REPLAY = "replay", "Replay: whether the same key came before"
    RATE = "rate", "Rate: whether the endpoint has taken as many signals of late as it may"
    SYMBOL = "symbol", "Symbol: whether the account's exchange trades it"
    PLAN = "plan", "Plan: whether the account may place such an order, and as many today"


class Outcome(models.TextChoices):
    ACCEPTED = "accepted", "Accepted: an order follows"
    RECORDED = "recorded", "Recorded: valid, and nothing to act upon"
    DUPLICATE = "duplicate", "Duplicate: came before, and got the answer of then"
    REFUSED = "refused", "Refused: by a layer"
    FAILED = "failed", "Failed: could not be committed; the sender was asked to send it again"


@dataclass(frozen=True, kw_only=True)
class Code:
    """One reason for which a delivery is refused."""

    layer: Layer | None
    status: int
    #: The name of the problem that answers it (`apps.core.problems`).
    problem: str
    #: The audit action that it is recorded under.
    action: str = "webhook.refused"
    #: What its user is told by e-mail that somebody tried; empty: nothing.
    attack: str = ""


#: Code -> what it means for the answer, for the audit, and for the endpoint's user.
CODES: Mapping[str, Code] = MappingProxyType(
    {
        "unknown_token": Code(layer=Layer.TOKEN, status=404, problem="not-found"),
        "endpoint_disabled": Code(layer=Layer.TOKEN, status=403, problem="webhook-disabled"),
        "user_disabled": Code(layer=Layer.TOKEN, status=403, problem="webhook-disabled"),
        "account_disabled": Code(layer=Layer.TOKEN, status=403, problem="webhook-disabled"),
        "address_blocked": Code(
            layer=Layer.ADDRESS,
            status=403,
            problem="webhook-address",
            action="webhook.address_blocked",
            attack="The address is not allowed",
        ),
        "too_large": Code(layer=Layer.SHAPE, status=413, problem="content-too-large"),
        "malformed": Code(layer=Layer.SHAPE, status=400, problem="malformed-body"),
        "invalid": Code(layer=Layer.SHAPE, status=400, problem="invalid-request"),
        "expired": Code(
            layer=Layer.TIMESTAMP,
            status=401,
            problem="webhook-expired",
            action="webhook.timestamp_expired",
            attack="The signal's time is over",
        ),
        "ahead": Code(layer=Layer.TIMESTAMP, status=401, problem="webhook-expired"),
        "secret_missing": Code(layer=Layer.SECRET, status=401, problem="webhook-secret"),
        "secret_wrong": Code(
            layer=Layer.SECRET,
            status=401,
            problem="webhook-secret",
            action="webhook.secret_wrong",
            attack="The secret or the signature is wrong",
        ),
        "replay_conflict": Code(
            layer=Layer.REPLAY,
            status=409,
            problem="webhook-replay",
            action="webhook.replay_conflict",
            attack="Another signal came with the key of an earlier one",
        ),
        "rate_limited": Code(layer=Layer.RATE, status=429, problem="too-many-requests"),
        "rate_unknown": Code(layer=Layer.RATE, status=503, problem="unavailable", action="webhook.failed"),
        "unknown_symbol": Code(layer=Layer.SYMBOL, status=400, problem="invalid-request"),
        "simulation_only": Code(layer=Layer.PLAN, status=403, problem="webhook-plan"),
        "keys_missing": Code(layer=Layer.PLAN, status=403, problem="webhook-plan"),
        "daily_limit": Code(layer=Layer.PLAN, status=429, problem="daily-limit"),
        "unavailable": Code(layer=None, status=503, problem="unavailable", action="webhook.failed"),
    }
)

#: Outcome -> the audit action of deliveries that no layer refused.
ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        Outcome.ACCEPTED: "webhook.accepted",
        Outcome.RECORDED: "webhook.recorded",
        Outcome.DUPLICATE: "webhook.duplicate",
    }
)
