"""From a full queue to the last effect, through one worker; and what that costs in requests to SQS."""

from __future__ import annotations

from typing import ClassVar

from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.tasks.contenders import Contender, Ours, Plain
from tests.benchmarks.tasks.processes import BEST, CONCURRENCY, DEFAULTS, Workers

_DEFAULTS_LIMIT = 8.0
_PARTS = {
    "main": "the worker's main process",
    "pool": "its pool",
    "database": "PostgreSQL",
    "sqs": "the SQS server",
}


class Throughput(Experiment):
    """Tasks that leave a row and do nothing else."""

    latency: ClassVar[float]

    def prepare(self) -> None:
        self.workers = self.bench.shared(Workers)
        self.ours = Ours(self.bench)
        self.best = Plain(self.bench, BEST)
        self.defaults = Plain(self.bench, DEFAULTS)
        for contender in (self.ours, self.best, self.defaults):
            contender.prepare(self.bench.size(100, 8))
            contender.work_off(latency=0, limit=_DEFAULTS_LIMIT)

    def _counted(self, contender: Contender, count: int) -> dict[str, float]:
        """Tasks a second, and for each the requests to SQS and the milliseconds of processors."""
        self.bench.sqs.reset_counters()
        contender.prepare(count)
        before = self.workers.processor_time(contender.queue)
        rate = contender.work_off(latency=self.latency)
        after = self.workers.processor_time(contender.queue)
        used = {f"cpu-{part}": 1000 * (after[part] - before[part]) / count for part in after}
        return {"e2e": rate, "requests": self.bench.sqs.requests(contender.queue).total() / count, **used}

    def measure(self, turn: int) -> Samples:
        count = self.bench.size(2000, 40)
        ours, best = self.in_turns(
            turn, lambda: self._counted(self.ours, count), lambda: self._counted(self.best, count)
        )
        self.defaults.prepare(self.bench.size(200, 8))
        defaults = self.defaults.work_off(latency=self.latency, limit=_DEFAULTS_LIMIT)
        self.workers.check()
        at = f"{self.latency:g}ms"
        found = {f"{name}-{at}": (ours[name], best[name]) for name in ours}
        return {**found, f"e2e-{at}-defaults": (ours["e2e"], defaults)}


def _figures(latency: int, goal: float) -> list[Figure]:
    at = f"at {latency} ms a call"
    what = f"a backlog of 2,000 worked off by one worker, with full history and effect, {at}"
    return [
        Figure(
            name=f"requests-{latency}ms",
            what=f"SQS requests for each task, sent, received and deleted, {at}",
            unit="requests",
            peer="Celery at its best settings",
            goal=Goal(kind=Kind.OURS_AT_MOST, value=0.5),
        ),
        Figure(
            name=f"e2e-{latency}ms",
            what=what,
            unit="tasks/s",
            peer="Celery at its best settings, with a result row",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=goal),
        ),
        Figure(
            name=f"e2e-{latency}ms-defaults",
            what=what,
            unit="tasks/s",
            peer="Celery at its defaults, with a result row",
        ),
        *(
            Figure(
                name=f"cpu-{part}-{latency}ms",
                what=f"processor time of {whose} for each task, {at}",
                unit="ms",
                peer="Celery at its best settings, with a result row",
            )
            for part, whose in _PARTS.items()
        ),
    ]


class ThroughputAt0(Throughput):
    """Without added latency."""

    latency = 0
    figures = _figures(0, 0.8)


class ThroughputAt10(Throughput):
    """With that of a data centre."""

    latency = 10
    figures = _figures(10, 5)


class BusyAt10(Experiment):
    """Tasks that take 50 ms: how much of what four processes could do at best."""

    seconds = 0.05
    figures = (
        Figure(
            name="busy-10ms",
            what=f"tasks of 50 ms at concurrency {CONCURRENCY} and 10 ms a call, in % of the ideal",
            unit="%",
            peer="Celery at its best settings, with a result row",
            goal=Goal(kind=Kind.OURS_AT_LEAST, value=90),
        ),
    )

    def prepare(self) -> None:
        self.workers = self.bench.shared(Workers)
        self.ours = Ours(self.bench)
        self.best = Plain(self.bench, BEST)

    def _share(self, contender: Contender) -> float:
        contender.prepare(self.bench.size(800, 16), self.seconds)
        rate = contender.work_off(latency=10)
        return 100 * rate * self.seconds / CONCURRENCY

    def measure(self, turn: int) -> Samples:
        shares = self.in_turns(turn, lambda: self._share(self.ours), lambda: self._share(self.best))
        self.workers.check()
        return {"busy-10ms": shares}
