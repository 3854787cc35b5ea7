"""Reading roll-ups of minutes that were dropped because they were old, in every store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.selectors import coverage_report
from apps.candles.services import refresh_rollups, write_candles
from apps.candles.sources import DiskSource, Span, export_npz
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage import policies
from apps.candles.storage.stores import Base, Store
from apps.candles.timeframes import TIMEFRAMES, to_datetime
from tests.candles.commanding import candles
from tests.candles.helpers import MINUTE, instrument, stored, utc, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

EVER = utc(1970, 1, 1), utc(2199, 12, 1)


@pytest.fixture
def market(store: Store, shared_candles: None, settings: Any) -> Iterator[Instrument]:
    """An instrument whose candles are committed."""
    yield instrument()
    settings.CANDLES_RETENTION_DAYS = None
    policies.apply()


def days_ago(days: float) -> int:
    """A minute so long ago (ms)."""
    return int((timezone.now() - timedelta(days=days)).timestamp()) // 60 * MINUTE


def keep(days: int, store: Store, settings: Any) -> None:
    """Drop what is older, as it happens by itself."""
    settings.CANDLES_RETENTION_DAYS = days
    policies.apply()
    if store.base == Base.HYPERTABLE:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
            )
            for (job,) in cursor.fetchall():
                cursor.execute(f"CALL run_job({job})")
        policies.apply()


def test_what_is_left_of_an_instrument_without_minutes_is_exported(
    store: Store, market: Instrument, settings: Any, tmp_path: Path
) -> None:
    write_candles(instrument=market, minutes=walk(1440, start=days_ago(200)))
    refresh_rollups()
    keep(30, store, settings)
    assert stored("candle_1m", market) == {}
    said = candles("export", market.text, "--to", f"{tmp_path}/", "--format", "npz")
    assert said.status == 0
    assert "7 files written" in said.out
    hours = DiskSource(tmp_path).load(market.text, "1h", *EVER)
    assert 24 <= len(hours) <= 25


def spans_of_bars(market: Instrument) -> dict[str, Span]:
    """What is available, by way of all bars."""
    spans = {}
    for name in TIMEFRAMES:
        ts = TimescaleSource().load(market.text, name, *EVER).ts
        if len(ts):
            spans[name] = Span(first=to_datetime(int(ts[0])), last=to_datetime(int(ts[-1])))
    return spans


def test_roll_ups_of_dropped_minutes_are_available_and_exported(
    store: Store, market: Instrument, settings: Any, tmp_path: Path
) -> None:
    write_candles(instrument=market, minutes=walk(110 * 1440, start=days_ago(111)))
    refresh_rollups()
    before = spans_of_bars(market)
    keep(30, store, settings)
    assert len(stored("candle_1m", market)) < 80 * 1440
    source = TimescaleSource()
    spans = source.available(market.text)
    assert spans == spans_of_bars(market)
    assert spans["1m"].first > before.pop("1m").first
    assert {name: span for name, span in spans.items() if name != "1m"} == before
    export_npz(source=source, root=tmp_path / "exported", instrument=market.text)
    disk = DiskSource(tmp_path / "exported")
    cache = CachedSource(source, tmp_path / "cache", limit=10**9)
    for name in TIMEFRAMES:
        fingerprint = source.load(market.text, name, *EVER).fingerprint
        assert disk.load(market.text, name, *EVER).fingerprint == fingerprint
        for _ in range(2):
            assert cache.load(market.text, name, *EVER).fingerprint == fingerprint


def test_the_coverage_is_that_of_the_minutes_that_are_kept(
    store: Store, market: Instrument, settings: Any
) -> None:
    write_candles(instrument=market, minutes=walk(110 * 1440, start=days_ago(111), gaps=0.2))
    refresh_rollups()
    keep(30, store, settings)
    left = list(stored("candle_1m", market))
    [covered] = coverage_report(limit=10).instruments
    assert (covered.text, covered.minutes) == (market.text, len(left))
    assert (covered.first, covered.last) == (to_datetime(left[0]), to_datetime(left[-1]))
    assert covered.minutes + covered.missing == (left[-1] - left[0]) // MINUTE + 1


def test_roll_ups_are_all_that_is_available_where_every_minute_was_dropped(
    store: Store, market: Instrument, settings: Any, tmp_path: Path
) -> None:
    write_candles(instrument=market, minutes=walk(3 * 1440, start=days_ago(200)))
    refresh_rollups()
    keep(30, store, settings)
    assert stored("candle_1m", market) == {}
    spans = TimescaleSource().available(market.text)
    assert spans == spans_of_bars(market)
    assert list(spans) == list(TIMEFRAMES)[1:]
    cached = CachedSource(TimescaleSource(), tmp_path, limit=10**9).load(market.text, "1h", *EVER)
    assert to_datetime(int(cached.ts[0])) == spans["1h"].first


def test_what_is_available_is_right_while_the_roll_ups_wait_for_a_refresh(market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(40 * 1440, start=days_ago(50)))
    refresh_rollups()
    source = TimescaleSource()
    for start, end in ((51, 45.3), (12.2, 9)):
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM candle_1m WHERE instrument_id = %s AND ts >= %s AND ts < %s",
                [market.pk, to_datetime(days_ago(start)), to_datetime(days_ago(end))],
            )
        assert source.available(market.text) == spans_of_bars(market)
    write_candles(instrument=market, minutes=walk(3000, start=days_ago(2.5)), refresh=False)
    assert source.available(market.text) == spans_of_bars(market)
    refresh_rollups()
    assert source.available(market.text) == spans_of_bars(market)
