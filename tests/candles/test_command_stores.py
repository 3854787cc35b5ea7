"""The commands of candles do the same wherever candles are stored."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection

from apps.candles.services import write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.stores import Rollups, Store
from tests.candles.commanding import candles, rows, write_csv
from tests.candles.helpers import assert_levels_match, dirty, instrument, rolled, stored, utc, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.usefixtures("store", "shared_candles")

TEXT = "binance:BTC/USDT"
HOUR = 60 * 60_000


def test_what_is_imported_is_exported_again_with_its_levels_and_its_gaps(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(3000)
    kept = minutes[(np.arange(3000) < 500) | (np.arange(3000) >= 520)]
    path = write_csv(tmp_path / "in.csv", rows(kept))
    assert candles("import", path, "--instrument", TEXT).status == 0
    assert stored("candle_1m", market) == kept.bars()
    assert_levels_match(market)
    [gaps] = json.loads(candles("gaps", TEXT, "--json").out)
    assert gaps["open_minutes"] == 20
    out = tmp_path / "out.npz"
    assert candles("export", TEXT, "--timeframe", "1h", "--to", out).status == 0
    hours = rolled(kept.bars(), HOUR)
    with np.load(out) as file:
        assert file["ts"].tolist() == sorted(hours)
        assert file["close"].tolist() == [hours[ts][3] / 100 for ts in sorted(hours)]


def test_a_refresh_brings_changes_from_outside_to_every_level(store: Store) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(3000))
    candles("refresh", "--quiet")
    assert dirty() == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET high = high + 9000000 WHERE ts = '2024-01-02 03:04Z'")
        assert cursor.rowcount == 1
    assert dirty() > 0
    said = candles("refresh", TEXT)
    assert said.status == 0
    total = "" if store.rollups == Rollups.AGGREGATES else " 1 of 1, 100%"
    assert said.err.splitlines() == [f"roll-ups:{total}"]
    assert dirty() == 0
    assert_levels_match(market)
    day = TimescaleSource().load(TEXT, "1d", utc(2024, 1, 2), utc(2024, 1, 2) + timedelta(days=1))
    assert day.high[0] > 90_000
