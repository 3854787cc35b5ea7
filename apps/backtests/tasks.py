from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_init

from apps.backtests import services
from apps.backtests.engine import warm_up
from apps.backtests.models import Backtest
from apps.tasks import Backoff, DurableTask


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
    services.backtest_run(backtest=Backtest.objects.select_related("owner").get(pk=backtest_id))


@worker_init.connect
def _compile_the_kernel(sender: Any, **_: Any) -> None:
    """In the main process of a worker that runs backtests, so that its pool is forked with it compiled."""
    if "backtests" in sender.app.amqp.queues.consume_from:
        warm_up()
