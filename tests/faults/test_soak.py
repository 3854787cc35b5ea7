"""Thousands of runs of every kind while everything is broken at random. ``SOAK_TASKS`` says how many."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import connection, transaction

from apps.events.selectors import read_stream
from apps.stack.testing import Running, Valkey
from apps.tasks.models import TaskRun
from tests.benchmarks.sqs_control import BenchmarkSqs
from tests.faults.conftest import assert_each_once
from tests.platform import Platform, wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work

TASKS = int(os.environ.get("SOAK_TASKS", "1200"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.randrange(1, 10**6)

pytestmark = pytest.mark.timeout(240 + TASKS // 10)


class Chaos:
    """Breaks something every now and then, from a thread, and counts what it broke."""

    def __init__(self, platform: Platform, sqs: BenchmarkSqs, redis: Valkey) -> None:
        self.random = random.Random(SEED)
        self.sqs = sqs
        self.redis = redis
        self.workers = [platform.worker("default", "ordered.fifo") for _ in range(2)]
        self.relays = [platform.relay(), platform.relay()]
        self.beat = platform.beat()
        platform.ready(*self.workers, *self.relays, self.beat)
        self.done: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Break nothing more; everything is up again afterwards."""
        self._stop.set()
        self._thread.join()
        # What the thread has started ends with it.
        for process in (self.sqs, self.redis, *self.workers, *self.relays, self.beat):
            self._again(process)
        self.sqs.wait_ready()
        self.redis.wait_ready()

    def _run(self) -> None:
        faults: tuple[Callable[[], None], ...] = (
            self.kill_worker, self.kill_child, self.kill_child, self.kill_relay, self.stop_worker,
            self.kill_beat, self.break_requests, self.break_requests, self.lose_messages,
            self.repeat_and_reorder, self.restart_sqs, self.end_worker, self.lose_redis, self.stop_redis,
        )  # fmt: skip
        while not self._stop.wait(self.random.uniform(0.5, 2.0)):
            fault = self.random.choice(faults)
            fault()
            self.done[fault.__name__] += 1

    def _again(self, process: Running) -> None:
        process.kill()
        process.launch()

    def kill_worker(self) -> None:
        self._again(self.random.choice(self.workers))

    def end_worker(self) -> None:
        """SIGTERM, as a deployment does."""
        worker = self.random.choice(self.workers)
        worker.stop()
        worker.launch()

    def kill_child(self) -> None:
        children = self.random.choice(self.workers).children()
        if children:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(children), signal.SIGKILL)

    def kill_relay(self) -> None:
        self._again(self.random.choice(self.relays))

    def kill_beat(self) -> None:
        self._again(self.beat)

    def stop_worker(self) -> None:
        """For longer than its leases last."""
        worker = self.random.choice(self.workers)
        pids = (worker.pid, *worker.children())
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number is signal.SIGSTOP:
                self._stop.wait(4)

    def break_requests(self) -> None:
        kind = self.random.choice(["throttled", "unavailable", "reset", "lost answer", "internal error"])
        with self.sqs.control.faulty(kind, rate=self.random.choice([0.3, 1.0])):
            self._stop.wait(self.random.uniform(0.5, 2))

    def repeat_and_reorder(self) -> None:
        with self.sqs.control.faulty("duplicate", rate=0.5):
            self.sqs.control.fault("reorder", rate=0.5)
            self._stop.wait(2)

    def lose_messages(self) -> None:
        self.sqs.control.lose()

    def lose_redis(self) -> None:
        """With all it knows; it is away for a moment."""
        self.redis.kill()
        self._stop.wait(self.random.uniform(0, 2))
        self.redis.launch()
        self.redis.wait_ready()

    def stop_redis(self) -> None:
        """For longer than leases last: it takes requests, and answers none."""
        os.kill(self.redis.pid, signal.SIGSTOP)
        self._stop.wait(4)
        os.kill(self.redis.pid, signal.SIGCONT)

    def restart_sqs(self) -> None:
        self._again(self.sqs)
        self.sqs.wait_ready()


def test_everything_is_done_once_whatever_breaks(breakable_sqs, private_redis, platform):
    print(f"SOAK_SEED={SEED}")
    chaos = Chaos(platform, breakable_sqs, private_redis)
    chance = random.Random(SEED)
    names: list[str] = []
    try:
        while len(names) < TASKS:
            with transaction.atomic():
                for index in range(len(names), min(len(names) + 100, TASKS)):
                    names.append(f"n{index}")
                    _request(names[-1], index, chance)
            waiting = TaskRun.objects.filter(state__in=("scheduled", "queued"))
            while waiting.count() > 400:
                time.sleep(0.2)
            # However quick they are, and however few: something breaks among them.
            enough = 3 * len(names) // TASKS
            wait_until(lambda least=enough: chaos.done.total() >= least, what="faults")
    finally:
        chaos.end()
    wait_for_all(180)
    assert_each_once(names)
    _assert_order()
    print(f"{TASKS} runs, {sum(chaos.done.values())} faults: {dict(chaos.done)}")


def _request(name: str, index: int, chance: random.Random) -> None:
    kind = index % 10
    if kind == 0:
        work.flaky.apply_async(args=[name], kwargs={"failures": 1}, max_attempts=1000)
    elif kind == 1:
        work.note.apply_async(args=[name], concurrency_key="k", concurrency_limit=2, max_attempts=1000)
    elif kind == 2:
        work.note.apply_async(
            args=[name], queue="ordered.fifo", group_key=f"g{chance.randrange(3)}", max_attempts=1000
        )
    elif kind == 3:
        work.note.apply_async(args=[name], countdown=chance.uniform(0, 3), max_attempts=1000)
    elif kind == 4:
        work.long.apply_async(args=[name], kwargs={"steps": 2, "seconds": 0.05}, max_attempts=1000)
    else:
        work.note.apply_async(args=[name], max_attempts=1000)


def _assert_order() -> None:
    """Runs of a group succeeded in the order of their requests."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM tasks_taskrun AS a JOIN tasks_taskrun AS b USING (order_key)"
            " WHERE a.order_key <> '' AND a.seq < b.seq AND a.finished_at > b.started_at"
        )
        assert cursor.fetchone()[0] == 0
    some = TaskRun.objects.filter(order_key__gt="").first()
    if some is not None:
        assert read_stream(some.stream)[-1].type == "task.succeeded"
