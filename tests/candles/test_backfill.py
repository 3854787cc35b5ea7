"""Backfills: durable tasks against an exchange that answers, refuses, fails, and sends rubbish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from apps.candles import selectors, services
from apps.candles.models import Backfill, BackfillChunk, Instrument, QuarantinedCandle
from apps.candles.selectors import BackfillState
from apps.candles.tasks import ingest_chunk
from apps.candles.timeframes import minute_of, to_datetime
from apps.core.ids import uuid7
from apps.tasks import services as task_services
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.asking import BACKFILLS
from tests.candles.commanding import candles
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import MINUTE, assert_levels_match, dirty, instrument, stored, utc, walk
from tests.candles.ingesting import (
    KLINES,
    START,
    ask_for,
    assert_readers_see_all_levels,
    filled,
    ms,
    recent,
    run_of,
    run_until_ended,
    sent,
    status_of,
)
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


@pytest.fixture(autouse=True)
def _day_long_chunks(settings: Any) -> None:
    settings.CANDLES_CHUNK_DAYS = 1


def test_every_minute_arrives_exactly_and_every_level_with_it(exchange: SimulatedExchange) -> None:
    backfill = ask_for(2.5)
    assert status_of(backfill).state is BackfillState.PREPARING
    assert Instrument.objects.count() == 0
    run_until_ended()
    market = Instrument.objects.get()
    assert (market.text, market.base, market.quote, market.kind) == (
        "binance:BTC/USDT",
        "BTC",
        "USDT",
        "spot",
    )
    assert (market.price_scale, market.volume_scale, market.active) == (2, 5, True)
    expected = sent(exchange, backfill.start, backfill.end)
    assert len(expected) > 3500
    assert stored("candle_1m", market) == expected
    assert_levels_match(market)
    status = status_of(backfill)
    assert (status.state, status.rows, status.progress) == (BackfillState.SUCCEEDED, len(expected), 1.0)
    assert (status.chunks_done, status.chunks_total, status.errors) == (3, 3, [])


def test_a_backfill_that_ends_while_its_status_is_read_has_not_ended_yet(exchange: SimulatedExchange) -> None:
    """Between two queries: with the runs of now and the chunks of before it would have stored nothing."""
    backfill = ask_for(2)
    queries = 0

    def meanwhile(execute: Any, *query: Any) -> Any:
        nonlocal queries
        queries += 1
        if queries == 2:
            run_until_ended()
        return execute(*query)

    with connection.execute_wrapper(meanwhile):
        status = selectors.backfill_status(backfill)
    assert status.state is BackfillState.PREPARING
    status = selectors.backfill_status(backfill)
    assert (status.state, status.rows) == (BackfillState.SUCCEEDED, 2880)


def test_progress_counts_what_is_fetched_and_what_is_stored(exchange: SimulatedExchange) -> None:
    backfill = ask_for(1.5)
    run_pending()
    first, second = backfill.chunks.all()
    assert (first.end - first.start, second.end - second.start) == (timedelta(days=0.5), timedelta(days=1))
    TaskRun.objects.filter(pk=second.task_run).update(
        state="running", progress={"done": 720, "total": 1440, "message": ""}
    )
    status = status_of(backfill)
    assert (status.state, status.progress) == (BackfillState.RUNNING, round(2 / 3, 4))
    assert (status.chunks_done, status.chunks_total) == (1, 2)


def test_a_backfill_is_still_known_to_have_succeeded_when_its_runs_are_no_longer_kept(
    exchange: SimulatedExchange,
) -> None:
    backfill = ask_for(0.25)
    run_until_ended()
    TaskRun.objects.all().delete()
    status = status_of(backfill)
    assert (status.state, status.progress, status.chunks_done) == (BackfillState.SUCCEEDED, 1.0, 1)


def test_chunks_meet_at_midnight_and_cover_the_range(exchange: SimulatedExchange) -> None:
    backfill = ask_for(2.25)
    run_pending()
    chunks = [(chunk.start, chunk.end) for chunk in backfill.chunks.all()]
    assert chunks == [
        (START, utc(2024, 1, 31)),
        (utc(2024, 1, 31), utc(2024, 2, 1)),
        (utc(2024, 2, 1), utc(2024, 2, 1, 18)),
    ]


def test_asking_twice_writes_nothing_twice(exchange: SimulatedExchange) -> None:
    first = ask_for()
    run_until_ended()
    second = ask_for()
    run_until_ended()
    assert status_of(second).rows == status_of(first).rows
    results = [TaskRun.objects.get(pk=chunk.task_run).result for chunk in second.chunks.all()]
    assert all(result["inserted"] == result["updated"] == 0 < result["unchanged"] for result in results)


def test_an_unknown_symbol_is_given_up_at_once_with_the_reason(exchange: SimulatedExchange) -> None:
    backfill = ask_for(text="binance:NONE/USDT")
    run_pending()
    run = TaskRun.objects.get()
    assert (run.state, run.attempt) == (TaskRun.State.DEAD, 1)
    status = status_of(backfill)
    assert status.state is BackfillState.FAILED
    assert status.chunks_total is None
    assert len(status.errors) == 1
    assert "NONE/USDT" in status.errors[0].message
    assert Instrument.objects.count() == 0


def test_an_exchange_that_fails_is_asked_again(exchange: SimulatedExchange) -> None:
    exchange.disturb(
        {"path": "/api/v3/exchangeInfo", "kind": "status", "status": 503},
        {"path": KLINES, "kind": "reset"},
        {"path": KLINES, "kind": "html"},
    )
    backfill = ask_for()
    run_pending()
    status = status_of(backfill)
    assert (status.state, status.chunks_total) == (BackfillState.PREPARING, None)
    assert [error.state for error in status.errors] == ["scheduled"]
    assert "VenueUnavailable" in status.errors[0].type
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    market = Instrument.objects.get()
    assert stored("candle_1m", market) == sent(exchange, backfill.start, backfill.end)
    assert_levels_match(market)


def test_the_wait_that_the_exchange_asks_for_is_kept(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "status", "status": 429, "headers": {"Retry-After": "77"}})
    ask_for(0.25)
    before = timezone.now()
    run_pending()
    waiting = TaskRun.objects.get(task="candles.ingest_chunk")
    assert waiting.state == TaskRun.State.SCHEDULED
    assert timedelta(seconds=76) < waiting.due_at - before < timedelta(seconds=90)


def test_a_failure_on_a_later_page_leaves_no_minute_behind(exchange: SimulatedExchange) -> None:
    ask_for(0.5)  # 720 minutes: one page
    run_until_ended()
    market = Instrument.objects.get()
    before = stored("candle_1m", market)
    start = utc(2024, 2, 10)
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0}, {"path": KLINES, "kind": "reset"})
    backfill = ask_for(1, start=start)
    run_pending()
    assert status_of(backfill).errors[0].state == "scheduled"
    assert stored("candle_1m", market) == before
    run_until_ended()
    assert stored("candle_1m", market) == {**before, **sent(exchange, start, start + timedelta(days=1))}


def test_a_garbled_answer_is_asked_for_again(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "garbage", "times": 2})
    backfill = ask_for(0.25)
    run_until_ended()
    assert TaskRun.objects.get(task="candles.ingest_chunk").attempt == 3
    assert status_of(backfill).state is BackfillState.SUCCEEDED


def test_one_dead_chunk_does_not_keep_the_others_and_can_be_redriven(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "garbage", "times": 8})
    backfill = ask_for(0.25)
    run_until_ended()
    dead = BackfillChunk.objects.get()
    other = ask_for(0.25, start=START + timedelta(days=3))
    run_until_ended()
    assert status_of(other).state is BackfillState.SUCCEEDED
    assert status_of(backfill).state is BackfillState.FAILED
    assert [error.type for error in status_of(backfill).errors] == ["VenueRubbish"]
    task_services.redrive(run_id=dead.task_run, actor="user:7")
    assert status_of(backfill).state is BackfillState.RUNNING
    run_until_ended()
    status = status_of(backfill)
    assert (status.state, status.errors) == (BackfillState.SUCCEEDED, [])
    assert_levels_match(Instrument.objects.get())


def test_finer_values_raise_the_scale_and_lose_nothing(exchange: SimulatedExchange) -> None:
    earlier = ask_for(0.25, start=START - timedelta(days=2))
    run_until_ended()
    market = Instrument.objects.get()
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "finer"})
    backfill = ask_for(0.25)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    market.refresh_from_db()
    assert (market.price_scale, market.volume_scale) == (2, 9)
    expected = sent(exchange, backfill.start, backfill.end) | sent(exchange, earlier.start, earlier.end)
    kept = stored("candle_1m", market)
    differences = [kept[ts][4] - expected[ts][4] * 10_000 for ts in expected]
    assert sorted(differences)[-2:] == [0, 1]  # the one that was made finer, in its ninth decimal
    assert_levels_match(market)


def test_a_value_too_fine_for_what_is_stored_keeps_nothing_else_out(exchange: SimulatedExchange) -> None:
    market = filled(0.25, start=START - timedelta(days=20))
    services.write_candles(instrument=market, minutes=replace(walk(2), volume=np.full(2, 2**51)))
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "finer"})
    backfill = ask_for(0.25)
    run_until_ended()
    status = status_of(backfill)
    assert (status.state, status.rows, status.quarantined) == (BackfillState.SUCCEEDED, 359, 1)
    odd = QuarantinedCandle.objects.get()
    assert (odd.reason, odd.origin, odd.ts) == ("too_many_decimals", "backfill", START + timedelta(hours=3))
    market.refresh_from_db()
    assert (market.price_scale, market.volume_scale) == (2, 5)
    expected = sent(exchange, backfill.start, backfill.end)
    del expected[ms(odd.ts)]
    assert stored("candle_1m", market).items() >= expected.items()
    assert_levels_match(market)
    # It is still missing, and what a repair gets of it the second time is as fine as the others are.
    assert services.repair(instrument=market, start=START, end=backfill.end).filled == 1


def test_a_chunk_that_is_gone_is_not_tried_again() -> None:
    run = run_of(ingest_chunk, kwargs={"chunk_id": str(uuid7())})
    assert (run.state, run.attempt) == ("dead", 1)


def test_a_cancelled_chunk_leaves_the_backfill_cancelled(exchange: SimulatedExchange) -> None:
    backfill = ask_for(0.25)
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    chunk = BackfillChunk.objects.get()
    task_services.cancel(run_id=chunk.task_run)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.CANCELLED
    assert BackfillChunk.objects.count() == 1
    assert stored("candle_1m", Instrument.objects.get()) == {}


def test_a_run_that_was_taken_away_while_it_fetched_stores_nothing(exchange: SimulatedExchange) -> None:
    backfill = ask_for(0.25)
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    chunk = BackfillChunk.objects.get()
    task_services.cancel(run_id=backfill.prepare_run)
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 1.5})

    def work() -> None:
        run_pending()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    wait_until(lambda: exchange.requests("/api/v3/time"), what="the chunk to ask the exchange")
    assert TaskRun.objects.filter(pk=chunk.task_run, state="running").update(fence=F("fence") + 1) == 1
    worker.join(20)
    assert stored("candle_1m", Instrument.objects.get()) == {}
    assert BackfillChunk.objects.get().rows is None
    assert TaskRun.objects.get(pk=chunk.task_run).state == TaskRun.State.RUNNING


def test_a_backfill_up_to_now_stores_no_minute_that_is_still_forming(exchange: SimulatedExchange) -> None:
    now = timezone.now()
    services.backfill_request(
        instrument_id_text="binance:ETH/USDT", start=now - timedelta(minutes=30), end=now, actor="system"
    )
    run_until_ended()
    last = max(stored("candle_1m", Instrument.objects.get())) / 1000
    assert last <= minute_of(now).timestamp() - 60


def test_planning_twice_plans_once(exchange: SimulatedExchange) -> None:
    backfill = ask_for(3)
    market = instrument("BTC/USDT")
    first = services.backfill_plan(backfill=backfill, instrument=market)
    assert services.backfill_plan(backfill=backfill, instrument=market) == first
    assert TaskRun.objects.filter(task="candles.ingest_chunk").count() == len(first) == 4


def test_an_instrument_that_is_looked_up_again_is_described_anew_and_keeps_what_the_operator_chose(
    exchange: SimulatedExchange,
) -> None:
    market = instrument("BTC/USDT", price_scale=4, active=False, venue_id="old")
    filled()
    market.refresh_from_db()
    assert (market.active, market.venue_id) == (True, "BTCUSDT")
    assert (market.price_scale, market.volume_scale) == (4, 5)
    assert market.followed
    Instrument.objects.update(followed=False)
    filled(start=START + timedelta(days=5))
    market.refresh_from_db()
    assert not market.followed


def _requests() -> Iterator[Any]:
    now = timezone.now()
    good = {"instrument_id_text": "binance:BTC/USDT", "start": START, "end": START + timedelta(days=1)}
    naive = datetime(2024, 1, 1)  # noqa: DTZ001
    yield pytest.param({**good, "instrument_id_text": "BTCUSDT"}, "instrument", id="shape")
    yield pytest.param({**good, "instrument_id_text": "nowhere:BTC/USDT"}, "instrument", id="exchange")
    yield pytest.param({**good, "start": naive}, "start", id="naive-start")
    yield pytest.param({**good, "end": naive}, "end", id="naive-end")
    yield pytest.param({**good, "end": START - timedelta(days=1)}, "start", id="reversed")
    yield pytest.param({**good, "end": START + timedelta(seconds=59)}, "start", id="no-minute")
    yield pytest.param({**good, "end": now + timedelta(days=1)}, "end", id="future")
    yield pytest.param({**good, "start": START - timedelta(days=400)}, "start", id="long")


def test_when_it_will_be_done_is_told_while_it_runs(exchange: SimulatedExchange) -> None:
    backfill = ask_for(1.5)
    assert status_of(backfill).eta is None
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0}, {"path": KLINES, "kind": "reset"})
    run_pending()
    # Half a day is stored, the whole one is waiting for its next attempt: two times as long as until now.
    first = TaskRun.objects.get(pk=backfill.chunks.all()[0].task_run)
    before = timezone.now()
    status = status_of(backfill)
    assert (status.state, status.chunks_done) == (BackfillState.RUNNING, 1)
    assert status.eta is not None
    assert first.started_at is not None
    so_far = before - first.started_at
    assert timedelta(0) <= status.eta - before - 2 * so_far < timedelta(seconds=10)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    assert status_of(backfill).eta is None


def test_after_a_restart_only_chunks_that_are_not_done_are_fetched(
    exchange: SimulatedExchange, settings: Any
) -> None:
    backfill = ask_for(1.5)
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0}, {"path": KLINES, "kind": "reset"})
    run_pending()
    asked = exchange.requests(KLINES)
    # Planned a second time, with another setting than before.
    settings.CANDLES_CHUNK_DAYS = 2
    services.backfill_plan(backfill=backfill, instrument=Instrument.objects.get())
    run_until_ended()
    assert exchange.requests(KLINES) == asked + 2  # one day: two pages
    assert backfill.chunks.count() == 2
    market = Instrument.objects.get()
    assert stored("candle_1m", market) == sent(exchange, backfill.start, backfill.end)


def test_readers_see_every_level_at_once_and_the_refresh_comes_after_the_last_chunk(
    exchange: SimulatedExchange,
) -> None:
    backfill = ask_for(1.5)
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 0}, {"path": KLINES, "kind": "reset"})
    run_pending()
    market = Instrument.objects.get()
    assert stored("candle_1h", market) == {}
    assert_readers_see_all_levels(market)
    assert dirty()
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    assert not dirty()
    assert_levels_match(market)


def test_a_volume_that_no_roll_up_holds_is_refused_when_it_is_written(exchange: SimulatedExchange) -> None:
    market, other = instrument("BTC/USDT", volume_scale=13), filled(text="binance:ETH/USDT")
    backfill = ask_for(1)
    run_until_ended()
    status = status_of(backfill)
    assert status.state is BackfillState.FAILED
    assert status.errors
    assert all("ScaleOverflow" in error.message for error in status.errors)
    assert stored("candle_1m", market) == {}
    assert not dirty()
    assert_levels_match(other)


def test_minutes_that_an_exchange_does_not_serve_any_more_are_refused_at_the_request() -> None:
    for start, end, field in (
        (recent(60 * 24), recent(60 * 20), "end"),
        (recent(60 * 24), recent(60), "start"),
    ):
        with pytest.raises(
            services.InvalidBackfill, match=r"kraken serves minutes from 20.* UTC on"
        ) as caught:
            services.backfill_request(
                instrument_id_text="kraken:BTC/USD", start=start, end=end, actor="user:7"
            )
        assert caught.value.field == field
    assert Backfill.objects.count() == 0


def test_minutes_that_grew_too_old_while_a_chunk_waited_are_told(
    exchange: SimulatedExchange, staff: Client, settings: Any
) -> None:
    settings.CANDLES_CHUNK_DAYS = 30  # one chunk, wherever midnight is
    start, end = recent(60 * 12 + 20), recent(60 * 11)
    backfill = ask_for(1 / 24, start=recent(60), text="kraken:BTC/USD")
    # It was asked for in time, and has waited since.
    Backfill.objects.update(start=start, end=end)
    run_until_ended()
    status = status_of(backfill)
    times = sorted(stored("candle_1m", Instrument.objects.get()))
    assert status.state is BackfillState.SUCCEEDED
    # The exchange has what is left, whose first minute moves on while this runs.
    assert status.not_served == (times[0] - ms(start)) // MINUTE
    assert len(times) == 80 - status.not_served
    assert 20 < status.not_served < 60
    said = f"{status.not_served} that the exchange serves no more"
    watched = candles("backfill", "--watch", backfill.pk)
    assert watched.lines == [
        f"{backfill.pk}: kraken:BTC/USD: succeeded, {len(times)} minutes stored, 0 in quarantine, {said}"
    ]
    assert staff.get(f"{BACKFILLS}/{backfill.pk}").json()["not_served"] == status.not_served
    whole = ask_for(1 / 24, start=recent(60), text="kraken:BTC/USD")
    run_until_ended()
    assert status_of(whole).not_served == 0


def test_minutes_that_are_not_kept_are_refused_at_the_request(
    exchange: SimulatedExchange, settings: Any
) -> None:
    settings.CANDLES_RETENTION_DAYS = 2
    now = minute_of(timezone.now())
    with pytest.raises(services.InvalidBackfill, match="kept for 2 days") as caught:
        ask_for(0.5, start=now - timedelta(days=2, minutes=1))
    assert caught.value.field == "start"
    # What is kept is stored, but for what would be dropped while it is fetched.
    start = now - timedelta(days=2) + timedelta(minutes=1)
    backfill = ask_for(1.5, start=start)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    times = sorted(stored("candle_1m", Instrument.objects.get()))
    assert timedelta(0) <= to_datetime(times[0]) - start <= timedelta(hours=1, minutes=1)
    assert times[-1] == ms(backfill.end) - 60_000


@pytest.mark.parametrize(("arguments", "field"), list(_requests()))
def test_a_request_that_makes_no_sense_requests_nothing(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(services.InvalidBackfill) as caught:
        services.backfill_request(**arguments, actor="user:7")
    assert caught.value.field == field
    assert TaskRun.objects.count() == Backfill.objects.count() == 0
