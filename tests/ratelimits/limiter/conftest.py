"""A server of their own for the tests of each module, and a limiter on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from apps.ratelimits.limiter import Limiter
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import asking, new_limiter


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey(durable=False) as running:
        yield running


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    with asking(server) as connected:
        yield connected


@pytest.fixture
def limiter(server: Valkey) -> Limiter:
    return new_limiter(server)
