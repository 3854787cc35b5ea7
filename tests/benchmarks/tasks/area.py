"""The area ``tasks``: durable tasks against plain Celery on SQS, and the event store against COPY."""

from __future__ import annotations

from tests.benchmarks.tasks.appending import Appending
from tests.benchmarks.tasks.latency import Latency
from tests.benchmarks.tasks.millions import Millions
from tests.benchmarks.tasks.publishing import PublishingAt0, PublishingAt10
from tests.benchmarks.tasks.throughput import BusyAt10, ThroughputAt0, ThroughputAt10

EXPERIMENTS = [
    PublishingAt0,
    PublishingAt10,
    ThroughputAt0,
    ThroughputAt10,
    BusyAt10,
    Latency,
    Appending,
    Millions,
]
