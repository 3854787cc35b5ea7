"""Parquet by whatever wrote it: types of times and numbers, names of columns, and damage."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.candles.files import BATCH_ROWS, AmbiguousFile, UnreadableFile
from apps.candles.quality import Reason, sift_minutes
from apps.candles.sources.base import VALUES
from tests.candles.files.helpers import (
    MARCH,
    MINUTE,
    NOW,
    as_candles,
    assert_same,
    batches,
    rows,
    sound,
    times,
    walk,
)


def save(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def columns(count: int = 3, **other: Any) -> dict[str, Any]:
    candles = walk(count)
    return {name: pa.array(getattr(candles, name)) for name in ("ts", *VALUES)} | other


def test_a_frame_of_pandas_is_read_in_pieces_and_exactly(tmp_path: Path) -> None:
    candles = walk(BATCH_ROWS + 1000, price_decimals=8, start=0.00001234)
    frame = pd.DataFrame({name.title(): getattr(candles, name) for name in VALUES})
    for index in ("Open time", None):
        frame.index = pd.DatetimeIndex(candles.ts.astype("M8[ms]"), name=index)
        frame.to_parquet(tmp_path / "a.parquet")
        found = batches(tmp_path / "a.parquet")
        assert max(len(batch.rows) for batch in found) <= BATCH_ROWS
        assert (found[-1].done, found[-1].total, found[-1].unit) == (len(candles), len(candles), "rows")
        assert [line for batch in found for line in batch.lines] == list(range(1, len(candles) + 1))
        assert_same(as_candles(sound(tmp_path / "a.parquet")), candles)


@pytest.mark.parametrize(
    "times_",
    [
        pa.array([MARCH, MARCH + MINUTE]).view(pa.timestamp("ms")),
        pa.array([MARCH, MARCH + MINUTE]).view(pa.timestamp("ms", tz="UTC")),
        pa.array([MARCH, MARCH + MINUTE]).view(pa.timestamp("ms", tz="Asia/Tokyo")),
        pa.array([MARCH // 1000, MARCH // 1000 + 60]).view(pa.timestamp("s")),
        pa.array([MARCH * 1000, (MARCH + MINUTE) * 1000]).view(pa.timestamp("us")),
        pa.array([MARCH * 10**6, (MARCH + MINUTE) * 10**6]).view(pa.timestamp("ns")),
        pa.array([MARCH, MARCH + MINUTE]),
        pa.array([MARCH // 1000, MARCH // 1000 + 60]),
        pa.array([MARCH / 1000, MARCH / 1000 + 60]),
        pa.array([MARCH, MARCH + MINUTE], pa.uint64()),
        pa.array(["2023-03-01 00:00:00", "2023-03-01 00:01:00"]),
        pa.array(["2023-03-01 00:00:00", "2023-03-01 00:01:00"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_times_may_have_any_type(tmp_path: Path, times_: pa.Array) -> None:
    assert times(save(tmp_path / "a", columns(2, ts=times_))) == [MARCH, MARCH + MINUTE]


def test_a_date_is_its_first_minute(tmp_path: Path) -> None:
    assert times(save(tmp_path / "a", columns(1, ts=pa.array([date(2023, 3, 1)])))) == [MARCH]


def test_a_moment_between_milliseconds_or_none_is_no_time(tmp_path: Path) -> None:
    moments = pa.array([MARCH * 1000, MARCH * 1000 + 1, None], pa.int64()).view(pa.timestamp("us"))
    first, second, third = times(save(tmp_path / "a", columns(3, ts=moments)))
    assert first == MARCH
    assert second == f"not a whole millisecond: {MARCH * 1000 + 1}"
    assert third == "no time: null"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([0.1, 1e-6]), [0.1, 1e-6]),
        (pa.array([0.1, 1e-6], pa.float32()), ["0.1", "1e-06"]),
        (pa.array([0.1, None], pa.float32()), ["0.1", None]),
        (pa.array([0.1, None]), [0.1, None]),
        (pa.array([7, 8]), [7, 8]),
        (pa.array(["0.10", "x"]), ["0.10", "x"]),
        (pa.array([Decimal("0.10"), Decimal("2.00")]), [Decimal("0.10"), Decimal("2.00")]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_numbers_come_as_the_gate_takes_them(tmp_path: Path, values: pa.Array, expected: list[Any]) -> None:
    found = rows(save(tmp_path / "a", columns(2, volume=values)))
    assert [row[-1] for row in found] == expected


def test_numbers_that_are_none_are_rejected_by_the_gate(tmp_path: Path) -> None:
    path = save(tmp_path / "a", columns(3, close=pa.array([None, float("nan"), 23140.0])))
    sifted = sift_minutes(rows(path), start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8)
    assert [one.reason for one in sifted.rejected][:2] == [Reason.NOT_A_NUMBER, Reason.NOT_FINITE]


def test_columns_may_be_renamed_and_given(tmp_path: Path) -> None:
    plain = rows(save(tmp_path / "a", columns()))
    renamed = {("when" if name == "ts" else name): column for name, column in columns().items()}
    path = save(tmp_path / "b", {"extra": [1, 2, 3], **renamed, "quote_volume": [1, 2, 3]})
    with pytest.raises(AmbiguousFile, match="no column is known to be the time"):
        rows(path)
    assert rows(path, columns={"ts": "when"}) == plain


def test_a_file_of_several_instruments_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a", columns(3, symbol=pa.array(["BTC", "BTC", "ETH"]).dictionary_encode()))
    with pytest.raises(UnreadableFile, match="row 3 is of 'ETH'"):
        rows(path)
    assert len(rows(save(tmp_path / "b", columns(3, symbol=["BTC"] * 3)))) == 3


def test_times_that_fit_no_unit_are_ambiguous(tmp_path: Path) -> None:
    path = save(tmp_path / "a", columns(3, ts=[20230301, 20230302, 20230303]))
    with pytest.raises(AmbiguousFile, match="no time can be read") as ambiguous:
        rows(path)
    assert ambiguous.value.option == "time_unit"


def test_an_empty_table_is_no_rows(tmp_path: Path) -> None:
    assert rows(save(tmp_path / "a", columns(0))) == []


@pytest.mark.parametrize("part", ["end", "middle", "missing"])
def test_damage_is_told(tmp_path: Path, part: str) -> None:
    path = save(tmp_path / "a.parquet", columns(20_000), compression="zstd")
    data = bytearray(path.read_bytes())
    if part == "end":
        data = data[:-100]
    elif part == "middle":
        data[4:20_000] = np.random.default_rng(1).bytes(19_996)
    else:
        data = data[:4]
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match=r"a\.parquet: it is damaged"):
        rows(path)


def test_a_group_of_rows_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.candles.files.parquet.MAX_ROW_GROUP", 10_000)
    with pytest.raises(UnreadableFile, match="a group of rows holds more than 10,000 bytes"):
        rows(save(tmp_path / "a", columns(5000)))
    assert len(rows(save(tmp_path / "b", columns(5000), row_group_size=100))) == 5000


def test_moments_are_in_utc_whatever_their_zone(tmp_path: Path) -> None:
    moment = datetime(2023, 3, 1, tzinfo=UTC)
    there = pa.array([moment], pa.timestamp("us", tz="America/New_York"))
    assert times(save(tmp_path / "a", columns(1, ts=there))) == [MARCH]
