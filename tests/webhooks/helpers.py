"""Endpoints, and signals as senders write them."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from apps.core.ids import uuid7
from apps.orders.models import Account
from apps.ratelimits.scopes import scope
from apps.tasks.testing import entries
from apps.webhooks.models import Endpoint
from apps.webhooks.services import endpoint_create
from apps.webhooks.tasks import log_delivery

#: The task that acts on signals.
ACT = "orders.act_on_signal"
#: How a test says that a field is to be left out.
ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Somebody who knows an endpoint's address and secrets."""

    endpoint: Endpoint
    token: str
    secret: str
    signing_secret: str

    def send(self, web: Client, body: Any, *, query: str = "", token: str = "", **more: Any) -> Any:
        """POST *body* to the address for TradingView: fields as JSON, bytes as they are, text as text."""
        url = f"/webhooks/tradingview/{token or self.token}{query}"
        if isinstance(body, dict):
            return web.post(url, json.dumps(body), content_type="application/json", **more)
        return web.post(url, body, content_type="text/plain", **more)

    def signal(self, signal: str = "buy", /, **changes: Any) -> dict[str, Any]:
        """A good signal."""
        fields = {
            "signal": signal,
            "symbol": "BTC/USDT",
            "quantity": "0.5",
            "timestamp": now(),
            "secret": self.secret,
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not ABSENT}

    def event(self, web: Client, event: dict[str, Any] | bytes, *, query: str = "", **headers: str) -> Any:
        """POST an event to the address for PineForge, signed unless *headers* say otherwise."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed = hmac.new(self.signing_secret.encode(), body, hashlib.sha256).hexdigest()
        given = {"X-PineForge-Signature": f"sha256={signed}", **headers}
        return web.post(
            f"/webhooks/pineforge/{self.token}{query}",
            body,
            content_type="application/json",
            headers={name: value for name, value in given.items() if value},
        )


def now() -> str:
    return datetime.now(UTC).isoformat()


def action(*, side: str = "buy", leg: str = "entry", **changes: Any) -> dict[str, Any]:
    """An event of PineForge, in all its parts."""
    return {
        "schema_version": 1,
        "event": "order_action",
        "event_id": f"event-{uuid7()}",
        "status": "confirmed",
        "strategy": {"name": "momentum", "epoch": "e1"},
        "instrument": {"venue": "feed", "market_type": "spot", "symbol": "BTCUSDT", "ticker": "feed:BTCUSDT"},
        "timeframe": "15",
        "timestamp": int(datetime.now(UTC).timestamp() * 1000),
        "bar": {"index": 1, "time": 1, "confirmed": True, "open": 1, "high": 1, "low": 1, "close": 1},
        "order": {"id": "L", "action": side, "contracts": 0.25, "price": 2500, "leg": leg},
        "message": None,
        **changes,
    }


def account_of(user: Any, name: str = "main", **fields: Any) -> Account:
    """An account of a plan that allows real trading."""
    values = {"exchange": "binance", "simulation": False, "plan": "pro", "api_key": "x", "api_secret": "y"}
    return Account.objects.create(user=user, name=name, **{**values, **fields})


def sender_of(account: Account, name: str = "alerts", **fields: Any) -> Sender:
    """A new endpoint of *account* and all that its sender has to know."""
    issued = endpoint_create(account=account, name=name, by="test", signing=True, **fields)
    return Sender(
        endpoint=issued.endpoint,
        token=issued.token,
        secret=issued.secret,
        signing_secret=issued.signing_secret,
    )


def user_of(name: str = "alice", **fields: Any) -> Any:
    """A new user with an address for mails."""
    return get_user_model().objects.create_user(name, f"{name}@example.com", "pw", **fields)


def signals_at(rate: str, **more: Any) -> list[dict[str, Any]]:
    """Groups of rate limits of which each endpoint's signals have one; *more* of it."""
    rules = {"endpoint": {"by": "subject", "rate": rate}}
    return [{"name": "webhook-signals", "rules": rules, **more}]


def charged(sender: Sender, who: str = "") -> int:
    """Signals of late that count for the endpoint; of *who*, those that are counted by themselves."""
    (found,) = scope("webhook-signals").peek("endpoint", f"{sender.endpoint.pk}{who}").results
    return found.used


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem that a response tells, which is of that kind."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert (body["type"], body["status"]) == (f"/problems/{kind}", status)
    return body


def logged() -> list[dict[str, Any]]:
    """What was put into the log, in order."""
    return [entry.payload for entry in entries(log_delivery)]
