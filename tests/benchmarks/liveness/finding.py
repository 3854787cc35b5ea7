"""Finding those that are late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Self

from apps.liveness.leases import Verdict
from tests.benchmarks.experiment import Bench, Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.liveness.servers import TIMING, Leased, Scanned, Server, milliseconds, others

_PEER = "SCAN with COUNT 1000 and MGET over a key for each worker"
_SIZES = {"1k": 1000, "10k": 10_000, "100k": 100_000}


def _figure(size: str, goal: float | None, where: str = "") -> Figure:
    return Figure(
        name=f"find-stale-{size}{'-among' if where else ''}",
        what=f"how often all of {size} workers' 1 % that are late can be found{where}",
        unit="finds/s",
        peer=_PEER,
        goal=None if goal is None else Goal(kind=Kind.RATIO_AT_LEAST, value=goal),
    )


def _per_second(action: Callable[[], object], times: int) -> float:
    return 1000 / median(milliseconds(action, times))


def _same(ours: Leased, peer: Scanned) -> None:
    found, scanned = ours.find(), peer.find()
    if len(found) != ours.late or sorted(found) != sorted(scanned):
        raise Failed(f"of {ours.late} that are late, {len(found)} were found, and {len(scanned)} by SCAN")


class Finding(Experiment):
    """All that are late, in databases that hold nothing else."""

    figures = tuple(_figure(size, goal) for size, goal in (("1k", 10), ("10k", 80), ("100k", 400)))

    def prepare(self) -> None:
        server = self.bench.shared(Server)
        self._pairs: dict[str, tuple[Leased, Scanned]] = {}
        for size, full in _SIZES.items():
            client, count = server.database(), self.bench.size(full, full // 50)
            pair = self._pairs[size] = Leased(client, count), Scanned(client, count)
            _same(*pair)

    def measure(self, turn: int) -> Samples:
        found = {}
        for size, (ours, peer) in self._pairs.items():
            times = self.bench.size(max(5, 50_000 // _SIZES[size]), 3)
            found[f"find-stale-{size}"] = self.in_turns(
                turn,
                lambda ours=ours: _per_second(ours.find, self.bench.size(1000, 5)),
                lambda peer=peer, times=times: _per_second(peer.find, times),
            )
        return found


class FindingAmongOthers(Experiment):
    """All that are late, in a database that others use more."""

    figures = (_figure("1k", None, ", beside 1,000,000 other keys"),)

    def prepare(self) -> None:
        client = self.bench.shared(Server).database()
        others(client, self.bench.size(1_000_000, 5000))
        count = self.bench.size(1000, 100)
        self._ours, self._peer = Leased(client, count), Scanned(client, count)
        _same(self._ours, self._peer)

    def measure(self, turn: int) -> Samples:
        return {
            "find-stale-1k-among": self.in_turns(
                turn,
                lambda: _per_second(self._ours.find, self.bench.size(100, 5)),
                lambda: _per_second(self._peer.find, 2),
            )
        }


class Million:
    """A set of a million, made once for all that need it."""

    def __init__(self, bench: Bench) -> None:
        self.leased = Leased(bench.shared(Server).database(), bench.size(1_000_000, 20_000))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The server goes with all that is on it."""


class FindingTheFirst(Experiment):
    """The longest silent of many and of few."""

    figures = (
        Figure(
            name="first-100-of-1m",
            what="finding the 100 that are late for longest among 1,000,000",
            unit="ms",
            peer="the same among 1,000",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=3),
        ),
    )

    def prepare(self) -> None:
        self._few = Leased(self.bench.shared(Server).database(), 1000, late=10)
        self._many = self.bench.shared(Million).leased
        for one in (self._few, self._many):
            if len(one.find(100)) != 100:
                raise Failed(f"of {one.late} that are late, {len(one.find(100))} were found")

    def measure(self, turn: int) -> Samples:
        times = self.bench.size(500, 10)
        return {
            "first-100-of-1m": self.in_turns(
                turn,
                lambda: median(milliseconds(lambda: self._many.find(100), times)),
                lambda: median(milliseconds(lambda: self._few.find(100), times)),
            )
        }


class ReapingNone(Experiment):
    """A look for orphans where there are none, as nearly all are."""

    figures = (
        Figure(
            name="reap-none-1m",
            what="a look for orphans that finds none among 1,000,000",
            unit="ms",
            peer="PING",
        ),
    )

    def prepare(self) -> None:
        leased = self.bench.shared(Million).leased
        self._leases = leased.timed(replace(TIMING, orphan_after=10 * TIMING.orphan_after))
        self._client = leased.client
        found = self._leases.reap()
        if found.verdict is not Verdict.ACTED or found.orphans:
            raise Failed(f"{found.verdict} although {found.orphans} are to be orphans")

    def measure(self, turn: int) -> Samples:
        times = self.bench.size(500, 10)
        return {
            "reap-none-1m": self.in_turns(
                turn,
                lambda: median(milliseconds(self._leases.reap, times)),
                lambda: median(milliseconds(self._client.ping, times)),
            )
        }
