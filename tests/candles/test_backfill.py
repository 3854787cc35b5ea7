"""Backfills: durable tasks against an exchange that answers, refuses, fails, and sends rubbish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.candles import selectors, services
from apps.candles.models import Backfill, BackfillChunk, Instrument
from apps.candles.selectors import BackfillState
from apps.candles.timeframes import minute_of
from apps.tasks import services as task_services
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, bars, instrument, stored, utc
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")

KLINES = "/api/v3/klines"
START = utc(2024, 1, 30, 12)


@pytest.fixture(autouse=True)
def _day_long_chunks(settings: Any) -> None:
    settings.CANDLES_CHUNK_DAYS = 1


def ask_for(days: float = 1, *, start: datetime = START, symbol: str = "BTC/USDT") -> Backfill:
    return services.backfill_request(
        instrument_id_text=f"binance:{symbol}", start=start, end=start + timedelta(days=days), actor="user:7"
    )


def run_until_ended(attempts: int = 20) -> None:
    """Run everything, and what is waiting for its next attempt at once."""
    for _ in range(attempts):
        run_pending()
        if not TaskRun.objects.filter(state=TaskRun.State.SCHEDULED).update(due_at=timezone.now()):
            return
    pytest.fail("tasks are still scheduled")


def sent(
    exchange: SimulatedExchange, start: datetime, end: datetime, symbol: str = "BTCUSDT"
) -> dict[int, Any]:
    """What the exchange has, as integers with two and five decimals."""
    rows: list[list[Any]] = []
    while start < end:
        step = min(end, start + timedelta(minutes=1000))
        rows += exchange.klines(symbol, start, step)
        start = step
    return bars(
        (ts, *(int(Decimal(price) * 100) for price in prices), int(Decimal(volume) * 100_000))
        for ts, *prices, volume in (row[:6] for row in rows)
    )


def status_of(backfill: Backfill) -> selectors.BackfillStatus:
    return selectors.backfill_status(Backfill.objects.get(pk=backfill.pk))


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
    backfill = ask_for(symbol="NONE/USDT")
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


@pytest.mark.parametrize(
    "rubbish",
    ["nan", "negative", "high_below_low", "duplicate", "wrong_types", "short_row", "future"],
)
def test_rubbish_is_never_stored_and_its_chunk_ends_dead_with_the_reason(
    exchange: SimulatedExchange, rubbish: str
) -> None:
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": rubbish, "symbol": "BTCUSDT", "times": 8})
    backfill = ask_for(0.25)
    run_until_ended()
    run = TaskRun.objects.get(task="candles.ingest_chunk")
    assert (run.state, run.attempt) == (TaskRun.State.DEAD, 8)
    status = status_of(backfill)
    assert status.state is BackfillState.FAILED
    assert [error.type for error in status.errors] == ["RejectedCandles"]
    assert status.errors[0].message
    assert stored("candle_1m", Instrument.objects.get()) == {}


def test_a_garbled_answer_is_asked_for_again(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "garbage", "times": 2})
    backfill = ask_for(0.25)
    run_until_ended()
    assert TaskRun.objects.get(task="candles.ingest_chunk").attempt == 3
    assert status_of(backfill).state is BackfillState.SUCCEEDED


def test_one_dead_chunk_does_not_keep_the_others_and_can_be_redriven(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan", "times": 8})
    backfill = ask_for(0.25)
    run_until_ended()
    dead = BackfillChunk.objects.get()
    other = ask_for(0.25, start=START + timedelta(days=3))
    run_until_ended()
    assert status_of(other).state is BackfillState.SUCCEEDED
    assert status_of(backfill).state is BackfillState.FAILED
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


def test_an_instrument_that_is_looked_up_again_keeps_what_the_operator_chose(
    exchange: SimulatedExchange,
) -> None:
    market = instrument("BTC/USDT", price_scale=4, active=False)
    ask_for(0.25)
    run_until_ended()
    market.refresh_from_db()
    assert (market.active, market.price_scale, market.volume_scale) == (False, 4, 5)


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
    yield pytest.param({**good, "end": now + timedelta(minutes=2)}, "end", id="future")
    yield pytest.param({**good, "start": START - timedelta(days=400)}, "start", id="long")


@pytest.mark.parametrize(("arguments", "field"), list(_requests()))
def test_a_request_that_makes_no_sense_requests_nothing(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(services.InvalidBackfill) as caught:
        services.backfill_request(**arguments, actor="user:7")
    assert caught.value.field == field
    assert TaskRun.objects.count() == Backfill.objects.count() == 0
