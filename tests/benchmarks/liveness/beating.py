"""What a beat costs beyond the ZADD that it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from statistics import median

from apps.liveness.leases import Beat
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.liveness.servers import Leased, Server, milliseconds

_MEMBERS = 10_000
_BEATING = Beat.BEATING


class _Beats(Experiment):
    """Ours and the peer's on one connection, in short blocks by turns: what disturbs one disturbs both."""

    def prepare(self) -> None:
        self._population = Leased(self.bench.shared(Server).database(), self.bench.size(_MEMBERS, 500))
        self._users = cycle(range(self.bench.size(_MEMBERS, 500)))
        self._client, self._leases = self._population.client, self._population.leases

    def _in_blocks(
        self, turn: int, ours: Callable[[], None], peer: Callable[[], None], times: int
    ) -> tuple[float, float]:
        """Median milliseconds of an action, of so many in each block."""
        taken: tuple[list[float], list[float]] = ([], [])
        for block in range(self.bench.size(100, 4)):
            for side in (0, 1) if (block + turn) % 2 else (1, 0):
                taken[side].extend(milliseconds((ours, peer)[side], times))
        return median(taken[0]), median(taken[1])


class Beating(_Beats):
    """One at a time, as each worker does."""

    figures = (
        Figure(
            name="beat",
            what="one beat with its token checked",
            unit="ms",
            peer="a bare ZADD on the same connection",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1.3),
        ),
    )

    def _ours(self) -> None:
        user = next(self._users)
        if self._leases.beat(str(user), user + 1) is not _BEATING:
            raise Failed("a beat was not answered as one")

    def _peer(self) -> None:
        self._client.zadd("bare", {str(next(self._users)): time.time()})

    def measure(self, turn: int) -> Samples:
        return {"beat": self._in_blocks(turn, self._ours, self._peer, self.bench.size(200, 20))}


class BeatingMany(_Beats):
    """A hundred at once, as a process with many does."""

    figures = (
        Figure(
            name="beat-100",
            what="beats of 100 members at once with their tokens checked",
            unit="ms",
            peer="100 ZADDs in a pipeline",
        ),
    )

    def _ours(self) -> None:
        users = [next(self._users) for _ in range(100)]
        if set(self._leases.beat_many((str(user), user + 1) for user in users)) != {_BEATING}:
            raise Failed("beats were not answered as such")

    def _peer(self) -> None:
        users = [next(self._users) for _ in range(100)]
        with self._client.pipeline(transaction=False) as pipe:
            for user in users:
                pipe.zadd("bare", {str(user): time.time()})
            pipe.execute()

    def measure(self, turn: int) -> Samples:
        return {"beat-100": self._in_blocks(turn, self._ours, self._peer, self.bench.size(8, 2))}
