"""How long one task waits that is requested while nothing else is to do."""

from __future__ import annotations

import random
import time
from statistics import median

from tests.benchmarks import database
from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.tasks.contenders import Contender, Ours, Plain, new_batch
from tests.benchmarks.tasks.processes import BEST, Workers, wait_for

_GOAL = Goal(kind=Kind.EXCESS_AT_MOST, value=4)


class Latency(Experiment):
    """Single tasks some time apart, from before ``delay()`` to the first line of the handler."""

    figures = tuple(
        Figure(
            name=f"latency-{milliseconds}ms",
            what=f"median wait of a single task at {milliseconds} ms a call",
            unit="ms",
            peer="Celery at its best settings",
            goal=_GOAL,
        )
        for milliseconds in (0, 10)
    )

    def prepare(self) -> None:
        self.workers = self.bench.shared(Workers)
        self.ours = Ours(self.bench)
        self.best = Plain(self.bench, BEST)
        self._random = random.Random(0)
        for contender in (self.ours, self.best):
            self._wait(contender, 3, 0)

    def _wait(self, contender: Contender, count: int, latency: float) -> float:
        batch = new_batch()
        self.bench.sqs.set_latency(latency)
        # Long polls that began without latency end with it: this shows only in the first sample.
        for number in range(count):
            time.sleep(self._random.uniform(0.06, 0.12))
            contender.send(batch, number)
        wait_for(lambda: contender.done(batch) == count, seconds=30, what="single tasks to be done")
        self.bench.sqs.set_latency(0)
        waits = database.value(
            "SELECT array_agg(waited) FROM benchmark_workload_note WHERE batch = %s", [batch]
        )
        return 1000 * median(waits)

    def measure(self, turn: int) -> Samples:
        count = self.bench.size(40, 4)
        found = {}
        for latency in (0, 10):
            found[f"latency-{latency}ms"] = self.in_turns(
                turn,
                lambda latency=latency: self._wait(self.ours, count, latency),
                lambda latency=latency: self._wait(self.best, count, latency),
            )
        self.workers.check()
        return found
