"""Signals over HTTP: how long their senders wait, and how many a second are taken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.trading.servers import SENDERS, Sender, Servers

_PEER = "a bare Django view that does one INSERT, behind the same settings and middleware"
_AT_MOST = Goal(kind=Kind.RATIO_AT_MOST, value=2.5)


def _slowest(waits: Sequence[float]) -> float:
    """What one in a hundred exceeds."""
    return quantiles(waits, n=100)[98]


class InTurn(Experiment):
    """One signal after the other, each server in short blocks by turns: what disturbs one disturbs all."""

    figures = (
        Figure(
            name="webhook-p50",
            what="median time until a signal is answered with 202, one after the other",
            unit="ms",
            peer=_PEER,
            goal=_AT_MOST,
        ),
        Figure(
            name="webhook-p99",
            what="time until a signal is answered that one in a hundred exceeds",
            unit="ms",
            peer=_PEER,
            goal=_AT_MOST,
        ),
        Figure(
            name="webhook-bare",
            what="median time until a signal is answered",
            unit="ms",
            peer="the bare view without any middleware",
            goal=Goal(kind=Kind.OURS_AT_MOST, value=50),
        ),
    )

    def prepare(self) -> None:
        servers = self.bench.shared(Servers)
        self._senders = [senders[0] for senders in (servers.ours, servers.same, servers.bare)]
        self._waits(0, self.bench.size(10, 1))

    def measure(self, turn: int) -> Samples:
        ours, same, bare = self._waits(turn, self.bench.size(40, 2))
        return {
            "webhook-p50": (median(ours), median(same)),
            "webhook-p99": (_slowest(ours), _slowest(same)),
            "webhook-bare": (median(ours), median(bare)),
        }

    def _waits(self, turn: int, blocks: int) -> tuple[list[float], ...]:
        """Milliseconds of each signal, for each server."""
        waits: tuple[list[float], ...] = tuple([] for _ in self._senders)
        for sender in self._senders:
            sender.renew()
        for block in range(blocks):
            for position in range(len(waits)):
                side = (position + block + turn) % len(waits)
                waits[side].extend(self._senders[side].send() for _ in range(20))
        return waits


class AtOnce(Experiment):
    """Sixteen senders at once, each of whom waits for an answer before it sends again."""

    figures = (
        Figure(
            name="webhooks-accepted",
            what=f"signals that are answered with 202 at concurrency {SENDERS}",
            unit="signals/s",
            peer=_PEER,
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=0.4),
        ),
        Figure(
            name="webhooks-p50",
            what=f"median time until a signal is answered at concurrency {SENDERS}",
            unit="ms",
            peer=_PEER,
            goal=_AT_MOST,
        ),
        Figure(
            name="webhooks-p99",
            what=f"time until a signal is answered at concurrency {SENDERS} that one in a hundred exceeds",
            unit="ms",
            peer=_PEER,
            goal=_AT_MOST,
        ),
    )

    def prepare(self) -> None:
        servers = self.bench.shared(Servers)
        self._sides = (servers.ours, servers.same)
        self._in_blocks(0, 1)

    def measure(self, turn: int) -> Samples:
        (ours, our_time), (same, same_time) = self._in_blocks(turn, self.bench.size(10, 1))
        return {
            "webhooks-accepted": (len(ours) / our_time, len(same) / same_time),
            "webhooks-p50": (median(ours), median(same)),
            "webhooks-p99": (_slowest(ours), _slowest(same)),
        }

    def _in_blocks(self, turn: int, blocks: int) -> list[tuple[list[float], float]]:
        """Milliseconds of each signal, and seconds in all, for each server."""
        found: list[tuple[list[float], float]] = [([], 0.0), ([], 0.0)]
        for block in range(blocks):
            for position in range(2):
                side = (position + block + turn) % 2
                waits, elapsed = _at_once(self._sides[side], self.bench.size(20, 2))
                found[side] = (found[side][0] + waits, found[side][1] + elapsed)
        return found


def _at_once(senders: Sequence[Sender], times: int) -> tuple[list[float], float]:
    def several(sender: Sender) -> list[float]:
        return [sender.send() for _ in range(times)]

    for sender in senders:
        sender.renew()
    with ThreadPoolExecutor(len(senders)) as pool:
        began = time.perf_counter()
        waits = [wait for some in pool.map(several, senders) for wait in some]
        return waits, time.perf_counter() - began
