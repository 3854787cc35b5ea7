"""Backtests in a real worker process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.backtests.models import Backtest, BacktestResult
from apps.events.selectors import read_stream
from tests.backtests.helpers import body, post
from tests.candles.conftest import SimulatedExchange, exchange, shared_candles
from tests.candles.helpers import instrument
from tests.platform import Platform
from tests.support import wait_until

__all__ = ["exchange", "shared_candles"]

pytestmark = pytest.mark.usefixtures("shared_candles")


def test_one_process_fetches_what_is_missing_and_computes(
    exchange: SimulatedExchange, platform: Platform, api: Client
) -> None:
    """The wait for candles takes no process away from those who fetch them."""
    platform.environ["EXCHANGE_BINANCE_URL"] = exchange.url
    platform.relay()
    platform.worker("backtests", "ingest", concurrency=1)
    made = instrument("BTC/USDT")
    start = datetime(2024, 1, 1, tzinfo=UTC)
    end = start + timedelta(hours=1)
    content = body(made.text, start=start.isoformat(), end=end.isoformat(), timeframe="1m", missing="fetch")
    answers = [post(api, {**content, "cash": cash}).json() for cash in (1000, 2000)]
    assert {answer["progress"]["phase"] for answer in answers} == {"fetching"}

    def shown() -> list[dict]:
        return [api.get(answer["url"]).json() for answer in answers]

    wait_until(lambda: all(one["state"] == "succeeded" for one in shown()), seconds=120, what="both results")
    assert [one["result"]["bars"] for one in shown()] == [60, 60]
    assert BacktestResult.objects.count() == 2
    for backtest in Backtest.objects.all():
        kinds = [event.type for event in read_stream(f"task:{backtest.fetch_run}")]
        assert kinds[-1] == "task.succeeded"
        first = read_stream(f"task:{backtest.task_run}")[0]
        assert first.meta["causation_id"] == str(backtest.fetch_run)
        assert first.data["group_key"] == f"user-{backtest.owner_id}"
