from __future__ import annotations

from typing import Any

import pytest

from apps import audit
from apps.candles.models import Instrument
from apps.notifications import services as notifications
from apps.orders import brokers
from apps.orders.models import Account
from tests.candles.helpers import instrument
from tests.orders.scripted import ScriptedBroker


@pytest.fixture
def alice(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice", "alice@example.com", "x")


@pytest.fixture
def account(db: None, alice: Any) -> Account:
    """An account that trades for real, at the scripted broker."""
    return Account.objects.create(
        user=alice, name="main", exchange="binance", simulation=False, plan="pro", api_key="k", api_secret="s"
    )


@pytest.fixture
def market(db: None) -> Instrument:
    return instrument("BTC/USDT")


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> ScriptedBroker:
    scripted = ScriptedBroker()
    monkeypatch.setattr(brokers, "broker_for", lambda account, *, simulation: scripted, raising=False)
    return scripted


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """What the audit and users are told: ``audit`` or ``mail``, action or kind, and all arguments."""
    told: list[tuple[str, str, dict[str, Any]]] = []

    def listen(place: Any, name: str, what: str, key: str) -> None:
        real = getattr(place, name)

        def listening(**arguments: Any) -> Any:
            told.append((what, arguments[key], arguments))
            return real(**arguments)

        monkeypatch.setattr(place, name, listening)

    listen(audit, "record", "audit", "action")
    listen(notifications, "email_request", "mail", "kind")
    return told
