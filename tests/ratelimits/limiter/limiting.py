"""What tests of limiters share: a real server, its clock, and time that passes as they say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.ratelimits.limiter import Charge, Decision, Limiter, Policy, Result, connect
from apps.ratelimits.limiter.aio import AsyncLimiter
from apps.ratelimits.limiter.scripts import Script, script
from apps.stack.testing import Valkey

#: Longer than any test takes: real servers forget keys by their own clock.
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WRAP = 2**31
#: Times are kept modulo 2^31: they begin anew in the middle of what takes hours from here.
BEFORE_WRAP = 900 * WRAP - 2 * HOUR
#: Where the time is read from that tests set.
CLOCK = "clock"


def asking(server: Valkey, **options: Any) -> redis.Redis:
    """A client that asks once."""
    return redis.Redis.from_url(
        server.url(), **{"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), **options}
    )


def new_limiter(server: Valkey, *, timeout: float = 10) -> Limiter:
    """One whose keys no other test uses."""
    return Limiter(connect(server.url(), timeout=timeout), prefix=uuid4().hex)


def new_id() -> str:
    return uuid4().hex


def timed(script: Script, client: redis.Redis) -> Script:
    """The script, with the time that is in `CLOCK` instead of the server's; nothing else of it is changed."""
    real, own = b"redis.call('TIME')", b"redis.call('HMGET', '%s', 's', 'us')" % CLOCK.encode()
    assert script.text.count(real) == 1
    text = script.text.replace(real, own)
    return Script(text=text, digest=client.script_load(text).encode())


def set_clock(client: redis.Redis, milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, 1000)
    client.hset(CLOCK, mapping={"s": seconds, "us": rest * 1000 + 999})


@pytest.fixture
def timely(client: redis.Redis, limiter: Limiter) -> Limiter:
    """A limiter whose time tests set."""
    limiter._decide = timed(script("decide"), client)
    return limiter


class Synchronous:
    """A limiter for coroutines, asked like any other."""

    def __init__(self, limiter: AsyncLimiter, loop: asyncio.AbstractEventLoop, around: Limiter) -> None:
        self._limiter, self._loop, self._around = limiter, loop, around

    def hit(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        return self._loop.run_until_complete(self._limiter.hit(charges, cost))

    def peek(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        return self._loop.run_until_complete(self._limiter.peek(charges, cost))

    def refund(self, charged: Decision) -> None:
        self._loop.run_until_complete(self._limiter.refund(charged))

    def stats(self, charges: Sequence[Charge]) -> tuple[Result, ...]:
        return self.peek(charges, 0).results

    def reset(self, subject: str, policies: Sequence[Policy | str]) -> int:
        """Operators do that, who are no coroutines."""
        return self._around.reset(subject, policies)
