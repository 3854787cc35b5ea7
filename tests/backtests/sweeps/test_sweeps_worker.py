"""Sweeps in real worker processes: thousands of combinations, and a worker that is killed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from apps.backtests.models import Backtest, Sweep, SweepChunk
from apps.backtests.sweeps import selectors
from apps.backtests.sweeps.ending import sweep_cancel
from apps.backtests.sweeps.reading import found_of
from apps.backtests.sweeps.requesting import sweep_request
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.backtests.sweeps.conftest import END, START, store
from tests.platform import Platform
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


def asked(timeframe: str = "1h", **changes: Any) -> Sweep:
    """A sweep of 100 × 101 combinations over a few hundred bars."""
    market = store(f"S{get_user_model().objects.count()}/USDT")
    owner = get_user_model().objects.create_user(f"owner-{market}")
    wanted: dict[str, Any] = {
        "space": {"fast": {"from": 1, "to": 100}, "slow": {"from": 101, "to": 201}},
        "best": 1,
        **changes,
    }
    return sweep_request(
        owner_id=owner.pk,
        instruments=[market],
        timeframe=timeframe,
        start=START,
        end=END,
        spec={"strategy": "sma_cross"},
        **wanted,
    )


def state_of(sweep: Sweep) -> str:
    sweep.refresh_from_db()
    return selectors.statuses([sweep])[sweep.pk].state


def test_ten_thousand_combinations_survive_a_worker_that_is_killed(platform: Platform) -> None:
    """Only the chunk that it had begun is computed again."""
    platform.relay()
    platform.beat()  # returns the runs of workers that died
    sweep = asked()
    assert sweep.combinations == 10_100
    chunks = list(sweep.chunks.all())
    assert len(chunks) >= 6
    with transaction.atomic():
        # Whoever computes this chunk can store it only once the lock is gone.
        lost = SweepChunk.objects.select_for_update().get(pk=chunks[1].pk)
        worker = platform.worker("default", "backtests")
        wait_until(
            lambda: computed(sweep) == len(chunks) - 1 and state_of_run(lost) == State.RUNNING,
            seconds=240,
            what="all other chunks, and the held one to be under way",
        )
        worker.kill()
    kept = {chunk.pk: chunk.computed_at for chunk in sweep.chunks.all() if chunk.computed_at}
    assert len(kept) == len(chunks) - 1
    assert len(found_of(sweep)) == sweep.combinations - lost.count
    platform.worker("default", "backtests")
    wait_until(lambda: state_of(sweep) not in (State.SCHEDULED, State.RUNNING), seconds=240)
    assert state_of(sweep) == State.SUCCEEDED
    assert all(chunk.computed_at == kept[chunk.pk] for chunk in sweep.chunks.filter(pk__in=kept))
    runs = TaskRun.objects.filter(batch_id=sweep.batch)
    assert [run.pk for run in runs if run.attempt > 1] == [lost.task_run]
    events = [event.type for event in read_stream(f"task:{lost.task_run}")]
    assert "task.orphaned" in events

    found = found_of(sweep)
    assert found.table["number"].to_pylist() == list(range(10_100))
    pairs = set(
        zip(found.table["params.fast"].to_pylist(), found.table["params.slow"].to_pylist(), strict=True)
    )
    assert len(pairs) == 10_100
    assert found.row(10_099)["params"] == {"fast": 100, "slow": 201, "direction": "long"}
    backtest = Backtest.objects.get(picked__sweep=sweep)
    wait_until(lambda: TaskRun.objects.get(pk=backtest.task_run).state == State.SUCCEEDED, seconds=60)


def test_a_sweep_is_cancelled_while_it_runs(platform: Platform, settings: Any) -> None:
    settings.BACKTESTS_SWEEP_CHUNK_WORK = 5.0e8
    platform.environ["CHANDLERY_JIT"] = "0"
    platform.relay()
    space = {"fast": {"from": 2, "to": 41}, "slow": {"from": 50, "to": 800, "step": 10}}
    sweep = asked("1m", space=space)
    platform.worker("backtests")
    wait_until(lambda: running(sweep), seconds=120, what="a chunk to be under way")
    sweep_cancel(sweep=sweep, actor="system")
    runs = TaskRun.objects.filter(batch_id=sweep.batch)
    ended = (State.CANCELLED, State.SUCCEEDED)
    wait_until(lambda: not runs.exclude(state__in=ended).exists(), seconds=60, what="all chunks to end")
    assert runs.filter(state=State.CANCELLED).exists()
    wait_until(lambda: Sweep.objects.get(pk=sweep.pk).finished_at, seconds=60, what="the judgement")
    assert state_of(sweep) == State.CANCELLED
    assert not Backtest.objects.exists()


def computed(sweep: Sweep) -> int:
    return SweepChunk.objects.filter(sweep=sweep, computed_at__isnull=False).count()


def state_of_run(chunk: SweepChunk) -> str:
    return TaskRun.objects.get(pk=chunk.task_run).state


def running(sweep: Sweep) -> bool:
    return TaskRun.objects.filter(batch_id=sweep.batch, state=State.RUNNING).exists()
