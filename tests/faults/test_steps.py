"""A worker process is killed around a step: the run goes on after what has happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.events import projections
from apps.tasks import selectors
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.platform import wait_for_all
from tests.workload import tasks as work
from tests.workload.models import Effect


def book(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize(
    ("die", "look_up", "buys", "asked"),
    [
        # Between effect and record: done again under the same key, unless the exchange can say.
        ("buy", False, 2, 0),
        ("buy", True, 1, 1),
        # Between two steps: the first has its record.
        ("between", True, 1, 0),
    ],
)
def test_a_worker_process_killed_around_a_step(platform, tmp_path, die, look_up, buys, asked):
    platform.relay()
    platform.worker(concurrency=1)
    platform.beat()
    result = work.trade.delay(str(tmp_path), die=die, look_up=look_up)
    wait_for_all(120)
    run = TaskRun.objects.get(pk=result.id)
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    assert len(book(tmp_path, "buy")) == buys
    assert len(set(book(tmp_path, "buy"))) == 1
    assert len(book(tmp_path, "sell")) == 1
    assert len(book(tmp_path, "asked")) == asked
    assert run.result["bought"]["order"] == book(tmp_path, "buy")[0]
    assert [step.name for step in selectors.steps(run.pk)] == ["buy", "sell"]
    assert Effect.objects.count() == 1
    assert projections.check(TaskRuns()) == []
