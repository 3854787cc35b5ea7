from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.identity.helpers import API, PASSWORD, send


@pytest.fixture
def alice(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice", "alice@example.com", PASSWORD)


@pytest.fixture
def token(alice: Any) -> str:
    """Of a login of alice's."""
    answer = send(Client(), "POST", f"{API}login", {"username": "alice", "password": PASSWORD})
    return str(answer.json()["token"])
