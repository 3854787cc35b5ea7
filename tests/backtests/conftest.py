from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.backtests.helpers import market


@pytest.fixture
def stored(db: None) -> str:
    """Four days of minutes of a random walk."""
    return market()


@pytest.fixture
def alice(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice", "alice@example.com", "x")


@pytest.fixture
def api(client: Client, alice: Any) -> Client:
    """A client that alice is signed in with."""
    client.force_login(alice)
    return client


@pytest.fixture
def bob(django_user_model: Any) -> Client:
    """A client that another user is signed in with."""
    other = Client()
    other.force_login(django_user_model.objects.create_user("bob"))
    return other
