"""Limits that are on, and users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from apps.core.ids import uuid7
from apps.ratelimits.engine import engine

SetGroups = Callable[..., None]


@pytest.fixture
def limited(db: None, own_keys: None, settings: Any) -> Iterator[SetGroups]:
    """Requests are limited, by the groups that the test gives, and reach the views of this folder."""
    settings.RATELIMITS_ENABLED = True
    settings.ROOT_URLCONF = "tests.ratelimits.urls"
    # What is measured is not this: a machine that is busy is not away.
    settings.RATELIMITS_TIMEOUT = 5.0

    def groups(*given: dict[str, Any]) -> None:
        settings.RATELIMITS_GROUPS = list(given)

    groups()
    yield groups
    engine().keeper.stop()


@pytest.fixture
def new_user(db: None) -> Callable[..., Any]:
    """Makes users."""

    def make(name: str = "", **fields: Any) -> Any:
        name = name or f"u{uuid7().hex[-8:]}"
        manager = get_user_model()._default_manager
        return manager.create_user(name, f"{name}@example.com", "secret", **fields)

    return make


@pytest.fixture
def staff(new_user: Callable[..., Any]) -> Callable[..., Client]:
    """Makes clients of members of the staff who have these rights."""

    def make(*rights: str) -> Client:
        user = new_user(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        client = Client()
        client.force_login(user)
        return client

    return make
