"""Workers in Redis in both ways: as members of a lease set, and as one key each with an expiry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import redis

from apps.liveness.leases import LeaseSet, Timing
from apps.stack.testing import Valkey
from tests.benchmarks.experiment import Bench

#: So long that nobody becomes late in the course of a run.
TIMING = Timing(stale_after=1800, orphan_after=3600)
_LATE = 2 * TIMING.orphan_after
_AT_A_TIME = 1000


class Server:
    """A Valkey of the run's own, without persistence; SCAN sees a whole database, so there are many."""

    def __init__(self, bench: Bench) -> None:
        self._stack = ExitStack()
        self._valkey = Valkey(bench.folder / "liveness", durable=False)
        self._database = 0

    def __enter__(self) -> Self:
        self._stack.enter_context(self._valkey)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, exc, trace)

    def database(self) -> redis.Redis:
        """A client of an empty database."""
        self._database += 1
        client = redis.Redis.from_url(self._valkey.url(self._database), socket_timeout=60)
        return self._stack.enter_context(client)


def _users(count: int) -> Iterator[range]:
    return (range(first, min(first + _AT_A_TIME, count)) for first in range(0, count, _AT_A_TIME))


def _is_late(user: int, late: int) -> bool:
    return user % late == 0


class Leased:
    """A lease set of *count* members, of whom one in *late* is late."""

    def __init__(self, client: redis.Redis, count: int, *, late: int = 100) -> None:
        self.client = client
        self.leases = self.timed(TIMING)
        self.late = -(-count // late)
        now = time.time()
        for users in _users(count):
            self.leases.register_many((str(user), user + 1) for user in users)
            if old := {str(user): now - _LATE for user in users if _is_late(user, late)}:
                client.zadd(self.leases.name, old)
        self.leases.rebuild([])
        # As though that was long ago.
        client.hincrbyfloat(self.leases.keys[-1], "boot", -100 * TIMING.orphan_after)

    def timed(self, timing: Timing) -> LeaseSet:
        """The set under another timing."""
        return LeaseSet("worker:all", timing, lambda: self.client)

    def find(self, limit: int | None = None) -> list[str]:
        """The late ones."""
        return self.leases.stale(limit=self.late if limit is None else limit)


class Scanned:
    """A key ``worker:active:<user>`` for each of *count* workers, of whom one in *late* is late.

    It holds the time of the last beat.
    """

    _PREFIX = "worker:active:"

    def __init__(self, client: redis.Redis, count: int, *, late: int = 100) -> None:
        self.client = client
        now = time.time()
        for users in _users(count):
            with client.pipeline(transaction=False) as pipe:
                for user in users:
                    beat_at = now - _LATE if _is_late(user, late) else now
                    pipe.set(f"{self._PREFIX}{user}", f"{beat_at:.6f}", ex=86_400)
                pipe.execute()

    def find(self) -> list[str]:
        """The late ones."""
        latest = time.time() - TIMING.orphan_after
        found: list[str] = []
        cursor: Any = 0
        while True:
            cursor, keys = self.client.scan(cursor, match=f"{self._PREFIX}*", count=1000)
            if keys:
                found += [
                    key.decode().removeprefix(self._PREFIX)
                    for key, beat_at in zip(keys, self.client.mget(keys), strict=True)
                    if beat_at is not None and float(beat_at) <= latest
                ]
            if not cursor:
                return found


def others(client: redis.Redis, count: int) -> None:
    """So many keys of somebody else's."""
    for numbers in _users(count):
        client.mset({f"session:{number}": "x" for number in numbers})


def milliseconds(action: Callable[[], object], times: int) -> list[float]:
    """How long each of so many takes, after one that is not counted."""
    action()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - began))
    return taken
