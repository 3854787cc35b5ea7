"""Raising the number of decimals that an instrument's stored integers carry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.candles.models import Instrument
from apps.candles.services import ScaleOverflow, raise_scale, write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.reader import read_bars
from tests.candles.helpers import TABLES, assert_levels_match, dirty, instrument, stored, utc, walk

pytestmark = pytest.mark.django_db


def test_every_level_is_multiplied_and_nothing_becomes_dirty() -> None:
    market, other = instrument(), instrument()
    for one in (market, other):
        write_candles(instrument=one, minutes=walk(2000))
    before = {table: stored(table, market) for table in TABLES}
    untouched = {table: stored(table, other) for table in TABLES}
    assert raise_scale(instrument=market, price_scale=5, volume_scale=6)
    for table in TABLES:
        assert stored(table, market) == {
            ts: (*(1000 * p for p in row[:4]), 10 * row[4], *row[5:]) for ts, row in before[table].items()
        }
        assert stored(table, other) == untouched[table]
    assert dirty() == 0
    saved = Instrument.objects.get(pk=market.pk)
    assert (saved.price_scale, saved.volume_scale) == (market.price_scale, market.volume_scale) == (5, 6)


def test_what_is_read_stays_the_same_to_the_bit() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(2000))
    span = (market.text, "1h", utc(2024, 1, 1), utc(2024, 2, 1))
    before = TimescaleSource().load(*span)
    raise_scale(instrument=market, price_scale=6, volume_scale=6)
    assert TimescaleSource().load(*span).fingerprint == before.fingerprint


def test_a_raise_in_the_middle_of_reading_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(100))
    span = (market.text, "1m", utc(2024, 1, 1), utc(2024, 2, 1))
    before = TimescaleSource().load(*span)

    def after_a_raise(**asked: Any) -> Any:
        raise_scale(instrument=market, price_scale=6, volume_scale=6)
        return read_bars(**asked)

    monkeypatch.setattr("apps.candles.sources.timescale.read_bars", after_a_raise)
    assert TimescaleSource().load(*span).fingerprint == before.fingerprint


def test_writes_after_a_raise_still_make_days_dirty() -> None:
    market, minutes = instrument(), walk(2000)
    write_candles(instrument=market, minutes=minutes[:1000])
    raise_scale(instrument=market, price_scale=3, volume_scale=5)
    write_candles(instrument=market, minutes=minutes[500:])
    assert_levels_match(market)


def test_scales_never_shrink() -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(10))
    before = stored("candle_1m", market)
    assert not raise_scale(instrument=market, price_scale=0, volume_scale=5)
    assert (market.price_scale, market.volume_scale) == (2, 5)
    assert stored("candle_1m", market) == before


@pytest.mark.parametrize(("price_scale", "volume_scale"), [(13, 5), (2, 14), (19, 5)])
def test_a_scale_that_the_values_do_not_fit_changes_nothing(price_scale: int, volume_scale: int) -> None:
    market, minutes = instrument(), walk(100)
    write_candles(instrument=market, minutes=replace(minutes, volume=np.full(100, 10**5)))
    before = {table: stored(table, market) for table in TABLES}
    with pytest.raises(ScaleOverflow):
        raise_scale(instrument=market, price_scale=price_scale, volume_scale=volume_scale)
    assert {table: stored(table, market) for table in TABLES} == before
    assert (market.price_scale, market.volume_scale) == (2, 5)
    assert Instrument.objects.get(pk=market.pk).price_scale == 2
