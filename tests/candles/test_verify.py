"""Comparing what is stored with what the exchange says today."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.candles import services
from apps.candles.models import Candle1m, QuarantinedCandle
from apps.candles.venues import VenueRefused, VenueUnavailable
from apps.candles.verifying import verify
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import MINUTE, assert_levels_match, instrument, stored, walk
from tests.candles.ingesting import KLINES, START, filled, ms, recent, sent

pytestmark = pytest.mark.usefixtures("shared_candles")

END = START + timedelta(hours=6)


def test_what_the_exchange_gave_agrees_with_it(exchange: SimulatedExchange) -> None:
    market = filled(4)
    seen: list[tuple[int, int]] = []
    end = START + timedelta(days=4)
    result = verify(
        instrument=market, start=START, end=end, on_progress=lambda *progress: seen.append(progress)
    )
    assert result.agrees
    assert (result.same, result.rejected, result.repaired, result.differences) == (5760, 0, 0, [])
    assert seen == [(5000, 5760), (5760, 5760)]


def test_every_kind_of_difference_is_counted_and_told_and_mended(exchange: SimulatedExchange) -> None:
    exchange.interrupt(
        {"exchange": "binance", "market": "BTCUSDT", "start": ms(START) + 300 * MINUTE, "end": ms(END)}
    )
    market = filled()
    given = sent(exchange, START, END)
    assert len(given) == 300
    # Two that differ, three that are missing, and one that the exchange does not have.
    first, second, extra = (START + timedelta(minutes=n) for n in (10, 20, 305))
    Candle1m.objects.filter(instrument=market, ts=first).update(volume=7)
    Candle1m.objects.filter(instrument=market, ts=second).update(high=2**50)
    services.delete_candles(
        instrument=market, start=START + timedelta(minutes=30), end=START + timedelta(minutes=33)
    )
    services.write_candles(instrument=market, minutes=walk(1, start=ms(extra)))
    odd = stored("candle_1m", market)
    result = verify(instrument=market, start=START, end=END)
    assert not result.agrees
    assert (result.same, result.different, result.missing, result.extra) == (295, 2, 3, 1)
    missing = [ms(START) + n * MINUTE for n in (30, 31, 32)]
    assert [(one.ts, one.stored, one.given) for one in result.differences] == [
        (ms(first), odd[ms(first)], given[ms(first)]),
        (ms(second), odd[ms(second)], given[ms(second)]),
        *((ts, None, given[ts]) for ts in missing),
        (ms(extra), odd[ms(extra)], None),
    ]
    assert stored("candle_1m", market) == odd
    mended = verify(instrument=market, start=START, end=END, mend=True)
    assert (mended.different, mended.missing, mended.repaired) == (2, 3, 5)
    assert stored("candle_1m", market) == {**given, ms(extra): odd[ms(extra)]}
    assert_levels_match(market)
    after = verify(instrument=market, start=START, end=END)
    assert (after.same, after.different, after.missing, after.extra) == (300, 0, 0, 1)


def test_only_the_first_differences_are_told(exchange: SimulatedExchange) -> None:
    market = filled()
    Candle1m.objects.filter(instrument=market).update(volume=7)
    result = verify(instrument=market, start=START, end=END)
    assert result.different == 360
    assert [one.ts for one in result.differences] == [ms(START) + n * MINUTE for n in range(20)]


def test_values_of_another_scale_are_compared_exactly(exchange: SimulatedExchange) -> None:
    market = filled()
    services.raise_scale(instrument=market, price_scale=4, volume_scale=8)
    assert verify(instrument=market, start=START, end=END).same == 360
    # The exchange has one value in nine decimals now.
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "finer"})
    result = verify(instrument=market, start=START, end=END)
    assert (result.same, result.different) == (359, 1)
    ((was, now),) = [(one.stored, one.given) for one in result.differences]
    assert was is not None
    assert now is not None
    assert (was[:4], was[4] + 1) == (now[:4], now[4])
    market.refresh_from_db()
    assert market.volume_scale == 8


def test_rows_that_the_gate_rejects_are_counted_and_never_mended(exchange: SimulatedExchange) -> None:
    market = filled()
    before = stored("candle_1m", market)
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan"})
    result = verify(instrument=market, start=START, end=END, mend=True)
    assert result.agrees
    assert (result.same, result.rejected, result.repaired) == (359, 1, 0)
    assert stored("candle_1m", market) == before
    assert QuarantinedCandle.objects.count() == 0


def test_only_what_the_exchange_still_serves_is_compared(exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USD", exchange="kraken", price_scale=1, volume_scale=8)
    old = recent(60 * 100)
    services.write_candles(instrument=market, minutes=walk(60, start=ms(old)))
    result = verify(instrument=market, start=old, end=recent(0))
    assert (result.same, result.different, result.extra) == (0, 0, 0)
    assert 710 <= result.missing <= 720
    with pytest.raises(VenueRefused, match="last 720 minutes"):
        verify(instrument=market, start=old, end=old + timedelta(hours=1))


def test_only_what_is_kept_is_compared(exchange: SimulatedExchange, settings: Any) -> None:
    market = instrument("BTC/USDT")
    settings.CANDLES_RETENTION_DAYS = 1
    result = verify(instrument=market, start=recent(60 * 48), end=recent(0), mend=True)
    assert result.missing == result.repaired
    assert 22 * 60 < result.missing < 24 * 60


def test_an_exchange_that_fails_is_an_error(exchange: SimulatedExchange) -> None:
    market = filled()
    exchange.disturb({"path": KLINES, "kind": "reset"})
    with pytest.raises(VenueUnavailable):
        verify(instrument=market, start=START, end=END)
