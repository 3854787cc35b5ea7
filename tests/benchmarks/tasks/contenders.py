"""We and the peer as the same three things: fill a queue, send one task, see how far it has come."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import datetime

from django.db import transaction

from apps.core.ids import uuid7
from apps.tasks import queues
from tests.benchmarks import database
from tests.benchmarks.experiment import Bench, Failed
from tests.benchmarks.tasks import plain
from tests.benchmarks.tasks.processes import wait_for
from tests.benchmarks.workload.tasks import note


def new_batch() -> str:
    """A name under which the effects of one repetition are found."""
    return uuid7().hex


class Contender(ABC):
    """One side."""

    #: What the names of its queues on SQS begin with; and the one that its worker serves.
    queue: str

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @abstractmethod
    def fill(self, batch: str, count: int, seconds: float = 0.0) -> None:
        """Put *count* tasks that take *seconds* each onto the queue, whose deliveries are held back."""

    @abstractmethod
    def send(self, batch: str, number: int) -> None:
        """Request one task."""

    @abstractmethod
    def finished(self, batch: str, since: datetime) -> datetime:
        """When the last of the tasks requested since then had ended."""

    def done(self, batch: str) -> int:
        """How many effects there are."""
        return int(database.value("SELECT count(*) FROM benchmark_workload_note WHERE batch = %s", [batch]))

    def prepare(self, count: int, seconds: float = 0.0) -> None:
        """Fill the queue, and deliver nothing yet."""
        self._batch, self._count = new_batch(), count
        self.bench.sqs.hold(self.queue)
        self.fill(self._batch, count, seconds)

    def work_off(self, *, latency: float, limit: float = 120.0) -> float:
        """Tasks a second of what was prepared, at *latency* ms for every call.

        Ends after *limit* seconds with what was done by then.
        """
        batch, count, sqs = self._batch, self._count, self.bench.sqs
        sqs.set_latency(latency)
        began = database.now()
        sqs.release(self.queue)
        deadline = time.monotonic() + limit
        while (done := self.done(batch)) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        sqs.set_latency(0)
        if done == count:
            return count / (self.finished(batch, began) - began).total_seconds()
        sqs.purge(self.queue)
        self._wait_for_quiet(batch)
        return done / limit

    def _wait_for_quiet(self, batch: str) -> None:
        before = -1
        while (done := self.done(batch)) != before:
            before = done
            time.sleep(2.5)


class Ours(Contender):
    """Durable tasks: requested in a transaction, published by the relay."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.queue = queues.physical_name("default")

    def request(self, batch: str, count: int, seconds: float = 0.0) -> datetime:
        """Request *count* runs in one transaction; the server's clock just before its commit."""
        with transaction.atomic():
            for number in range(count):
                note.delay(batch, number, time.time(), seconds)
            return database.now()

    def wait_published(self) -> None:
        """Until the relay has nothing more to do."""
        wait_for(
            lambda: not database.value("SELECT count(*) FROM tasks_taskrun WHERE state = 'scheduled'"),
            seconds=60,
            what="the relay to publish",
        )

    def fill(self, batch: str, count: int, seconds: float = 0.0) -> None:
        self.request(batch, count, seconds)
        self.wait_published()

    def send(self, batch: str, number: int) -> None:
        note.delay(batch, number, time.time())

    def finished(self, batch: str, since: datetime) -> datetime:
        """Also proves that every run has succeeded, with its whole history."""
        wait_for(
            lambda: not database.value("SELECT count(*) FROM tasks_taskrun WHERE state = 'running'"),
            seconds=30,
            what="the last run to end",
        )
        others = database.value("SELECT count(*) FROM tasks_taskrun WHERE state <> 'succeeded'")
        if others:
            raise Failed(f"{others} runs have not succeeded")
        moment: datetime = database.value(
            "SELECT max(finished_at) FROM tasks_taskrun WHERE finished_at > %s", [since]
        )
        return moment


class Plain(Contender):
    """Plain Celery on the queue *queue*."""

    def __init__(self, bench: Bench, queue: str) -> None:
        super().__init__(bench)
        self.queue = queue

    def fill(self, batch: str, count: int, seconds: float = 0.0) -> None:
        for number in range(count):
            plain.note.apply_async((batch, number, time.time(), seconds), queue=self.queue)

    def send(self, batch: str, number: int) -> None:
        plain.note.apply_async((batch, number, time.time()), queue=self.queue)

    def finished(self, batch: str, since: datetime) -> datetime:
        moment: datetime = database.value(
            "SELECT max(at) FROM benchmark_workload_note WHERE batch = %s", [batch]
        )
        return moment
