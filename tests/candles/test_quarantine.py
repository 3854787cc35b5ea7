"""What the quality gate rejects: kept with its reason, counted, readmitted, discarded."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.candles import services
from apps.candles.models import BackfillChunk, Instrument, QuarantinedCandle
from apps.candles.quality import Rejected, sift_minutes
from apps.candles.selectors import BackfillState
from apps.candles.services import quarantine, quarantined_discard, quarantined_readmit
from apps.candles.storage import locks
from apps.candles.timeframes import to_datetime
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import MINUTE, MONDAY, assert_levels_match, instrument, stored, walk
from tests.candles.ingesting import KLINES, START, ask_for, filled, ms, run_until_ended, sent, status_of
from tests.support import blocked, wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")

#: 2024-01-01T00:00Z, as text like an exchange's.
ROW = (MONDAY, "20000.00", "20010.00", "19990.00", "20001.00", "1.50000")
STORED = (2_000_000, 2_001_000, 1_999_000, 2_000_100, 150_000)


def rejected(*rows: Any) -> list[Rejected]:
    """What the gate rejects of rows."""
    return sift_minutes(
        rows, start_ms=None, end_ms=None, now_ms=ms(timezone.now()), price_scale=2, volume_scale=5
    ).rejected


def held(market: Instrument, *rows: Any) -> QuarantinedCandle:
    """The one candle that the quarantine has of a market once these rows were rejected."""
    quarantine(instrument=market, rejected=rejected(*rows), origin="upload")
    return QuarantinedCandle.objects.get()


@pytest.mark.parametrize(
    ("rubbish", "reason", "text"),
    [
        ("nan", "not_finite", "NaN"),
        ("negative", "negative", "-"),
        ("high_below_low", "high_below_low", ""),
        ("wrong_types", "not_a_number", "None"),
        ("short_row", "short_row", ""),
    ],
)
def test_a_rejected_row_is_kept_and_its_chunk_succeeds_with_the_others(
    exchange: SimulatedExchange, rubbish: str, reason: str, text: str
) -> None:
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": rubbish, "symbol": "BTCUSDT"})
    backfill = ask_for(0.25)
    run_until_ended()
    status = status_of(backfill)
    assert (status.state, status.rows, status.quarantined) == (BackfillState.SUCCEEDED, 359, 1)
    one = QuarantinedCandle.objects.get()
    chunk = BackfillChunk.objects.get()
    assert (one.reason, one.state, one.origin, one.run, one.seen) == (
        reason,
        "held",
        "backfill",
        chunk.task_run,
        1,
    )
    assert one.ts == START + timedelta(minutes=180)
    assert one.row[0] == ms(one.ts)
    assert len(one.row) == (3 if rubbish == "short_row" else 6)
    assert any(text in str(value) for value in one.row[1:])
    assert one.message
    expected = sent(exchange, backfill.start, backfill.end)
    del expected[ms(one.ts)]
    assert stored("candle_1m", one.instrument) == expected
    assert_levels_match(one.instrument)
    result = TaskRun.objects.get(pk=chunk.task_run).result
    assert (result["inserted"], result["quarantined"]) == (359, 1)


@pytest.mark.parametrize("rubbish", ["duplicate", "future"])
def test_a_row_too_many_is_kept_and_no_minute_is_missing(exchange: SimulatedExchange, rubbish: str) -> None:
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": rubbish, "symbol": "BTCUSDT"})
    backfill = ask_for(0.25)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.SUCCEEDED
    assert QuarantinedCandle.objects.get().reason == rubbish
    assert stored("candle_1m", Instrument.objects.get()) == sent(exchange, backfill.start, backfill.end)


def test_a_row_that_is_met_again_is_counted_and_not_doubled(exchange: SimulatedExchange) -> None:
    rule = {"path": KLINES, "kind": "rows", "rows": "nan"}
    exchange.disturb(rule)
    market = filled()
    first = QuarantinedCandle.objects.get()
    exchange.disturb(rule)
    filled()
    again = QuarantinedCandle.objects.get()
    assert (first.pk, first.seen, again.seen) == (again.pk, 1, 2)
    assert again.run != first.run
    assert again.last_seen > first.last_seen
    assert again.first_seen == first.first_seen
    # Twice in one answer, and for another reason.
    quarantine(instrument=market, rejected=rejected(ROW, ROW, ROW), origin="upload")
    quarantine(instrument=market, rejected=rejected(ROW, (*ROW[:5], "2")), origin="upload")
    counts = QuarantinedCandle.objects.exclude(pk=first.pk).values_list("reason", "seen")
    assert sorted(counts) == [("conflict", 1), ("conflict", 1), ("duplicate", 2)]


def test_values_that_no_database_keeps_are_kept_as_far_as_they_go() -> None:
    market = instrument()
    rows = [
        (0, "a\0b", "\ud83d", "x" * 500, 2**70, True, None),
        ("\0", 1, 1, 1, 1, 1),
        (10**17 * 60_000, 1, 1, 1, 1, 1),
        "no row",
    ]
    assert quarantine(instrument=market, rejected=rejected(*rows), origin="import:" + "n" * 300) == 4
    kept = {one.row[0]: one for one in QuarantinedCandle.objects.all()}
    assert kept[0].row == [0, "ab", "?", "x" * 100, str(2**70), "True", "None"]
    assert kept[0].ts == to_datetime(0)
    assert kept[""].ts is None
    assert kept["no row"].reason == "short_row"
    assert {one.ts for one in kept.values()} == {to_datetime(0), None}


def test_what_became_sound_is_readmitted_as_it_came() -> None:
    market = instrument()
    services.write_candles(instrument=market, minutes=walk(60))
    quarantine(instrument=market, rejected=rejected(ROW, (*ROW[:5], "2.5")), origin="upload")
    one = QuarantinedCandle.objects.get(row__5="2.5")
    readmitted = quarantined_readmit(candle=one, actor="user:3")
    assert stored("candle_1m", market)[MONDAY] == (*STORED[:4], 250_000)
    assert_levels_match(market)
    one.refresh_from_db()
    assert (
        (one.state, one.decided_by) == ("readmitted", "user:3") == (readmitted.state, readmitted.decided_by)
    )
    assert one.decided_at is not None


def test_a_correction_is_stored_and_the_row_stays_as_it_came() -> None:
    market = instrument()
    one = held(market, (*ROW[:4], "NaN", ROW[5]))
    quarantined_readmit(candle=one, actor="user:3", row=(*ROW[:5], "1.500001"))
    market.refresh_from_db()
    assert market.volume_scale == 6
    assert stored("candle_1m", market) == {MONDAY: (*STORED[:4], 1_500_001)}
    assert_levels_match(market)
    one.refresh_from_db()
    assert (one.state, one.row[4]) == ("readmitted", "NaN")


@pytest.mark.parametrize(
    "row", [None, (*ROW[:2], "1", *ROW[3:]), ROW[:5], (2**42 - 2**42 % MINUTE, *ROW[1:])]
)
def test_what_is_still_unsound_is_not_stored_and_stays_held(row: Any) -> None:
    market = instrument()
    one = held(market, (*ROW[:4], "NaN", ROW[5]))
    with pytest.raises(services.NotSound, match=r"\w"):
        quarantined_readmit(candle=one, actor="user:3", row=row)
    one.refresh_from_db()
    assert (one.state, one.decided_by, one.decided_at) == ("held", "", None)
    assert stored("candle_1m", market) == {}


def test_nothing_is_decided_where_the_values_do_not_fit() -> None:
    market = instrument()
    services.write_candles(instrument=market, minutes=walk(60))
    one = held(market, (*ROW[:4], "NaN", ROW[5]))
    with pytest.raises(services.ScaleOverflow):
        quarantined_readmit(candle=one, actor="user:3", row=(*ROW[:5], "0.0000000000000001"))
    one.refresh_from_db()
    assert one.state == "held"
    assert Instrument.objects.get().volume_scale == 5


def test_a_candle_is_readmitted_once_and_discarded_while_it_is_held() -> None:
    market = instrument()
    one = held(market, (*ROW[:4], "NaN", ROW[5]))
    assert quarantined_discard(candle=one, actor="user:4").state == "discarded"
    with pytest.raises(services.NotHeld, match="discarded"):
        quarantined_discard(candle=one, actor="user:5")
    # Whoever thought better of it may.
    quarantined_readmit(candle=one, actor="user:3", row=ROW)
    for decide in (quarantined_readmit, quarantined_discard):
        with pytest.raises(services.NotHeld, match="readmitted"):
            decide(candle=one, actor="user:5")
    one.refresh_from_db()
    assert (one.state, one.decided_by) == ("readmitted", "user:3")
    # Met again it is counted, and what was decided stands.
    assert held(market, (*ROW[:4], "NaN", ROW[5])).state == "readmitted"


def test_of_two_operators_at_once_one_decides() -> None:
    market = instrument()
    one = held(market, (*ROW[:4], "NaN", ROW[5]))
    outcomes: list[str] = []

    def operate(name: str, volume: str) -> None:
        try:
            quarantined_readmit(candle=one, actor=name, row=(*ROW[:5], volume))
        except services.NotHeld:
            outcomes.append("too late")
        else:
            outcomes.append(name)
        finally:
            connection.close()

    operators = [threading.Thread(target=operate, args=(f"user:{n}", str(n))) for n in (1, 2)]
    with transaction.atomic():
        locks.lock_instruments([market.pk])
        for operator in operators:
            operator.start()
        wait_until(lambda: blocked() == 2, what="both operators to wait")
    for operator in operators:
        operator.join(20)
    one.refresh_from_db()
    assert sorted(outcomes) == sorted(["too late", one.decided_by])
    assert stored("candle_1m", market)[MONDAY][4] == int(one.decided_by[-1]) * 100_000


def test_an_operator_and_ingestion_that_meet_the_same_row_do_not_wait_in_a_circle() -> None:
    market = instrument()
    bad = (*ROW[:4], "NaN", ROW[5])
    one = held(market, bad)

    def operate() -> None:
        quarantined_readmit(candle=one, actor="user:3", row=ROW)
        connection.close()

    operator = threading.Thread(target=operate)
    with transaction.atomic():
        services.write_candles(instrument=market, minutes=walk(60))
        operator.start()
        wait_until(blocked, what="the operator to wait")
        services.raise_scale(instrument=market, price_scale=3, volume_scale=5)
        quarantine(instrument=market, rejected=rejected(bad), origin="sync")
    operator.join(20)
    one.refresh_from_db()
    assert (one.state, one.seen) == ("readmitted", 2)
    assert stored("candle_1m", market)[MONDAY] == (*(10 * price for price in STORED[:4]), STORED[4])
    assert_levels_match(market)


def test_a_run_that_was_taken_away_quarantines_nothing(exchange: SimulatedExchange) -> None:
    backfill = ask_for(0.25)
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    chunk = BackfillChunk.objects.get()
    TaskRun.objects.exclude(pk=chunk.task_run).delete()
    exchange.disturb(
        {"path": "/api/v3/time", "kind": "delay", "seconds": 1.5},
        {"path": KLINES, "kind": "rows", "rows": "nan"},
    )

    def work() -> None:
        run_pending()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    taken = TaskRun.objects.filter(pk=chunk.task_run, state="running")
    wait_until(lambda: taken.update(fence=F("fence") + 1), what="the chunk to be under way")
    worker.join(20)
    assert exchange.disturbances() == []
    assert QuarantinedCandle.objects.count() == 0
    assert stored("candle_1m", Instrument.objects.get()) == {}


def test_a_chunk_that_is_rolled_back_quarantines_nothing(exchange: SimulatedExchange) -> None:
    instrument("BTC/USDT", volume_scale=13)
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan"})
    backfill = ask_for(0.25)
    run_until_ended()
    assert status_of(backfill).state is BackfillState.FAILED
    assert exchange.disturbances() == []
    assert QuarantinedCandle.objects.count() == 0
