"""The cache of months: what it keeps, when it lets go of it, and that it is never wrong."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from django.db import connection

from apps.candles.models import Instrument
from apps.candles.services import delete_candles, raise_scale, write_candles
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from tests.candles.helpers import MONDAY, instrument, utc, walk

pytestmark = pytest.mark.django_db

DAY = 1440
SPAN = utc(2024, 1, 1), utc(2024, 4, 1)


class Watched(TimescaleSource):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, datetime]] = []

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        self.asked.append((timeframe, start))
        return super().load(instrument, timeframe, start, end)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def cache(watched: Watched, tmp_path: Path) -> CachedSource:
    return CachedSource(watched, tmp_path, limit=10**9)


@pytest.fixture
def market() -> Instrument:
    market = instrument()
    write_candles(instrument=market, minutes=walk(70 * DAY, gaps=0.1))
    return market


def files(cache: CachedSource) -> list[str]:
    return sorted(path.name[:7] for path in cache.root.rglob("*.npy"))


def same(one: Candles, other: Candles) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ts", *VALUES))


def test_months_are_read_from_the_database_once(
    cache: CachedSource, watched: Watched, market: Instrument
) -> None:
    first = cache.load(market.text, "1h", *SPAN)
    assert [start for _, start in watched.asked] == [utc(2024, 1, 1), utc(2024, 2, 1), utc(2024, 3, 1)]
    assert files(cache) == ["2024-01", "2024-02", "2024-03"]
    again = cache.load(market.text, "1h", *SPAN)
    assert len(watched.asked) == 3
    assert first.fingerprint == again.fingerprint == watched.load(market.text, "1h", *SPAN).fingerprint


def test_what_changes_in_the_database_is_read_anew_and_the_rest_is_not(
    cache: CachedSource, watched: Watched, market: Instrument
) -> None:
    cache.load(market.text, "1m", *SPAN)
    late = walk(10, start=MONDAY + 40 * DAY * 60_000, seed=5)
    write_candles(instrument=market, minutes=late)
    del watched.asked[:]
    assert same(cache.load(market.text, "1m", *SPAN), TimescaleSource().load(market.text, "1m", *SPAN))
    assert watched.asked == [("1m", utc(2024, 2, 1))]
    delete_candles(instrument=market, start=utc(2024, 3, 1), end=utc(2024, 4, 1))
    assert same(cache.load(market.text, "1m", *SPAN), TimescaleSource().load(market.text, "1m", *SPAN))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET close = low WHERE ts < '2024-01-05'")
    assert same(cache.load(market.text, "1m", *SPAN), TimescaleSource().load(market.text, "1m", *SPAN))
    assert files(cache) == ["2024-01", "2024-02", "2024-03"]


def test_a_raised_scale_costs_nothing(cache: CachedSource, watched: Watched, market: Instrument) -> None:
    before = cache.load(market.text, "1m", *SPAN)
    raise_scale(instrument=market, price_scale=5, volume_scale=5)
    del watched.asked[:]
    assert cache.load(market.text, "1m", *SPAN).fingerprint == before.fingerprint
    assert watched.asked == []


def test_one_month_is_mapped_and_not_copied(cache: CachedSource, market: Instrument) -> None:
    span = utc(2024, 1, 3), utc(2024, 1, 9)
    cache.load(market.text, "1m", *span)
    loaded = cache.load(market.text, "1m", *span)
    base: object = loaded.close
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_the_least_recently_read_make_room(watched: Watched, tmp_path: Path, market: Instrument) -> None:
    full = CachedSource(watched, tmp_path, limit=10**9)
    full.load(market.text, "1m", *SPAN)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    for age, path in enumerate(sorted(tmp_path.rglob("*.npy"), reverse=True)):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    full.load(market.text, "1m", utc(2024, 1, 1), utc(2024, 1, 2))
    CachedSource(watched, tmp_path, limit=size - 1).load(market.text, "1h", utc(2024, 1, 1), utc(2024, 1, 2))
    assert sorted((path.parent.name, path.name[:7]) for path in tmp_path.rglob("*.npy")) == [
        ("1h", "2024-01"), ("1m", "2024-01"), ("1m", "2024-03"),
    ]  # fmt: skip


def test_what_killed_processes_left_half_written_goes_and_what_is_being_written_stays_and_counts(
    watched: Watched, tmp_path: Path, market: Instrument
) -> None:
    full = CachedSource(watched, tmp_path, limit=10**9)
    full.load(market.text, "1m", *SPAN)
    folder = next(tmp_path.rglob("*.npy")).parent
    size = sum(path.stat().st_size for path in folder.iterdir())
    left, begun = folder / "left.part", folder / "begun.part"
    for path in (left, begun):
        path.write_bytes(b"x" * 1000)
    two_hours_ago = time.time() - 7200
    os.utime(left, (two_hours_ago, two_hours_ago))
    for name in ("5m", "15m"):
        full.load(market.text, name, *SPAN)
        size += sum(path.stat().st_size for path in folder.with_name(name).iterdir())
        assert (left.exists(), begun.exists()) == (False, True)
    assert len(files(full)) == 9
    full.limit = size + 1000
    full._make_room()
    assert len(files(full)) == 9
    full.limit -= 1
    full._make_room()
    assert len(files(full)) == 8
    assert begun.exists()


def test_a_damaged_file_is_made_anew(cache: CachedSource, market: Instrument) -> None:
    before = cache.load(market.text, "1h", *SPAN)
    for path, damage in zip(
        sorted(cache.root.rglob("*.npy")), (b"", b"\x93NUMPY", b"rubbish" * 99), strict=True
    ):
        path.write_bytes(damage)
    assert cache.load(market.text, "1h", *SPAN).fingerprint == before.fingerprint


def test_a_folder_that_cannot_be_written_is_done_without(
    watched: Watched, tmp_path: Path, market: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    source = CachedSource(watched, blocked, limit=10**9)
    assert same(source.load(market.text, "1h", *SPAN), TimescaleSource().load(market.text, "1h", *SPAN))
    assert "not cached" in caplog.text
