"""Ingestion in real worker processes, one of which is killed in the middle of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.candles import selectors, services
from apps.candles.models import Backfill, Instrument
from apps.candles.selectors import BackfillState
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, dirty, stored, utc
from tests.candles.ingesting import KLINES, assert_readers_see_all_levels
from tests.platform import Platform
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


def test_a_worker_killed_while_it_ingests_leaves_no_part_of_a_chunk_and_another_finishes(
    exchange: SimulatedExchange, platform: Platform
) -> None:
    platform.environ["EXCHANGE_BINANCE_URL"] = exchange.url
    start, days = utc(2024, 1, 1), 9
    exchange.disturb(
        {"path": KLINES, "kind": "delay", "seconds": 0, "times": 8},
        {"path": KLINES, "kind": "delay", "seconds": 60, "times": 2},
    )
    backfill = services.backfill_request(
        instrument_id_text="binance:BTC/USDT", start=start, end=start + timedelta(days=days), actor="system"
    )
    platform.relay()
    platform.beat()  # returns the runs of workers that died
    worker = platform.worker("default", "ingest")
    # Three chunks of five pages each: eight pages pass, then both processes of the worker are held up.
    wait_until(lambda: not exchange.disturbances(), what="both processes to be held up")
    worker.kill()
    market = Instrument.objects.get()
    minutes = stored("candle_1m", market)
    assert len(minutes) == sum(chunk.rows or 0 for chunk in backfill.chunks.all())
    if minutes:
        assert_readers_see_all_levels(market)
    platform.worker("default", "ingest")
    wait_until(lambda: _state(backfill) not in (BackfillState.PREPARING, BackfillState.RUNNING))
    status = selectors.backfill_status(backfill)
    assert (status.state, status.chunks_done) == (BackfillState.SUCCEEDED, 3)
    assert len(stored("candle_1m", market)) == status.rows > 0.95 * days * 1440
    assert_readers_see_all_levels(market)
    wait_until(lambda: not dirty(), what="the roll-ups to be refreshed after the last chunk")
    assert_levels_match(market)


def _state(backfill: Backfill) -> BackfillState:
    return selectors.backfill_status(backfill).state
