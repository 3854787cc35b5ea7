"""What tests of leases share: sets on a real server, and time that passes for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.liveness.leases import Beat, Claim, LeaseSet, Timing
from apps.liveness.leases.scripts import Client
from apps.stack.testing import Valkey

#: As in production: nothing of this is waited for.
TIMING = Timing(stale_after=30, orphan_after=90, claim_for=60)
LATE = 100.0
BEATING, REGISTER, FENCED = Beat.BEATING, Beat.REGISTER, Beat.FENCED


def elapse(leases: LeaseSet, client: Client, seconds: float, *, only: str | None = None) -> None:
    """Let time pass for the set: its times, of *only* one member or all, become so much older."""
    marks, _, starts, claims, meta = leases.keys
    for key in (marks, claims):
        for member, _ in client.zrange(key, 0, -1, withscores=True):
            if only is None or member.decode().rpartition("|")[2] == only:
                client.zincrby(key, -seconds, member)
    for member in client.hkeys(starts):
        if only is None or member.decode() == only:
            client.hincrbyfloat(starts, member, -seconds)
    if only is None and client.hexists(meta, "boot"):
        client.hincrbyfloat(meta, "boot", -seconds)


def server_time(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return seconds + micros / 1e6


def connect(server: Valkey, **options: Any) -> redis.Redis:
    """A client that asks once."""
    return redis.Redis.from_url(
        server.url(), **{"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), **options}
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey(durable=False) as running:
        yield running


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    with connect(server) as connected:
        yield connected


def new_set(client: redis.Redis, timing: Timing = TIMING, **options: Any) -> LeaseSet:
    """An empty set under a name of its own."""
    return LeaseSet(f"worker:{uuid4().hex}", timing, lambda: client, **options)


@pytest.fixture
def leases(client: redis.Redis) -> LeaseSet:
    """An empty set that was rebuilt long ago: fit to be acted on."""
    return rebuilt(new_set(client), client)


def rebuilt(leases: LeaseSet, client: redis.Redis) -> LeaseSet:
    leases.rebuild([])
    elapse(leases, client, 2 * LATE)
    return leases


def tokens(claims: tuple[Claim, ...]) -> dict[str, int | None]:
    return {one.member: one.token for one in claims}
