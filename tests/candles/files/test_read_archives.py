"""Packed files: gzip, zips of text such as Binance's, and NumPy's zips of arrays; whole, odd and damaged."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.candles.files import BATCH_ROWS, AmbiguousFile, UnreadableFile, read_minutes
from apps.candles.quality import Reason, sift_minutes
from apps.candles.sources.base import VALUES
from tests.candles.files.helpers import (
    HEADER,
    MARCH,
    MINUTE,
    NOW,
    VALUES_ROW,
    VALUES_TEXT,
    as_candles,
    assert_same,
    batches,
    rows,
    sound,
    times,
    walk,
    write,
)

JANUARY = 1_735_689_600_000
REST = ",1735689599999,100.5,17,1.5,2.5,0"
BINANCE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def zipped(path: Path, **entries: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def minute_lines(first: int, count: int, unit: int = 1) -> str:
    return "".join(f"{(first + at * MINUTE) * unit},{VALUES_TEXT}{REST}\n" for at in range(count))


def test_binance_archives_of_both_units_are_read_with_and_without_headers(tmp_path: Path) -> None:
    for name, first, unit, header in (
        ("BTCUSDT-1m-2024-12", JANUARY - 3 * MINUTE, 1, ""),
        ("BTCUSDT-1m-2025-01", JANUARY, 1000, BINANCE_HEADER + "\n"),
    ):
        path = zipped(tmp_path / f"{name}.zip", **{f"{name}.csv": header + minute_lines(first, 3, unit)})
        [batch] = batches(path)
        assert batch.rows == [(first + at * MINUTE, *VALUES_ROW) for at in range(3)]
        assert batch.place(0) == f"{name}.csv:{2 if header else 1}"
        assert len(batch.raw[0]) == 12
        assert batch.done == batch.total


def test_all_texts_of_a_zip_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    december = minute_lines(JANUARY - 2 * MINUTE, 2)
    path = zipped(
        tmp_path / "all.zip",
        **{
            "b/2025-01.csv": BINANCE_HEADER + "\n" + minute_lines(JANUARY, 2, 1000),
            "a/2024-12.csv": december,
            "README.txt": "what this is",
            "CHECKSUM": "0" * 64,
            "__MACOSX/._2024-12.csv": b"\0\5\26\7",
            "b/.hidden.csv": b"\0",
        },
    )
    found = batches(path)
    assert [batch.entry for batch in found] == ["a/2024-12.csv", "b/2025-01.csv"]
    assert times(path) == [JANUARY + at * MINUTE for at in (-2, -1, 0, 1)]
    assert found[0].done == len(december)
    assert found[1].done == found[1].total == found[0].total


def test_the_progress_of_a_gzip_is_that_of_its_packed_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(minute_lines(MARCH, 100_000).encode()))
    found = batches(path)
    assert sum(len(batch.rows) for batch in found) == 100_000
    assert 0 < found[0].done < found[-1].done == found[-1].total == path.stat().st_size


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "it holds no .csv, .tsv, .txt or .npy, but nothing"),
        ({"a.xml": "<a/>"}, "but a.xml"),
        ({"a.csv": ""}, "a.zip: a.csv: it is empty"),
        ({"a.csv": "1,2\n3,4\n"}, "a.zip: a.csv: no line has 6 columns"),
    ],
)
def test_a_zip_without_candles_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        rows(zipped(tmp_path / "a.zip", **entries))


def test_what_was_read_before_the_damage_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    random = np.random.default_rng(1)
    lines = "".join(
        f"{MARCH + at * MINUTE},3,9,1,4,0.{random.integers(10**12):012}\n" for at in range(400_000)
    )
    data = gzip.compress(lines.encode(), 1)
    path.write_bytes(data[: len(data) * 3 // 4])
    seen = 0
    with pytest.raises(UnreadableFile, match="it is damaged"):
        for batch in read_minutes(path):
            seen += len(batch.rows)
    assert 0 < seen < 400_000


@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
def test_a_damaged_zip_is_refused(tmp_path: Path, at: float) -> None:
    path = zipped(tmp_path / "a.zip", **{"a.csv": minute_lines(MARCH, 5000)})
    data = bytearray(path.read_bytes())
    place = int(len(data) * at)
    path.write_bytes(data[:place])
    with pytest.raises(UnreadableFile, match="it is damaged"):
        rows(path)
    data[100:200] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(UnreadableFile):
        rows(path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"a.csv": minute_lines(MARCH, 5)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match="it is encrypted"):
        rows(path)


@pytest.mark.parametrize("kind", ["gzip", "zip", "npz"])
def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("read", "arrays"):
        monkeypatch.setattr(f"apps.candles.files.{module}.MAX_UNPACKED", 200_000)
    path = tmp_path / "a"
    text = minute_lines(MARCH, 5000)
    if kind == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "zip":
        zipped(path, **{"a.csv": text[:150_000], "b.csv": text[:150_000]})
    else:
        save(path, **arrays(5000))
    with pytest.raises(UnreadableFile, match="unpacks to more than 200,000 bytes"):
        rows(path)


# NumPy


def arrays(count: int) -> dict[str, np.ndarray[Any, Any]]:
    candles = walk(count)
    return {name: getattr(candles, name) for name in ("ts", *VALUES)}


def save(path: Path, *, packed: bool = False, **content: Any) -> Path:
    with path.open("wb") as file:
        (np.savez_compressed if packed else np.savez)(file, **content)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_arrays_are_read_in_pieces_and_exactly(tmp_path: Path, packed: bool) -> None:
    candles = walk(BATCH_ROWS + 1000, price_decimals=8, start=0.00001234)
    content = {name: getattr(candles, name) for name in ("ts", *VALUES)}
    path = save(tmp_path / "1m.npz", packed=packed, extra=np.zeros(3), **content)
    found = batches(path)
    assert [(batch.done, batch.total, batch.unit) for batch in found] == [
        (BATCH_ROWS, len(candles), "rows"),
        (len(candles), len(candles), "rows"),
    ]
    assert (found[1].place(0), found[1].raw[0]) == (str(BATCH_ROWS + 1), found[1].rows[0])
    assert_same(as_candles(sound(path, format="npz")), candles)


def test_arrays_may_have_other_types(tmp_path: Path) -> None:
    content = arrays(50)
    expected = sound(save(tmp_path / "a.npz", **content))
    moments = content["ts"].astype("M8[ms]")
    for ts in (moments, moments.astype("M8[ns]"), moments.astype("M8[m]"), content["ts"] // 1000):
        other = sound(save(tmp_path / "b.npz", **{**content, "ts": ts}))
        assert other.ts.tolist() == expected.ts.tolist()
    text = {name: content[name].astype("U") for name in VALUES}
    assert sound(save(tmp_path / "c.npz", ts=content["ts"], **text)).close.tolist() == expected.close.tolist()
    big = {name: content[name].astype(">f8") for name in VALUES}
    assert sound(save(tmp_path / "d.npz", ts=content["ts"], **big)).close.tolist() == expected.close.tolist()


def test_a_narrow_float_is_its_own_shortest_decimal(tmp_path: Path) -> None:
    narrow = {name: np.array([0.1], dtype=np.float32) for name in VALUES}
    assert rows(save(tmp_path / "a.npz", ts=[MARCH], **narrow)) == [(MARCH, *["0.1"] * 5)]


def test_numbers_that_are_none_are_left_to_the_gate(tmp_path: Path) -> None:
    content = arrays(3)
    content["close"] = np.array([np.nan, np.inf, content["close"][2]])
    sifted = sift_minutes(
        rows(save(tmp_path / "a.npz", **content)),
        start_ms=None,
        end_ms=None,
        now_ms=NOW,
        price_scale=2,
        volume_scale=8,
    )
    assert [one.reason for one in sifted.rejected] == [Reason.NOT_FINITE, Reason.NOT_FINITE]


def without_close() -> dict[str, Any]:
    return {name: array for name, array in arrays(5).items() if name != "close"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without_close(), "no column is known to be close"),
        ({**arrays(5), "close": np.ones(4)}, "its arrays differ in length"),
        ({**arrays(5), "close": np.ones((5, 1))}, r"close.npy is of the type float64 and the shape \(5, 1\)"),
        (
            {**arrays(5), "close": np.array([1, None, 3, 4, 5], dtype=object)},
            "close.npy is of the type object",
        ),
        ({**arrays(5), "close": np.ones(5, dtype=bool)}, "close.npy is of the type bool"),
        ({**arrays(5), "c": np.ones(5)}, "close may be in 'close', 'c'"),
    ],
)
def test_arrays_that_are_no_candles_are_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnreadableFile, match=message):
        rows(save(tmp_path / "a.npz", **content))


def test_arrays_that_claim_to_be_larger_than_they_are_are_refused(tmp_path: Path) -> None:
    content = {f"{name}.npy": npy(array) for name, array in arrays(5).items()}
    content["close.npy"] = content["close.npy"].replace(b"(5,)", b"(9999999999999,)", 1)
    with pytest.raises(UnreadableFile, match=r"close.npy (does not have the size|is no array)"):
        rows(zipped(tmp_path / "a.npz", **content))
    with pytest.raises(UnreadableFile, match=r"close\.npy is no array"):
        rows(zipped(tmp_path / "b.npz", **{**content, "close.npy": b"rubbish"}))


def npy(array: Any) -> bytes:
    memory = io.BytesIO()
    np.save(memory, array)
    return memory.getvalue()


def test_a_single_array_is_refused_with_what_to_do(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 6)))
    with pytest.raises(UnreadableFile, match=r"save a \.npz"):
        rows(tmp_path / "a.npy")


def test_a_format_that_is_insisted_on_is_not_another(tmp_path: Path) -> None:
    text = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}")
    archive = zipped(tmp_path / "a.zip", **{"a.csv": minute_lines(MARCH, 2)})
    saved = save(tmp_path / "a.npz", **arrays(5))
    for path, found, wanted in ((text, "csv", "npz"), (archive, "csv", "parquet"), (saved, "npz", "csv")):
        with pytest.raises(UnreadableFile, match=f"it is {found}, not {wanted}"):
            rows(path, format=wanted)


def test_times_of_arrays_that_fit_no_unit_are_ambiguous(tmp_path: Path) -> None:
    content = arrays(5)
    content["ts"] = np.arange(5)
    with pytest.raises(AmbiguousFile, match="no time can be read") as ambiguous:
        rows(save(tmp_path / "a.npz", **content))
    assert ambiguous.value.option == "time_unit"
    assert times(tmp_path / "a.npz", time_unit="s") == [0, 1000, 2000, 3000, 4000]
