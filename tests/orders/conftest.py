from __future__ import annotations

from typing import Any

import pytest

from apps.candles.models import Instrument
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
def outside(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    from apps import audit
    from apps.notifications import services

    told: list[Any] = []
    monkeypatch.setattr(audit, "record", lambda **k: told.append(("audit", k["action"], k)), raising=False)
    monkeypatch.setattr(services, "email_request", lambda **k: told.append(("mail", k["kind"], k)))
    return told
