from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_init

from apps.backtests.engine.sweep import warm_up
from apps.backtests.sweeps.computing import chunk_run
from apps.backtests.sweeps.finishing import sweep_finish
from apps.backtests.sweeps.models import Sweep, SweepChunk
from apps.tasks import Backoff, DurableTask


@shared_task(
    base=DurableTask,
    name="backtests.sweep_chunk",
    queue="backtests",
    atomic=False,
    max_attempts=5,
    backoff=Backoff(base=2, maximum=60),
)
def run_chunk(*, chunk_id: str) -> None:
    """Compute some combinations of a sweep."""
    found = SweepChunk.objects.defer(None).defer("table", "walk", "returns").select_related("sweep")
    chunk_run(chunk=found.filter(pk=chunk_id).first())


@shared_task(
    base=DurableTask,
    name="backtests.sweep_finish",
    queue="backtests",
    atomic=False,
    max_attempts=5,
    backoff=Backoff(base=2, maximum=60),
)
def finish_sweep(*, sweep_id: str) -> None:
    """Judge a sweep whose chunks have ended, and have its best combinations run in full."""
    sweep_finish(sweep=Sweep.objects.filter(pk=sweep_id).first())


@worker_init.connect
def _compile_the_loop(sender: Any, **_: Any) -> None:
    """In the main process of a worker that computes sweeps, as for the kernel."""
    if "backtests" in sender.app.amqp.queues.consume_from:
        warm_up()
