"""What requests cost when Redis takes them and does nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from django.test import override_settings

from apps.ratelimits.engine import engine
from apps.stack.testing import Valkey
from tests.benchmarks.experiment import Bench, Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.ratelimits.serving import OURS, Stack, limited, make_rows

#: Of the product, in milliseconds.
_TIMEOUT = 50.0
#: Requests of one look at each side: what waits for a quiet moment waits once for so many.
_AT_ONCE = 20


class _Server:
    """A Valkey that only these requests use."""

    def __init__(self, bench: Bench) -> None:
        self._valkey = Valkey(bench.folder / "stalling", durable=False)
        self.url, self.pid = self._valkey.url(), 0

    def __enter__(self) -> _Server:
        self._valkey.__enter__()
        self.pid = self._valkey.pid
        return self

    def __exit__(self, *_: object) -> None:
        self._valkey.__exit__(None, None, None)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


class Stalling(Experiment):
    """The first request waits, and those after it do not."""

    figures = (
        Figure(
            name="stalled-first",
            what="the first request once Redis has stopped to answer",
            unit="ms",
            peer="the timeout",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1.5),
        ),
        Figure(
            name="stalled-later",
            what="the requests after it, while Redis is still silent",
            unit="ms",
            peer="the same view without limits",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1.2),
        ),
    )

    def prepare(self) -> None:
        make_rows()
        with limited():
            self._served = Stack([OURS], "/notes", status=200, told=True)
            self._stalled = Stack([OURS], "/notes", status=200, told=False)
            self._bare = Stack([], "/notes", status=200, told=False)

    def measure(self, turn: int) -> Samples:
        server = self.bench.shared(_Server)
        with limited(), override_settings(REDIS_URL=server.url, RATELIMITS_TIMEOUT=_TIMEOUT / 1000):
            limits = engine()
            # The first to notice is to be a request.
            limits.keeper.stop()
            limits.look_after()
            self._served.ask()
            with server.stopped():
                first = _milliseconds(self._stalled)
                later, bare = self.by_turns(
                    turn,
                    lambda: median(_milliseconds(self._stalled) for _ in range(_AT_ONCE)),
                    lambda: median(_milliseconds(self._bare) for _ in range(_AT_ONCE)),
                    self.bench.size(10, 1),
                )
            if limits.breaker.failure is None:
                raise Failed("Redis was not taken to be away")
            limits.look_after()
        return {"stalled-first": (first, _TIMEOUT), "stalled-later": (later, bare)}


def _milliseconds(stack: Stack) -> float:
    began = time.perf_counter()
    stack.ask()
    return 1000 * (time.perf_counter() - began)
