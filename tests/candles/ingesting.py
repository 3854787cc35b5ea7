"""What tests of ingestion share: requests, runs to their end, and what the simulated exchange has."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.candles import selectors, services
from apps.candles.models import Backfill, Instrument
from apps.candles.storage.reader import read_bars, read_state
from apps.candles.timeframes import ROLLUPS, minute_of
from apps.tasks.models import TaskRun
from apps.tasks.task import DurableTask
from apps.tasks.testing import run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import bars, rolled, stored, utc

KLINES = "/api/v3/klines"
OHLC = "/0/public/OHLC"
START = utc(2024, 1, 30, 12)


def ask_for(days: float = 1, *, start: datetime = START, text: str = "binance:BTC/USDT") -> Backfill:
    return services.backfill_request(
        instrument_id_text=text, start=start, end=start + timedelta(days=days), actor="user:7"
    )


def run_until_ended(attempts: int = 20) -> None:
    """Run everything, and what is waiting for its next attempt at once."""
    for _ in range(attempts):
        run_pending()
        if not TaskRun.objects.filter(state=TaskRun.State.SCHEDULED).update(due_at=timezone.now()):
            return
    pytest.fail("tasks are still scheduled")


def filled(days: float = 0.25, *, start: datetime = START, text: str = "binance:BTC/USDT") -> Instrument:
    """An instrument after a backfill; it is followed from then on."""
    backfill = ask_for(days, start=start, text=text)
    run_until_ended()
    status = status_of(backfill)
    assert status.state is selectors.BackfillState.SUCCEEDED, status
    return selectors.instrument_get(text)


def recent(minutes: int, *, before: int = 5) -> datetime:
    """So many minutes before a moment that is *before* minutes ago, whole."""
    return minute_of(timezone.now()) - timedelta(minutes=minutes + before)


def run_of(task: DurableTask, **options: Any) -> TaskRun:
    """A run of a task, after it and all that it requested was executed as far as it is due."""
    result = task.apply_async(**options)
    run_pending()
    return TaskRun.objects.get(pk=result.id)


def status_of(backfill: Backfill) -> selectors.BackfillStatus:
    return selectors.backfill_status(Backfill.objects.get(pk=backfill.pk))


def sent(
    exchange: SimulatedExchange, start: datetime, end: datetime, symbol: str = "BTCUSDT"
) -> dict[int, Any]:
    """What Binance has, as integers with two and five decimals."""
    rows: list[list[Any]] = []
    while start < end:
        step = min(end, start + timedelta(minutes=1000))
        rows += exchange.klines(symbol, start, step)
        start = step
    return bars(
        (ts, *(int(Decimal(price) * 100) for price in prices), int(Decimal(volume) * 100_000))
        for ts, *prices, volume in (row[:6] for row in rows)
    )


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def assert_readers_see_all_levels(market: Instrument) -> None:
    """What readers are given of every roll-up is what the stored minutes make, refreshed or not."""
    minutes = stored("candle_1m", market)
    state = read_state(market.exchange, market.symbol)
    assert state is not None
    for level in ROLLUPS:
        ticks = read_bars(timeframe=level, state=state, start=min(minutes) - level.width, end=2**42)
        expected = {ts: bar[:5] for ts, bar in rolled(minutes, level.width).items()}
        names = ("ts", "open", "high", "low", "close", "volume")
        assert bars(zip(*(ticks[name] for name in names), strict=True)) == expected, level.name
