"""How fast work is requested and sent: our transaction and relay, and plain Celery's ``delay()``."""

from __future__ import annotations

import time
from datetime import datetime
from typing import ClassVar

from tests.benchmarks import database
from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.tasks import plain
from tests.benchmarks.tasks.contenders import Ours, new_batch
from tests.benchmarks.tasks.processes import Workers


class Publishing(Experiment):
    """Requests in one transaction, then the relay until all are sent; ``delay()`` in a loop."""

    latency: ClassVar[float]
    counts: ClassVar[tuple[int, int]]

    def prepare(self) -> None:
        self.workers = self.bench.shared(Workers)
        self.ours = Ours(self.bench)
        self._plain(5)
        self._ours(5)

    def _plain(self, count: int) -> float:
        batch = new_batch()
        self.bench.sqs.set_latency(self.latency)
        began = time.perf_counter()
        for number in range(count):
            plain.note.delay(batch, number, 0.0)
        took = time.perf_counter() - began
        self.bench.sqs.set_latency(0)
        self.bench.sqs.purge(plain.QUEUE)
        return count / took

    def _ours(self, count: int) -> tuple[float, float]:
        """Tasks a second requested, and published."""
        sqs = self.bench.sqs
        sqs.hold(self.ours.queue)
        sqs.set_latency(self.latency)
        began = time.perf_counter()
        committed = self.ours.request(new_batch(), count)
        took = time.perf_counter() - began
        self.ours.wait_published()
        sqs.set_latency(0)
        last: datetime = database.value("SELECT max(published_at) FROM tasks_taskrun")
        # Nobody is to work them off: they are taken back before the queue is opened again.
        sqs.purge(self.ours.queue)
        database.execute("DELETE FROM tasks_taskrun WHERE state = 'queued'")
        sqs.release(self.ours.queue)
        return count / took, count / (last - committed).total_seconds()

    def measure(self, turn: int) -> Samples:
        ours, peers = self.counts
        (requested, published), sent = self.in_turns(
            turn,
            lambda: self._ours(self.bench.size(ours, 40)),
            lambda: self._plain(self.bench.size(peers, 10)),
        )
        self.workers.check()
        at = f"{self.latency:g}ms"
        return {f"publish-{at}": (published, sent), f"enqueue-{at}": (requested, sent)}


def _figures(latency: int, *, enqueue: Goal | None) -> list[Figure]:
    at = f"at {latency} ms a call"
    return [
        Figure(
            name=f"publish-{latency}ms",
            what=f"runs published by one relay {at}",
            unit="tasks/s",
            peer="delay()",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=8),
        ),
        Figure(
            name=f"enqueue-{latency}ms",
            what=f"delay() inside a transaction, with its commit, {at}",
            unit="tasks/s",
            peer="delay()",
            goal=enqueue,
        ),
    ]


class PublishingAt0(Publishing):
    """Without added latency."""

    latency = 0
    counts = (3000, 600)
    figures = _figures(0, enqueue=None)


class PublishingAt10(Publishing):
    """With that of a data centre."""

    latency = 10
    counts = (3000, 150)
    figures = _figures(10, enqueue=Goal(kind=Kind.RATIO_AT_LEAST, value=5))
