from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_init

from apps.backtests import columns, services
from apps.backtests.engine import warm_up
from apps.backtests.models import Backtest
from apps.tasks import Backoff, DurableTask, current_run


@shared_task(
    base=DurableTask,
    name="backtests.run",
    queue="backtests",
    atomic=False,
    max_attempts=3,
    backoff=Backoff(base=5, maximum=60),
)
def run_backtest(*, backtest_id: str) -> None:
    """Compute one backtest."""
    backtest = Backtest.objects.select_related("owner").filter(pk=backtest_id).first()
    services.backtest_run(backtest=backtest)


@shared_task(
    base=DurableTask,
    name="backtests.await_candles",
    queue="backtests",
    # Looks, not failures: the time that it may take is limited by the setting BACKTESTS_FETCH_HOURS.
    max_attempts=30_000,
    backoff=Backoff(base=5, maximum=60),
)
def await_candles(*, backtest_id: str) -> None:
    """Look whether the candles that a backtest asked for are there; what computes it follows then."""
    backtest = Backtest.objects.filter(pk=backtest_id).first()
    run = current_run()
    services.candles_await(backtest=backtest, attempt=run.attempt, run_id=run.id)


@worker_init.connect
def _make_ready(sender: Any, **_: Any) -> None:
    """In the main process of a worker that runs backtests, so that its pool is forked with all compiled."""
    if "backtests" in sender.app.amqp.queues.consume_from:
        warm_up()
        columns.warm_up()
