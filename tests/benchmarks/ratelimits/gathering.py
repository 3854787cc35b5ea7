"""Many coroutines that ask at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

import redis.asyncio
from django.conf import settings

from apps.ratelimits.limiter.aio import AsyncLimiter, connect_async
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure
from tests.benchmarks.ratelimits.clients import Clients, charges

_AT_ONCE, _EACH = 32, 10


class Gathering(Experiment):
    """Ours on the one connection of the loop, the peer's on those of its pool, in short blocks by turns."""

    figures = (
        Figure(
            name=f"async-{_AT_ONCE}",
            what=f"a decision on three limits by coroutines, of whom {_AT_ONCE} ask at once",
            unit="µs",
            peer="PING by redis.asyncio, by as many",
        ),
    )

    def prepare(self) -> None:
        """Each repetition is an event loop with connections of its own."""

    def measure(self, turn: int) -> Samples:
        return {self.figures[0].name: asyncio.run(self._measure(turn))}

    async def _measure(self, turn: int) -> tuple[float, float]:
        limiter = AsyncLimiter(connect_async(settings.REDIS_URL, timeout=5), prefix="bench")
        clients = Clients()

        async def decide() -> None:
            decision = await limiter.hit(charges(*clients.next()))
            if not decision.allowed:
                raise Failed("what is below every limit was denied")

        taken: tuple[list[float], list[float]] = ([], [])
        async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as client:
            both: tuple[Callable[[], Awaitable[object]], ...] = (decide, client.ping)
            for action in both:
                await _block(action)
            for block in range(self.bench.size(30, 4)):
                for side in (0, 1) if (block + turn) % 2 else (1, 0):
                    taken[side].append(await _block(both[side]))
        return median(taken[0]), median(taken[1])


async def _block(action: Callable[[], Awaitable[object]]) -> float:
    async def several() -> None:
        for _ in range(_EACH):
            await action()

    began = time.perf_counter()
    await asyncio.gather(*(several() for _ in range(_AT_ONCE)))
    return 1e6 * (time.perf_counter() - began) / (_AT_ONCE * _EACH)
