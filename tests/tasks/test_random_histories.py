"""Whatever happens to runs in whatever order, their rows are what their events say."""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.core.resources import sql
from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import claims, services
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import TRANSITIONS, State
from tests.workload import tasks as work

pytestmark = pytest.mark.django_db


class History:
    """Random operations on a few runs, by three workers who remember every claim they ever had."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.runs: list[uuid.UUID] = []
        self.claims: list[claims.Claim] = []

    def step(self) -> None:
        operations = (
            self.request, self.publish, self.claim, self.claim, self.succeed, self.fail, self.fail,
            self.lose, self.cancel, self.end_cancelled, self.redrive, self.hand_back, self.expire,
            self.hand_back, self.reschedule, self.retry_now,
        )  # fmt: skip
        self.random.choice(operations)()

    def any_run(self) -> uuid.UUID:
        return self.random.choice(self.runs) if self.runs else uuid.uuid4()

    def any_claim(self) -> claims.Claim | None:
        return self.random.choice(self.claims[-6:]) if self.claims else None

    def request(self) -> None:
        if len(self.runs) < 4:
            result = work.note.apply_async(
                args=["x"],
                max_attempts=self.random.choice([1, 2, 5]),
                **self.random.choice(
                    [
                        {},
                        {"expires": 0.05},
                        {"concurrency_key": "c", "concurrency_limit": 1},
                        {"rate_key": "r", "rate": "2/h"},
                        {"queue": "ordered.fifo", "group_key": "g"},
                    ]
                ),
            )
            self.runs.append(uuid.UUID(result.id))

    def publish(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                sql("apps.tasks", "published.sql"),
                {"sent": json.dumps({str(self.any_run()): "m"}), "reason": "due", "meta": "{}"},
            )

    def claim(self) -> None:
        claimed = claims.claim(run_id=self.any_run(), worker=self.random.choice("abc"))
        if claimed is not None:
            self.claims.append(claimed)

    def succeed(self) -> None:
        if claimed := self.any_claim():
            with contextlib.suppress(claims.Fenced):
                claims.succeed(claimed, {"n": self.random.random()})

    def fail(self) -> None:
        if claimed := self.any_claim():
            claims.fail(claimed, RuntimeError("x"), retry=self.random.random() < 0.8)

    def hand_back(self) -> None:
        claims.hand_back(run_ids=[self.any_run()], worker=self.random.choice("abc"), reason="stopping")

    def expire(self) -> None:
        claims.expire()

    def lose(self) -> None:
        TaskRun.objects.filter(pk=self.any_run(), state=State.RUNNING).update(lease_until="2000-01-01T00:00Z")
        claims.reconcile()

    def cancel(self) -> None:
        with contextlib.suppress(services.WrongState, TaskRun.DoesNotExist):
            services.cancel(run_id=self.any_run())

    def end_cancelled(self) -> None:
        if (claimed := self.any_claim()) and TaskRun.objects.get(pk=claimed.run_id).cancel_requested:
            claims.cancelled(claimed)

    def redrive(self) -> None:
        with contextlib.suppress(services.WrongState, TaskRun.DoesNotExist):
            services.redrive(run_id=self.any_run())

    def reschedule(self) -> None:
        moment = timezone.now() + timedelta(seconds=self.random.choice([-60, 0, 3600]))
        with contextlib.suppress(services.WrongState, TaskRun.DoesNotExist):
            services.reschedule(run_id=self.any_run(), run_at=moment)

    def retry_now(self) -> None:
        with contextlib.suppress(services.WrongState, TaskRun.DoesNotExist):
            services.retry_now(run_id=self.any_run())


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_what_their_events_say(seed):
    history = History(seed)
    for _ in range(120):
        history.step()
    # The replay also refuses any event that the transition table does not allow.
    assert projections.check(TaskRuns()) == []
    for run_id in history.runs:
        succeeded = [event.type for event in read_stream(f"task:{run_id}")].count("task.succeeded")
        assert succeeded <= 1


def test_the_histories_reach_every_transition():
    for seed in range(12):
        history = History(seed)
        for _ in range(120):
            history.step()
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT type FROM events_event")
        assert {kind for (kind,) in cursor.fetchall()} == set(TRANSITIONS)
