"""Users with workers, on keys in Redis of the test's own, and servers that are away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from apps.liveness import services
from apps.liveness.redis import client


@pytest.fixture(autouse=True)
def own_set(own_keys: None, settings: Any) -> Iterator[str]:
    """The prefix of this test's keys, which are gone afterwards."""
    prefix = settings.REDIS_KEY_PREFIX
    yield prefix
    keys = [*client().scan_iter(f"{prefix}*"), *client().scan_iter(f"{{{prefix}*")]
    if keys:
        client().delete(*keys)


@pytest.fixture
def start(new_user):
    """Starts the worker of a user, by default of a new one."""

    def begin(worker="", user=None):
        return services.session_start(user_id=(user or new_user()).pk, worker=worker)

    return begin


@pytest.fixture
def viewer(client, new_user):
    """A client of a member of the staff who may look, and do nothing."""
    user = new_user("viewer", is_staff=True)
    for name in ("view_workersession", "view_scan"):
        user.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(user)
    return client
