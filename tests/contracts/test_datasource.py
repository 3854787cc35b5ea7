"""What every `DataSource` keeps: one suite, inherited by a class for each source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.db import connection

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources import (
    VALUES,
    BadRange,
    Candles,
    DataSource,
    DiskSource,
    Span,
    UnknownInstrument,
    UnknownTimeframe,
    export_npz,
)
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage import reader
from apps.candles.timeframes import TIMEFRAMES
from tests.candles.helpers import MINUTE, MONDAY, Arrays, instrument, utc, walk

pytestmark = pytest.mark.django_db

SYMBOL = "CONTRACT/USDT"
TEXT = f"binance:{SYMBOL}"
#: From a Wednesday noon over a month's end, 23 days, with a fifth of the minutes missing.
START = MONDAY + (24 * 1440 - 723) * MINUTE
FIRST, LAST = utc(2024, 1, 1), utc(2024, 3, 1)

#: pandas' names for our buckets; weeks from Monday.
PANDAS = {
    "1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min",
    "1h": "1h", "4h": "4h", "1d": "1D", "1w": "W-MON",
}  # fmt: skip


@pytest.fixture(scope="module")
def minutes() -> Arrays:
    return walk(23 * 1440 + 11, start=START, seed=7, gaps=0.2)


@pytest.fixture(scope="module")
def market(minutes: Arrays, django_db_setup: None, django_db_blocker: Any) -> Iterator[Instrument]:
    """The instrument with its minutes, stored once for all tests of this file, which only read."""
    with django_db_blocker.unblock():
        market = instrument(SYMBOL)
        write_candles(instrument=market, minutes=minutes)
    yield market
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE candle_1m")
        market.delete()


@pytest.fixture(scope="module")
def exported(market: Instrument, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Path:
    """A folder with all of it."""
    root = tmp_path_factory.mktemp("candles")
    with django_db_blocker.unblock():
        export_npz(source=TimescaleSource(), root=root, instrument=TEXT)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cache."""
    return tmp_path_factory.mktemp("cache")


class DataSourceContract:
    """The suite. A subclass provides a `source` that holds the minutes of `market`."""

    @pytest.fixture
    def source(self, market: Instrument) -> DataSource:
        raise NotImplementedError

    def test_it_is_a_data_source(self, source: DataSource) -> None:
        assert isinstance(source, DataSource)

    @pytest.mark.parametrize("timeframe", TIMEFRAMES)
    def test_bars_are_what_pandas_makes_of_the_minutes(
        self, source: DataSource, minutes: Arrays, timeframe: str
    ) -> None:
        frame = pd.DataFrame(
            {name: getattr(minutes, name) for name in VALUES},
            index=pd.DatetimeIndex(minutes.ts.astype("datetime64[ms]")),
        )
        how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
        made = frame.resample(PANDAS[timeframe], closed="left", label="left").agg(how).dropna()
        loaded = source.load(TEXT, timeframe, FIRST, LAST)
        assert len(loaded) == len(made) > 3
        assert np.array_equal(loaded.ts, made.index.astype("datetime64[ms]").astype(np.int64))
        for name in VALUES:
            scale = minutes.volume_scale if name == "volume" else minutes.price_scale
            assert np.array_equal(getattr(loaded, name), made[name].to_numpy() / 10**scale), name

    def test_minutes_are_the_decimals_that_were_stored(self, source: DataSource, minutes: Arrays) -> None:
        loaded = source.load(TEXT, "1m", FIRST, LAST)
        assert np.array_equal(loaded.ts, minutes.ts)
        assert [f"{price:.2f}" for price in loaded.close] == [
            f"{ticks // 100}.{ticks % 100:02}" for ticks in minutes.close
        ]

    def test_arrays_have_the_promised_types_and_cannot_be_written(self, source: DataSource) -> None:
        loaded = source.load(TEXT, "1h", FIRST, LAST)
        assert loaded.ts.dtype == np.int64
        for name in VALUES:
            assert getattr(loaded, name).dtype == np.float64
        for name in ("ts", *VALUES):
            with pytest.raises(ValueError, match="read-only"):
                getattr(loaded, name)[0] = 1
        with pytest.raises(FrozenInstanceError):
            loaded.ts = loaded.ts  # type: ignore[misc]
        assert (loaded.instrument, loaded.timeframe) == (TEXT, "1h")

    @pytest.mark.parametrize("timeframe", TIMEFRAMES)
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (utc(2024, 1, 27), utc(2024, 2, 3)),
            (utc(2024, 1, 27, 3, 7), utc(2024, 2, 3, 17, 44)),
            (utc(2024, 1, 27, 3, 7, 0, 1), utc(2024, 2, 3, 17, 44, 0, 1)),
            (utc(2024, 1, 26, 23, 59, 59, 999_999), utc(2024, 1, 27, 0, 0, 0, 1)),
            (utc(1970, 1, 1), utc(2024, 1, 29)),
            (utc(2024, 1, 29), utc(2100, 1, 1)),
        ],
    )
    def test_a_range_is_half_open_and_its_bars_are_whole(
        self, source: DataSource, timeframe: str, start: datetime, end: datetime
    ) -> None:
        everything = source.load(TEXT, timeframe, FIRST, LAST)
        inside = np.array(
            [start <= datetime.fromtimestamp(ts / 1000, start.tzinfo) < end for ts in everything.ts]
        )
        loaded = source.load(TEXT, timeframe, start, end)
        for name in ("ts", *VALUES):
            assert np.array_equal(getattr(loaded, name), getattr(everything, name)[inside]), name

    def test_the_range_may_be_given_in_any_time_zone(self, source: DataSource) -> None:
        east = timezone(timedelta(hours=5, minutes=30))
        here = source.load(TEXT, "1h", utc(2024, 1, 27), utc(2024, 1, 28))
        there = source.load(TEXT, "1h", utc(2024, 1, 27).astimezone(east), utc(2024, 1, 28).astimezone(east))
        assert len(here) == 24
        assert here.fingerprint == there.fingerprint

    def test_an_empty_range_and_a_range_without_candles_are_empty(self, source: DataSource) -> None:
        for timeframe in TIMEFRAMES:
            for start, end in ((FIRST, FIRST), (utc(2023, 1, 1), utc(2023, 2, 1))):
                loaded = source.load(TEXT, timeframe, start, end)
                assert len(loaded) == 0
                assert loaded.close.dtype == np.float64

    def test_the_open_bar_holds_what_is_stored_so_far(self, source: DataSource, minutes: Arrays) -> None:
        loaded = source.load(TEXT, "1w", FIRST, LAST)
        assert loaded.close[-1] == minutes.close[-1] / 100
        assert loaded.ts[-1] < minutes.ts[-1] < loaded.ts[-1] + TIMEFRAMES["1w"].width

    def test_what_is_available_is_the_first_and_the_last_bar_of_every_timeframe(
        self, source: DataSource
    ) -> None:
        spans = source.available(TEXT)
        assert list(spans) == list(TIMEFRAMES)
        for timeframe, span in spans.items():
            loaded = source.load(TEXT, timeframe, FIRST, LAST)
            assert [span.first.timestamp() * 1000, span.last.timestamp() * 1000] == [
                loaded.ts[0],
                loaded.ts[-1],
            ]
            assert len(source.load(TEXT, timeframe, span.first, span.last)) == len(loaded) - 1

    @pytest.mark.parametrize(
        "name", ["binance:NONE/USDT", "kraken:CONTRACT/USDT", "", "..", "../..", "x\0y", "CONTRACT"]
    )
    def test_an_unknown_instrument_is_named(self, source: DataSource, name: str) -> None:
        for ask in (lambda: source.load(name, "1m", FIRST, LAST), lambda: source.available(name)):
            with pytest.raises(UnknownInstrument) as caught:
                ask()
            assert caught.value.field == "instrument"

    @pytest.mark.parametrize("name", ["2m", "", "1M", "60", "../1m"])
    def test_an_unknown_timeframe_is_named(self, source: DataSource, name: str) -> None:
        with pytest.raises(UnknownTimeframe, match="1h") as caught:
            source.load(TEXT, name, FIRST, LAST)
        assert caught.value.field == "timeframe"

    def test_unusable_ranges_name_the_side_at_fault(self, source: DataSource) -> None:
        naive = datetime(2024, 1, 27)  # noqa: DTZ001
        for start, end, field in ((naive, LAST, "start"), (FIRST, naive, "end"), (LAST, FIRST, "start")):
            with pytest.raises(BadRange) as caught:
                source.load(TEXT, "1m", start, end)
            assert caught.value.field == field

    def test_the_fingerprint_stands_for_the_data(self, source: DataSource) -> None:
        loaded = source.load(TEXT, "1h", FIRST, LAST)
        assert source.load(TEXT, "1h", FIRST, LAST).fingerprint == loaded.fingerprint
        others = [source.load(TEXT, "1h", FIRST, utc(2024, 2, 1)), source.load(TEXT, "4h", FIRST, LAST)]
        columns = {name: getattr(loaded, name) for name in ("ts", *VALUES)}
        columns["volume"] = np.nextafter(loaded.volume, np.inf)
        others.append(Candles(source="", instrument=TEXT, timeframe="1h", **columns))
        assert loaded.fingerprint not in {other.fingerprint for other in others}


class TestTimescaleSource(DataSourceContract):
    @pytest.fixture
    def source(self, market: Instrument) -> DataSource:
        return TimescaleSource()

    def test_an_instrument_without_candles_is_known_and_empty(self, source: DataSource) -> None:
        empty = instrument()
        assert source.available(empty.text) == {}
        assert len(source.load(empty.text, "1h", FIRST, LAST)) == 0


class TestTimescaleSourceInPieces(DataSourceContract):
    """As it reads a lot: here, a few bars at a time."""

    @pytest.fixture
    def source(self, market: Instrument, monkeypatch: pytest.MonkeyPatch) -> DataSource:
        monkeypatch.setattr(reader, "_PIECE", 20_000)
        return TimescaleSource()


class TestCachedSource(DataSourceContract):
    """Of which every month is read from the database once, and then from its file."""

    @pytest.fixture
    def source(self, market: Instrument, cache: Path) -> DataSource:
        return CachedSource(TimescaleSource(), cache, limit=10**9)


class TestDiskSource(DataSourceContract):
    @pytest.fixture
    def source(self, market: Instrument, exported: Path) -> DataSource:
        return DiskSource(exported)

    def test_a_timeframe_that_was_not_exported_is_unknown(self, market: Instrument, tmp_path: Path) -> None:
        root = tmp_path / "part"
        files = export_npz(source=TimescaleSource(), root=root, instrument=TEXT, timeframes=["1h"])
        assert [file.name for file in files] == ["1h.npz"]
        source = DiskSource(root)
        assert list(source.available(TEXT)) == ["1h"]
        with pytest.raises(UnknownTimeframe, match=r"not one of 1h$"):
            source.load(TEXT, "1m", FIRST, LAST)

    def test_a_part_of_the_range_can_be_exported(self, market: Instrument, tmp_path: Path) -> None:
        start, end = utc(2024, 1, 27), utc(2024, 1, 29)
        export_npz(
            source=TimescaleSource(), root=tmp_path, instrument=TEXT, timeframes=["1h"], start=start, end=end
        )
        span = DiskSource(tmp_path).available(TEXT)["1h"]
        assert span == Span(first=start, last=end - timedelta(hours=1))

    def test_an_export_replaces_what_was_there(self, market: Instrument, tmp_path: Path) -> None:
        for days in (2, 1):
            export_npz(
                source=TimescaleSource(), root=tmp_path, instrument=TEXT, timeframes=["1d"],
                start=utc(2024, 1, 27), end=utc(2024, 1, 27) + timedelta(days=days),
            )  # fmt: skip
            assert len(DiskSource(tmp_path).load(TEXT, "1d", FIRST, LAST)) == days
        assert [path.name for path in tmp_path.rglob("*.*") if path.is_file()] == ["1d.npz"]


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_both_sources_give_equal_arrays_to_the_bit(exported: Path, timeframe: str) -> None:
    one = TimescaleSource().load(TEXT, timeframe, FIRST, LAST)
    other = DiskSource(exported).load(TEXT, timeframe, FIRST, LAST)
    for name in ("ts", *VALUES):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.fingerprint == other.fingerprint
    assert (one.source, other.source) == ("timescale", "disk")


def test_candles_refuse_arrays_that_do_not_belong_together() -> None:
    ts = np.array([0, 60_000], np.int64)
    column = np.array([1.0, 2.0])
    good = {"ts": ts, **dict.fromkeys(VALUES, column)}
    for name, bad in (
        ("close", column[:1]),
        ("close", column.astype(np.float32)),
        ("ts", ts[::-1].copy()),
        ("ts", ts.astype(np.int32)),
        ("ts", np.zeros(2, np.int64)),
    ):
        with pytest.raises(ValueError):
            Candles(source="", instrument=TEXT, timeframe="1m", **{**good, name: bad})
