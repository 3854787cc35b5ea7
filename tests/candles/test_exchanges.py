"""How exchanges are treated: how much at once, how much a minute, and when not at all."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from apps.candles import services
from apps.candles.exchanges import limits, respected
from apps.candles.models import Backfill, Exchange, Instrument
from apps.candles.selectors import BackfillState
from apps.candles.storage import locks
from apps.candles.tasks import ingest_chunk, repair_gaps, sync_all
from apps.candles.venues import VenueUnavailable
from apps.tasks.models import TaskRun
from apps.tasks.testing import advance, assert_requested, requested, run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import instrument, stored, utc
from tests.candles.ingesting import KLINES, OHLC, START, ask_for, filled, run_until_ended, status_of
from tests.platform import Platform
from tests.support import blocked, wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


def chunks() -> list[TaskRun]:
    return requested(ingest_chunk)


def test_a_chunk_counts_as_a_task_and_as_its_requests(settings: Any) -> None:
    backfill = ask_for(2.5, start=utc(2024, 1, 1))
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    gates = ("concurrency_key", "concurrency_limit", "rate_key", "rate_limit", "rate_period", "rate_cost")
    (run,) = TaskRun.objects.filter(task=ingest_chunk.name).values(*gates)
    assert run == {
        "concurrency_key": "exchange:binance",
        "concurrency_limit": 4,
        "rate_key": "exchange:binance",
        "rate_limit": 1200,
        "rate_period": 60.0,
        "rate_cost": 4,
    }


def test_the_settings_come_before_what_suits_an_exchange(settings: Any) -> None:
    assert limits("kraken", requests=1)["concurrency_limit"] == 1
    settings.CANDLES_EXCHANGE_LIMITS = {"kraken": {"concurrency": 3}, "binance": {"rate": 7}}
    assert limits("kraken", requests=1) == {
        "concurrency_key": "exchange:kraken",
        "concurrency_limit": 3,
        "rate_key": "exchange:kraken",
        "rate": "50/m",
        "rate_cost": 1,
    }
    # What costs more than a minute allows has a minute of its own.
    assert [limits("binance", requests=9)[name] for name in ("rate", "rate_cost")] == ["7/m", 7]


@pytest.mark.parametrize(
    "given",
    [[], {"binance": 4}, {"binance": {"rate": 0}}, {"binance": {"rate": "9"}}, {"binance": {"tasks": 1}}],
)
def test_limits_that_make_no_sense_are_named(settings: Any, given: Any) -> None:
    settings.CANDLES_EXCHANGE_LIMITS = given
    with pytest.raises(ImproperlyConfigured, match="CANDLES_EXCHANGE_LIMITS"):
        limits("binance", requests=1)


def test_no_more_requests_a_minute_are_made_than_allowed(exchange: SimulatedExchange, settings: Any) -> None:
    settings.CANDLES_CHUNK_DAYS = 1
    settings.CANDLES_EXCHANGE_LIMITS = {"binance": {"rate": 5}}
    backfill = ask_for(3, start=utc(2024, 1, 1))
    run_pending()
    # Two pages for a day, so two days are all that fit.
    assert exchange.requests(KLINES) == 4
    assert status_of(backfill).chunks_done == 2
    assert TaskRun.objects.filter(task=ingest_chunk.name).exclude(state="succeeded").get().attempt == 0
    advance(61)
    run_pending()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    assert exchange.requests(KLINES) == 6


@pytest.mark.parametrize("limit", [1, 2])
def test_chunks_of_an_exchange_run_at_the_same_time_as_far_as_allowed_across_workers(
    exchange: SimulatedExchange, platform: Platform, limit: int
) -> None:
    platform.environ["EXCHANGE_BINANCE_URL"] = exchange.url
    platform.environ["CANDLES_EXCHANGE_LIMITS"] = json.dumps({"binance": {"concurrency": limit}})
    market = instrument("BTC/USDT")
    backfill = ask_for(12, start=utc(2024, 1, 1))
    with transaction.atomic():
        # Whoever has something to store waits for this, so the first chunk is there when the next begins.
        locks.lock_instruments([market.pk])
        platform.relay()
        platform.worker("default", "ingest")
        platform.worker("ingest")
        wait_until(
            lambda: blocked() >= limit and [run.state for run in chunks()].count("running") == limit,
            what="as many chunks at once as are allowed",
        )
    wait_until(lambda: _ended(backfill), what="the backfill to end")
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    spans = sorted((run.started_at, run.finished_at) for run in chunks())
    assert len(spans) == 4
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert max(at_once) == limit


def _ended(backfill: Backfill) -> bool:
    return status_of(backfill).state not in (BackfillState.PREPARING, BackfillState.RUNNING)


def test_an_exchange_that_asks_for_rest_is_left_alone_by_everybody_and_the_others_are_not(
    exchange: SimulatedExchange,
) -> None:
    market = filled()
    services.delete_candles(instrument=market, start=utc(2024, 1, 30, 13), end=utc(2024, 1, 30, 14))
    other = instrument("BTC/USD", exchange="kraken", followed=True)
    exchange.disturb({"path": KLINES, "kind": "status", "status": 429, "headers": {"Retry-After": "77"}})
    ask_for(0.25, start=START + timedelta(days=3))
    before = timezone.now()
    run_pending()
    rest = Exchange.objects.get()
    assert rest.name == "binance"
    assert rest.resting_until is not None
    assert timedelta(seconds=76) < rest.resting_until - before < timedelta(seconds=90)
    asked = {path: exchange.requests(path) for path in (KLINES, "/api/v3/time", "/api/v3/exchangeInfo")}
    # A sync, a repair and a new backfill: none of them asks, and each waits for as long as is left.
    sync_all.delay()
    repair_gaps.delay()
    ask_for(0.25, start=START + timedelta(days=6))
    run_pending()
    assert {path: exchange.requests(path) for path in asked} == asked
    waiting = TaskRun.objects.filter(state=TaskRun.State.SCHEDULED)
    assert sorted(run.task for run in waiting) == [
        "candles.ingest_chunk",
        "candles.prepare_backfill",
        "candles.repair",
        "candles.sync_exchange",
    ]
    assert all(timedelta(seconds=60) < run.due_at - before < timedelta(seconds=95) for run in waiting)
    assert all("left alone" in run.error["message"] for run in waiting if run.task != "candles.ingest_chunk")
    assert stored("candle_1m", other)
    assert exchange.requests(OHLC) == 1
    # When the time is over, all of it is done.
    Exchange.objects.update(resting_until=timezone.now())
    run_until_ended()
    assert not TaskRun.objects.exclude(state=TaskRun.State.SUCCEEDED).exists()
    assert len(stored("candle_1m", market)) > 3 * 360


def test_a_rest_is_never_made_shorter_and_never_longer_than_a_day(db: None) -> None:
    def ask(seconds: float) -> timedelta:
        before = timezone.now()
        # What is under way may still be answered.
        Exchange.objects.filter(resting_until__gt=before + timedelta(days=2)).update(resting_until=None)
        until = Exchange.objects.filter(name="kraken").values_list("resting_until", flat=True).first()
        Exchange.objects.update(resting_until=None)
        with pytest.raises(VenueUnavailable), respected("kraken"):
            Exchange.objects.filter(name="kraken").update(resting_until=until)
            raise VenueUnavailable("busy", retry_after=seconds)
        after = Exchange.objects.get(name="kraken").resting_until
        assert after is not None
        return after - before

    assert timedelta(seconds=99) < ask(100) < timedelta(seconds=110)
    assert timedelta(seconds=90) < ask(5) < timedelta(seconds=110)
    assert timedelta(hours=23) < ask(1e30) < timedelta(hours=25)


def test_an_instrument_of_an_exchange_that_is_not_known_is_nobodys_trouble(
    exchange: SimulatedExchange, settings: Any
) -> None:
    market = filled()
    odd = instrument("BTC/EUR", exchange="elsewhere", followed=True)
    services.delete_candles(instrument=market, start=utc(2024, 1, 30, 13), end=utc(2024, 1, 30, 14))
    sync_all.delay()
    repair_gaps.delay()
    run_pending()
    assert_requested("candles.repair", kwargs={"instrument_id": market.pk}, count=1)
    states = {run.kwargs["exchange"]: run.state for run in requested("candles.sync_exchange")}
    assert states == {"binance": "succeeded", "elsewhere": "scheduled"}
    assert Instrument.objects.filter(pk=odd.pk).exists()
    settings.EXCHANGE_URLS = {**settings.EXCHANGE_URLS, "elsewhere": None}
    with pytest.raises(services.InvalidBackfill, match="elsewhere"):
        ask_for(0.25, text=odd.text)
