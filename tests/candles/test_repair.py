"""Filling gaps, and telling why the exchange has nothing to fill some of them with."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from apps.candles import services
from apps.candles.models import Gap, Instrument, QuarantinedCandle
from apps.candles.repairing import open_gaps, repair
from apps.candles.requesting import repair_request
from apps.candles.storage import locks
from apps.candles.tasks import repair as repair_task
from apps.candles.tasks import repair_gaps
from apps.candles.timeframes import to_datetime
from apps.candles.venues import VenueUnavailable
from apps.tasks.testing import assert_requested, requested
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import MINUTE, assert_levels_match, instrument, stored, walk
from tests.candles.ingesting import KLINES, OHLC, START, filled, ms, recent, run_of, run_until_ended, sent
from tests.support import blocked, wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")

END = START + timedelta(hours=6)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def outage(start: int, end: int, market: str | None = None) -> dict[str, Any]:
    """No bars of Binance in these minutes after the start."""
    return {"exchange": "binance", "market": market, "start": ms(at(start)), "end": ms(at(end))}


def noted(market: Instrument) -> list[tuple[int, int, str]]:
    """What is noted of a market, in minutes after the start."""
    return [
        ((ms(gap.start) - ms(START)) // MINUTE, (ms(gap.end) - ms(START)) // MINUTE, gap.cause)
        for gap in Gap.objects.filter(instrument=market)
    ]


def lose(market: Instrument, start: int, end: int) -> None:
    assert services.delete_candles(instrument=market, start=at(start), end=at(end))


def test_what_the_exchange_has_is_filled_on_every_level(exchange: SimulatedExchange) -> None:
    market = filled()
    before = stored("candle_1m", market)
    lose(market, 10, 11)
    lose(market, 60, 190)
    seen: list[tuple[int, int]] = []
    result = repair(instrument=market, on_progress=lambda done, total: seen.append((done, total)))
    assert (result.missing, result.filled, result.quarantined, result.absent) == (131, 131, 0, 0)
    assert seen == [(131, 131)]
    assert stored("candle_1m", market) == before == sent(exchange, START, END)
    assert_levels_match(market)
    assert noted(market) == []
    assert repair(instrument=market).missing == 0


def test_only_the_range_asked_for_is_repaired(exchange: SimulatedExchange) -> None:
    market = filled()
    lose(market, 100, 200)
    assert repair(instrument=market, start=at(120), end=at(130)).filled == 10
    assert open_gaps(instrument=market) == [(ms(at(100)), ms(at(120))), (ms(at(130)), ms(at(200)))]


def test_an_outage_is_told_once_others_were_asked_too(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    one, other = filled(), filled(text="binance:ETH/USDT")
    assert repair(instrument=one).absent == 30
    # One alone may have had no trades.
    assert noted(one) == [(100, 130, "unexplained")]
    assert repair(instrument=other).absent == 30
    assert noted(one) == noted(other) == [(100, 130, "outage")]


def test_what_one_alone_lacks_is_no_outage(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130, "BTCUSDT"))
    one = filled()
    repair(instrument=one)
    assert noted(one) == [(100, 130, "unexplained")]
    # As soon as another has it, there was no trade; it is told when that one is repaired.
    other = filled(text="binance:ETH/USDT")
    lose(other, 110, 111)
    repair(instrument=other)
    assert noted(one) == [(100, 130, "no_trades")]
    assert noted(other) == []


def test_quiet_minutes_of_a_thin_market_are_no_trades(exchange: SimulatedExchange) -> None:
    start = recent(60)
    filled(1 / 24, start=start, text="kraken:BTC/USD")
    thin = filled(1 / 24, start=start, text="kraken:ETH/BTC")
    times = sorted(stored("candle_1m", thin))
    quiet = (times[-1] - times[0]) // MINUTE + 1 - len(times)
    result = repair(instrument=thin)
    assert (result.missing, result.filled, result.absent) == (quiet, 0, quiet)
    assert quiet > 5
    assert {gap.cause for gap in Gap.objects.all()} == {"no_trades"}
    minutes = [ts for gap in Gap.objects.all() for ts in range(ms(gap.start), ms(gap.end), MINUTE)]
    assert sorted(minutes + times) == list(range(times[0], times[-1] + 1, MINUTE))
    assert open_gaps(instrument=thin) == []


def test_what_is_older_than_the_exchange_serves_has_expired(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USD", exchange="kraken", price_scale=1, volume_scale=8)
    first = recent(60 * 14)
    for start in (first, recent(10)):
        services.write_candles(instrument=market, minutes=walk(10, start=ms(start)))
    result = repair(instrument=market)
    (gap,) = Gap.objects.all()
    assert (gap.cause, gap.start) == ("expired", first + timedelta(minutes=10))
    assert abs(gap.end - recent(60 * 12, before=0)) < timedelta(minutes=3)
    assert result.absent == (gap.end - gap.start) / timedelta(minutes=1)
    assert result.absent + result.filled == result.missing == 60 * 14 - 20
    assert min(ts for ts in stored("candle_1m", market) if ts >= ms(gap.start)) == ms(gap.end)
    asked = exchange.requests(OHLC)
    # Asked again by name, it is not asked for what it cannot have, and nothing is forgotten.
    assert repair(instrument=market, again=True).absent == result.absent
    assert exchange.requests(OHLC) == asked
    assert Gap.objects.get().cause == "expired"


def test_a_cause_outlives_the_exchanges_memory(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USD", exchange="kraken", price_scale=1, volume_scale=8)
    first = recent(60 * 14)
    for start in (first, first + timedelta(minutes=20)):
        services.write_candles(instrument=market, minutes=walk(10, start=ms(start)))
    # It was told when the exchange still had this other one's minutes, and had none of these.
    other = instrument("ETH/USD", exchange="kraken", followed=True)
    services.write_candles(instrument=other, minutes=walk(30, start=ms(first)))
    known = Gap.objects.create(
        instrument=market,
        start=first + timedelta(minutes=12),
        end=first + timedelta(minutes=15),
        cause="no_trades",
        asked_at=first,
    )
    assert repair(instrument=market, again=True).absent == 10
    causes = [(gap.start - first, gap.cause) for gap in Gap.objects.all()]
    minute = timedelta(minutes=1)
    assert causes == [(10 * minute, "expired"), (12 * minute, "no_trades"), (15 * minute, "expired")]
    assert Gap.objects.filter(pk=known.pk).exists()


def test_what_the_exchange_does_not_have_is_asked_for_once(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    market = filled()
    assert run_of(repair_gaps).result == {"instruments": [market.text]}
    assert noted(market) == [(100, 130, "unexplained")]
    asked = exchange.requests(KLINES)
    assert run_of(repair_gaps).result == {"instruments": []}
    assert repair(instrument=market).missing == 0
    assert exchange.requests(KLINES) == asked
    assert_requested(repair_task, kwargs={"instrument_id": market.pk}, count=1, rate_cost=2)
    # Somebody who knows better asks for a part of it, and the rest stays as it was.
    exchange.recover()
    assert repair(instrument=market, start=at(110), end=at(120), again=True).filled == 10
    assert noted(market) == [(100, 110, "unexplained"), (120, 130, "unexplained")]
    result = run_of(repair_task, kwargs={"instrument_id": market.pk, "again": True}).result
    assert result == {"missing": 20, "filled": 20, "quarantined": 0, "absent": 0}
    assert noted(market) == []
    assert stored("candle_1m", market) == sent(exchange, START, END)


def test_what_was_filled_another_way_is_absent_no_more(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    one, other = filled(), filled(text="binance:ETH/USDT")
    for market in (one, other):
        repair(instrument=market)
    assert noted(one) == noted(other) == [(100, 130, "outage")]
    services.write_candles(instrument=one, minutes=walk(10, start=ms(at(105))))
    # It has them by now, so the other had no trades there: the middle of its gap is among them.
    assert repair(instrument=one, start=at(107), end=at(112)).missing == 0
    assert noted(one) == [(100, 107, "outage"), (112, 130, "outage")]
    services.write_candles(instrument=one, minutes=walk(10, start=ms(at(115))))
    asked = exchange.requests(KLINES)
    assert repair(instrument=one).missing == 0
    assert exchange.requests(KLINES) == asked
    assert noted(one) == [(100, 105, "outage"), (125, 130, "outage")]
    assert noted(other) == [(100, 130, "no_trades")]


@pytest.mark.parametrize("followed", [True, False])
def test_the_routine_forgets_what_was_filled_though_nothing_is_to_be_repaired(
    exchange: SimulatedExchange, followed: bool
) -> None:
    exchange.interrupt(outage(100, 130))
    market = filled()
    repair(instrument=market)
    Instrument.objects.update(followed=followed)
    services.write_candles(instrument=market, minutes=walk(30, start=ms(at(100))))
    assert run_of(repair_gaps).result == {"instruments": []}
    assert noted(market) == []


def test_what_is_noted_beyond_the_ends_of_what_is_stored_stays(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    market = filled()
    repair(instrument=market)
    lose(market, 120, 360)
    repair(instrument=market)
    assert noted(market) == [(100, 130, "unexplained")]


def test_bounds_within_a_minute_make_no_gap_that_begins_there(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    market = filled()
    half = timedelta(seconds=30)
    result = repair(instrument=market, start=at(109) + half, end=at(119) + half)
    assert (result.missing, result.absent) == (10, 10)
    assert noted(market) == [(110, 120, "unexplained")]
    assert open_gaps(instrument=market, start=at(104) + half) == [
        (ms(at(105)), ms(at(110))),
        (ms(at(120)), ms(at(130))),
    ]


def test_a_repair_that_somebody_asks_for_is_not_taken_for_the_routine_one() -> None:
    market = instrument("BTC/USDT", followed=True)
    services.write_candles(instrument=market, minutes=walk(10, start=ms(START)))
    lose(market, 4, 5)
    services.write_candles(instrument=market, minutes=walk(10, start=ms(START + timedelta(days=8))))
    for _ in range(2):
        repair_gaps.run()
        repair_request(instrument=market)
    asked = requested(repair_task)
    assert sorted(bool(run.kwargs.get("routine")) for run in asked) == [False, True]


def test_minutes_in_quarantine_are_not_absent(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(104, 106))
    market = filled()
    lose(market, 100, 110)
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan"})
    result = repair(instrument=market, run=None)
    assert (result.missing, result.filled, result.quarantined, result.absent) == (10, 7, 1, 2)
    bad = QuarantinedCandle.objects.get()
    assert bad.origin == "repair"
    assert noted(market) == [(104, 106, "unexplained")]
    assert open_gaps(instrument=market) == [(ms(bad.ts), ms(bad.ts) + MINUTE)]
    assert repair(instrument=market).filled == 1


def test_a_value_too_fine_for_what_is_stored_is_not_absent(exchange: SimulatedExchange) -> None:
    market = filled()
    services.write_candles(instrument=market, minutes=replace(walk(2), volume=np.full(2, 2**51)))
    lose(market, 100, 110)
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "finer"})
    result = repair(instrument=market, start=START)
    assert (result.missing, result.filled, result.quarantined, result.absent) == (10, 9, 1, 0)
    assert QuarantinedCandle.objects.get().reason == "too_many_decimals"
    assert noted(market) == []


def test_a_repair_that_is_broken_off_goes_on_where_it_was(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT")
    for start in (START, START + timedelta(minutes=11_010)):
        services.write_candles(instrument=market, minutes=walk(10, start=ms(start)))
    # Of a long gap the first part takes five pages; the next one is cut off in its second.
    exchange.disturb(
        {"path": KLINES, "kind": "delay", "seconds": 0, "times": 6}, {"path": KLINES, "kind": "reset"}
    )
    seen: list[int] = []
    with pytest.raises(VenueUnavailable):
        repair(instrument=market, on_progress=lambda done, total: seen.append(done))
    assert seen == [5000]
    assert len(stored("candle_1m", market)) == 5020
    assert_levels_match(market)
    result = repair(instrument=market, on_progress=lambda done, total: seen.append(done))
    assert (result.missing, result.filled) == (6000, 6000)
    assert seen == [5000, 5000, 6000]
    assert_levels_match(market)


def test_a_long_gap_is_filled_for_who_asks_and_not_unasked(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT", followed=True)
    services.write_candles(instrument=market, minutes=walk(10, start=ms(START)))
    lose(market, 4, 5)
    far = START + timedelta(days=8)
    services.write_candles(instrument=market, minutes=walk(10, start=ms(far)))
    assert run_of(repair_gaps).result == {"instruments": [market.text]}
    assert len(stored("candle_1m", market)) == 20
    assert repair(instrument=market).filled == 8 * 1440 - 10


def test_an_exchange_that_is_away_is_asked_again_by_the_task(exchange: SimulatedExchange) -> None:
    market = filled()
    lose(market, 100, 110)
    exchange.disturb({"path": KLINES, "kind": "reset"})
    run = run_of(repair_task, kwargs={"instrument_id": market.pk})
    assert (run.state, run.attempt) == ("scheduled", 1)
    run_until_ended()
    assert stored("candle_1m", market) == sent(exchange, START, END)
    gone = run_of(repair_task, kwargs={"instrument_id": 0})
    assert (gone.state, gone.attempt) == ("dead", 1)


def test_of_two_repairs_at_once_the_later_one_knows_of_the_other(exchange: SimulatedExchange) -> None:
    exchange.interrupt(outage(100, 130))
    markets = [filled(text=f"binance:{symbol}") for symbol in ("BTC/USDT", "ETH/USDT", "BNB/USDT")]

    def work(market: Instrument) -> None:
        repair(instrument=market)
        connection.close()

    repairs = [threading.Thread(target=work, args=(market,)) for market in markets]
    with transaction.atomic():
        locks.lock_causes("binance")
        for one in repairs:
            one.start()
        wait_until(lambda: blocked() == 3, what="all of them to have something to note")
    for one in repairs:
        one.join(20)
    assert [noted(market) for market in markets] == [[(100, 130, "outage")]] * 3


def test_what_is_not_kept_any_more_is_no_gap(exchange: SimulatedExchange, settings: Any) -> None:
    market = instrument("BTC/USDT")
    first = recent(60 * 50)
    for start in (first, recent(10)):
        services.write_candles(instrument=market, minutes=walk(10, start=ms(start)))
    settings.CANDLES_RETENTION_DAYS = 2
    ((lo, _),) = open_gaps(instrument=market)
    assert timedelta(hours=46) < recent(0) - to_datetime(lo) < timedelta(hours=48)
    result = repair(instrument=market)
    assert result.missing == result.filled + result.absent > 46 * 60
    assert Gap.objects.count() == result.absent <= 1  # a minute may have grown too old meanwhile
