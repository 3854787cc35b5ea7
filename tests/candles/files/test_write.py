"""Candles that are written are read again to the bit, by this and by others."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.candles.files import ENCODINGS, WRITE_FORMATS, encode, write_candles_file
from apps.candles.files.arrow import arrow_table
from apps.candles.sources.base import VALUES, Candles
from tests.candles.files.helpers import (
    MARCH,
    MINUTE,
    as_candles,
    assert_same,
    batches,
    sound,
    walk,
)
from tests.stack.exchange_process import REAL_MINUTES

WALKS = {
    "prices of 2 decimals": walk(3000, start=98_765.43),
    "prices of 8 decimals": walk(3000, start=0.00000123, price_decimals=8, volume_decimals=8),
    "whole prices": walk(3000, start=25_000_000, price_decimals=0, volume_decimals=0),
    "more than a piece": walk(70_000),
    "one": walk(1),
    "none": walk(0),
}


def of_table(table: pa.Table, like: Candles) -> Candles:
    arrays = {name: table[name].to_numpy().copy() for name in VALUES}
    return Candles(
        source="test",
        instrument=like.instrument,
        timeframe=like.timeframe,
        ts=table["ts"].cast(pa.int64()).to_numpy().copy(),
        **arrays,
    )


def read(path: Path, like: Candles) -> Candles:
    if path.suffix == ".arrow":
        with pa.ipc.open_stream(path) as reader:
            return of_table(reader.read_all(), like)
    return as_candles(sound(path), like.instrument)


@pytest.mark.parametrize("format_", WRITE_FORMATS)
@pytest.mark.parametrize("which", list(WALKS))
def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path, format_: str, which: str) -> None:
    candles = WALKS[which]
    path = tmp_path / f"a.{format_}"
    write_candles_file(candles, path, format_)
    assert_same(read(path, candles), candles)
    memory = io.BytesIO()
    write_candles_file(candles, memory, format_)
    (tmp_path / f"b.{format_}").write_bytes(memory.getvalue())
    assert_same(read(tmp_path / f"b.{format_}", candles), candles)


@pytest.mark.skipif(not REAL_MINUTES.exists(), reason="the shared file of real minutes is not here")
@pytest.mark.parametrize("format_", ["csv", "npz", "parquet"])
def test_real_minutes_go_out_and_in_again_unchanged(tmp_path: Path, format_: str) -> None:
    first = sound(REAL_MINUTES)
    write_candles_file(as_candles(first), tmp_path / "a", format_)
    second = sound(tmp_path / "a")
    assert (second.price_scale, second.volume_scale) == (first.price_scale, first.volume_scale)
    for name in ("ts", *VALUES):
        assert np.array_equal(getattr(second, name), getattr(first, name)), name


def candles_of(values: Sequence[float]) -> Candles:
    array = np.array(values, dtype=np.float64)
    return Candles(
        source="test",
        instrument="binance:BTC/USDT",
        timeframe="1m",
        ts=MARCH + MINUTE * np.arange(len(values), dtype=np.int64),
        **{name: array.copy() for name in VALUES},
    )


@given(st.lists(st.floats(0, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_of_a_csv_are_shortest_decimals_without_exponents(values: list[float]) -> None:
    text = b"".join(encode([candles_of(values)], "csv")).decode()
    for value, row in zip(values, list(csv.reader(io.StringIO(text)))[1:], strict=True):
        assert not set(row[-1]) - set("0123456789.")
        assert float(row[-1]) == value
        significant = repr(value).partition("e")[0].replace(".", "").strip("0")
        assert row[-1].replace(".", "").strip("0") == significant


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    candles = walk(100)
    write_candles_file(candles, tmp_path / "a.csv", "csv")
    frame = pd.read_csv(tmp_path / "a.csv", parse_dates=["ts"], index_col="ts")
    assert str(frame.index.tz) == "UTC"
    assert (frame.index.as_unit("ms").asi8 == candles.ts).all()
    for name in VALUES:
        # Up to release 3, pandas reads decimals a little beside the nearest float.
        np.testing.assert_allclose(frame[name].to_numpy(np.float64), getattr(candles, name), rtol=1e-14)


def test_times_between_seconds_are_kept(tmp_path: Path) -> None:
    candles = Candles(
        source="test",
        instrument="binance:BTC/USDT",
        timeframe="1m",
        ts=np.array([MARCH, MARCH + 1], dtype=np.int64),
        **{name: np.ones(2) for name in VALUES},
    )
    write_candles_file(candles, tmp_path / "a.csv", "csv")
    assert [row[0] for batch in batches(tmp_path / "a.csv") for row in batch.rows] == [MARCH, MARCH + 1]


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_arrow_says_what_it_is_of(tmp_path: Path, format_: str) -> None:
    candles = walk(10)
    path = tmp_path / "a"
    write_candles_file(candles, path, format_)
    if format_ == "parquet":
        schema = pq.read_schema(path)
    else:
        with pa.ipc.open_stream(path) as reader:
            schema = reader.schema
    assert {key: schema.metadata[key.encode()].decode() for key in ("instrument", "timeframe", "source")} == {
        "instrument": "binance:BTC/USDT",
        "timeframe": "1m",
        "source": "test",
    }
    assert schema.metadata[b"fingerprint"].decode() == candles.fingerprint
    assert schema.names == ["ts", *VALUES]
    assert schema.field("ts").type == pa.timestamp("ms", tz="UTC")
    assert {schema.field(name).type for name in VALUES} == {pa.float64()}


def test_a_table_shares_memory_with_its_candles() -> None:
    candles = walk(1000)
    table = arrow_table(candles)
    assert table["close"].chunk(0).buffers()[1].address == candles.close.ctypes.data
    assert table["ts"].chunk(0).buffers()[1].address == candles.ts.ctypes.data


def test_a_file_is_replaced_as_one_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_candles_file(walk(10), path, "csv")
    before = path.read_bytes()
    broken = walk(20_000)
    object.__setattr__(broken, "volume", broken.volume[:5].astype("U"))
    with pytest.raises(pa.ArrowException):
        write_candles_file(broken, path, "csv")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write_candles_file(walk(11), path, "csv")
    assert path.read_bytes() != before


@pytest.mark.parametrize("wrong", ["xml", "csv.gz", ""])
def test_another_format_is_refused_and_writes_nothing(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="the format is one of"):
        write_candles_file(walk(5), tmp_path / "a", wrong)
    with pytest.raises(ValueError, match="the format is one of"):
        encode([walk(5)], wrong)
    assert list(tmp_path.iterdir()) == []


# Answers


BOTH = [walk(70_000), walk(50, seed=2, start=0.00001234, price_decimals=8, instrument='kraken:ET"H,/EUR')]


def test_a_csv_answer_names_the_instrument_in_each_line() -> None:
    pieces = list(encode(BOTH, "csv"))
    header, *lines = csv.reader(io.StringIO(b"".join(pieces).decode()))
    assert len(pieces) > 3
    assert header == ["instrument", "ts", *VALUES]
    assert [line[0] for line in lines] == [one.instrument for one in BOTH for _ in range(len(one))]
    closes = np.array([float(line[5]) for line in lines])
    assert closes.tobytes() == np.concatenate([one.close for one in BOTH]).tobytes()


def test_an_arrow_answer_holds_several_instruments() -> None:
    pieces = list(encode(BOTH, "arrow"))
    assert len(pieces) > 3
    with pa.ipc.open_stream(b"".join(pieces)) as reader:
        table = reader.read_all()
    assert table.schema.names == ["instrument", "ts", *VALUES]
    assert pa.types.is_dictionary(table.schema.field("instrument").type)
    assert table.schema.metadata[b"timeframe"] == b"1m"
    described = json.loads(table.schema.metadata[b"candles"])
    assert [(one["instrument"], one["rows"], one["fingerprint"]) for one in described] == [
        (one.instrument, len(one), one.fingerprint) for one in BOTH
    ]
    frame = table.to_pandas()
    for one in BOTH:
        mine = table.filter(pa.array((frame["instrument"] == one.instrument).to_numpy()))
        assert_same(of_table(mine, one), one)


@pytest.mark.parametrize("candles", [[], [walk(0)]])
def test_an_answer_may_be_empty(candles: list[Candles]) -> None:
    assert b"".join(encode(candles, "csv")) == b"instrument,ts,open,high,low,close,volume\n"
    with pa.ipc.open_stream(b"".join(encode(candles, "arrow"))) as reader:
        assert reader.read_all().num_rows == 0


def test_an_npz_answer_is_what_a_file_would_be(tmp_path: Path) -> None:
    candles = walk(70_000)
    pieces = list(encode([candles], "npz"))
    assert len(pieces) > 3
    (tmp_path / "a.npz").write_bytes(b"".join(pieces))
    assert_same(as_candles(sound(tmp_path / "a.npz")), candles)


def test_an_npz_answer_is_of_one_instrument() -> None:
    for candles in ([], BOTH):
        with pytest.raises(ValueError, match="npz holds one instrument"):
            encode(candles, "npz")


@pytest.mark.parametrize("format_", ENCODINGS)
def test_an_answer_is_of_one_timeframe(format_: str) -> None:
    hours = Candles(
        source="test",
        instrument="binance:BTC/USDT",
        timeframe="1h",
        ts=np.array([MARCH], dtype=np.int64),
        **{name: np.ones(1) for name in VALUES},
    )
    with pytest.raises(ValueError, match="not of one timeframe"):
        encode([walk(1), hours], format_)
