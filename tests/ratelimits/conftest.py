"""Limits that are on, and operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.ratelimits.engine import engine
from tests.ratelimits.commanding import GROUPS

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
def staff(new_user: Callable[..., Any]) -> Callable[..., Client]:
    """Makes clients of members of the staff who have these rights."""

    def make(*rights: str) -> Client:
        user = new_user(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def commanded(limited: SetGroups, settings: Any) -> None:
    """The groups that tests of ``manage.py ratelimits`` are about."""
    settings.RATELIMITS_PLAN_OF = "tests.ratelimits.commanding.plan_of"
    limited(*GROUPS)
