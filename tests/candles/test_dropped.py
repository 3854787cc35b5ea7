"""Raising scales where the minutes of some roll-ups are not kept any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import ScaleOverflow, raise_scale, refresh_rollups, write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage import schema, stores
from apps.candles.storage.partitions import drop_partitions
from apps.candles.storage.stores import Base, Store
from apps.candles.timeframes import DAY, ROLLUPS, to_ms
from tests.candles.helpers import Arrays, instrument, stored, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

#: What is stored begins, in days before today, and until when it is dropped at least.
FIRST, DROPPED = 150, 100


@pytest.fixture
def market(store: Store, shared_candles: None) -> Instrument:
    return instrument()


def days_ago(days: int) -> int:
    """Midnight so many days before the last one (ms)."""
    return to_ms(timezone.now()) // DAY * DAY - days * DAY


def store_and_drop(market: Instrument, minutes: Arrays) -> None:
    """Store minutes, roll them up, and drop those that are older than `DROPPED`."""
    write_candles(instrument=market, minutes=minutes)
    refresh_rollups()
    before = timezone.now() - timedelta(days=DROPPED - schema.CHUNK_DAYS)
    if stores.in_force().base == Base.PARTITIONS:
        drop_partitions(to_ms(before))
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT drop_chunks('candle_1m', older_than => %s)", [before])
    assert min(stored("candle_1m", market), default=0) > days_ago(DROPPED + 1)
    assert min(stored("candle_1d", market)) == days_ago(FIRST)


def read(market: Instrument) -> list[str]:
    """The fingerprints of everything, by level."""
    ever = timezone.now() - timedelta(days=200), timezone.now()
    return [TimescaleSource().load(market.text, level.name, *ever).fingerprint for level in ROLLUPS]


def test_what_is_read_stays_the_same_to_the_bit(market: Instrument) -> None:
    store_and_drop(market, walk(140 * 1440, start=days_ago(FIRST)))
    before, bars = read(market), stored("candle_1d", market)
    assert raise_scale(instrument=market, price_scale=4, volume_scale=6)
    assert read(market) == before
    refresh_rollups()
    assert read(market) == before
    assert stored("candle_1d", market) == {
        ts: (*(100 * price for price in row[:4]), 10 * row[4], row[5]) for ts, row in bars.items()
    }


@pytest.mark.parametrize("large", ["price", "volume"])
def test_a_scale_that_an_old_bar_does_not_fit_is_refused(market: Instrument, large: str) -> None:
    minutes = walk(140 * 1440, start=days_ago(FIRST))
    factor = np.where(minutes.ts < days_ago(FIRST - 2), 10**6, 1)
    names = ("open", "high", "low", "close") if large == "price" else ("volume",)
    minutes = replace(minutes, volume=minutes.volume // 10**6)
    minutes = replace(minutes, **{name: getattr(minutes, name) * factor for name in names})
    store_and_drop(market, minutes)
    before = {level.table: stored(level.table, market) for level in ROLLUPS}
    scales = {"price_scale": 2, "volume_scale": 5} | {f"{large}_scale": 10}
    with pytest.raises(ScaleOverflow):
        raise_scale(instrument=market, **scales)
    assert {level.table: stored(level.table, market) for level in ROLLUPS} == before
    assert (market.price_scale, market.volume_scale) == (2, 5)
