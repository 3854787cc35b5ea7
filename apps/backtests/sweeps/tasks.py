from __future__ import annotations

from celery import shared_task

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
