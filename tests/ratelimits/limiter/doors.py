"""Limiters of every kind, behind one door: what is asked of them all, at times that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from apps.ratelimits.limiter import Algorithm, Charge, Decision, Limiter, Policy
from apps.ratelimits.limiter.aio import AsyncLimiter, connect_async
from apps.ratelimits.limiter.local import LocalLimiter
from apps.ratelimits.limiter.scripts import script
from apps.stack.testing import Valkey
from tests.ratelimits.limiter.limiting import MINUTE, Synchronous, new_id, set_clock, timed

#: On a boundary of the 64ths of a minute, far from where stamps begin anew.
START = 1_000_000 * 938


@dataclass
class Door:
    """A limiter of one kind, and its time."""

    limiter: Any
    algorithm: Algorithm
    to: Callable[[int], None]
    now: int = START

    def at(self, passed: int) -> None:
        """So many milliseconds after the start."""
        self.now = START + passed
        self.to(self.now)

    def policy(self, limit: int, window: int = MINUTE, *, shadow: bool = False) -> Policy:
        return Policy(new_id(), limit, window, shadow, algorithm=self.algorithm)

    def charge(self, limit: int, window: int = MINUTE, *, shadow: bool = False) -> Charge:
        return Charge(self.policy(limit, window, shadow=shadow), "user:7")

    def hits(self, charge: Charge, count: int) -> list[bool]:
        return [self.limiter.hit([charge]).allowed for _ in range(count)]

    def used(self, *charges: Charge) -> list[int]:
        return [one.used for one in self.limiter.stats(charges)]


@pytest.fixture(params=["log", "ticks", "coroutines", "local log", "local ticks"])
def door(
    request: pytest.FixtureRequest, server: Valkey, client: redis.Redis, limiter: Limiter
) -> Iterator[Door]:
    algorithm = Algorithm.TICKS if "ticks" in request.param else Algorithm.LOG
    if "local" in request.param:
        time = [0]
        local = LocalLimiter(clock=lambda: time[0] / 1000)
        door = Door(local, algorithm, lambda now: time.__setitem__(0, now))
        door.at(0)
        yield door
        return
    timely = limiter._decide = timed(script("decide"), client)
    door = Door(limiter, algorithm, lambda now: set_clock(client, now))
    door.at(0)
    if request.param != "coroutines":
        yield door
        return
    with asyncio.Runner() as runner:
        single = AsyncLimiter(connect_async(server.url(), timeout=10))
        single.keys, single._decide = limiter.keys, timely
        door.limiter = Synchronous(single, runner.get_loop(), limiter)
        yield door


def only(decision: Decision) -> Any:
    [result] = decision.results
    return result
