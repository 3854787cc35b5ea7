"""Lines of text as rows: separators, headers, times, and what is wrong with a line or with all of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from apps.candles.files import BATCH_ROWS, AmbiguousFile, UnreadableFile, read_minutes
from apps.candles.files.batches import MAX_LINE
from tests.candles.files.helpers import (
    HEADER,
    MARCH,
    MINUTE,
    VALUES_ROW,
    VALUES_TEXT,
    batches,
    rows,
    sound,
    times,
    write,
)

FIRST = (MARCH, *VALUES_ROW)


def test_a_row_is_a_time_in_milliseconds_and_the_words_of_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}", f"{MARCH + MINUTE},{VALUES_TEXT}")
    [batch] = batches(path)
    assert batch.rows == [FIRST, (MARCH + MINUTE, *VALUES_ROW)]
    assert list(batch.lines) == [2, 3]
    assert batch.raw[1] == [str(MARCH + MINUTE), *VALUES_ROW]
    assert (batch.entry, batch.place(1)) == (None, "3")
    assert (batch.done, batch.total, batch.unit) == (path.stat().st_size, path.stat().st_size, "bytes")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_text_may_be_laid_out_in_many_ways(
    tmp_path: Path, separator: str, end: str, encoding: str, header: bool, packed: bool
) -> None:
    lines = [*([HEADER] if header else []), f"{MARCH},{VALUES_TEXT}"]
    path = tmp_path / "a"
    write(path, *(line.replace(",", separator) for line in lines), end=end, encoding=encoding)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert rows(path) == [FIRST]
    assert rows(path, format="csv") == [FIRST]


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Time,Open,High,Low,Close,Volume",
        "DATE,OPEN,HIGH,LOW,CLOSE,VOL",
        "datetime,o,h,l,c,v",
        "Open Time,Open Price,High Price,Low Price,Close Price,Volume BTC",
        "unix,o,h,l,c,Volume (BTC)",
        "ts,open,high,low,close,base_volume",
        '"t","open","high","low","close","volume"',
        " time , open , high , low , close , volume ",
    ],
)
def test_columns_are_known_by_many_names(tmp_path: Path, header: str) -> None:
    assert rows(write(tmp_path / "a.csv", header, f"{MARCH},{VALUES_TEXT}")) == [FIRST]


def test_columns_may_be_in_any_order_among_others(tmp_path: Path) -> None:
    path = write(
        tmp_path / "Binance_BTCUSDT_minute.csv",
        "https://www.example.com",
        "unix,date,symbol,close,low,high,open,Volume USDT,Volume BTC,tradecount",
        f"{MARCH + MINUTE},2023-03-01 00:01:00,BTCUSDT,4,1,5,3,999.5,2.5,17",
        f"{MARCH},2023-03-01 00:00:00,BTCUSDT,3,1,5,2,999.5,2.25,18",
    )
    assert rows(path) == [(MARCH + MINUTE, "3", "5", "1", "4", "2.5"), (MARCH, "2", "5", "1", "3", "2.25")]
    assert sound(path).ts.tolist() == [MARCH, MARCH + MINUTE]


@pytest.mark.parametrize(
    "spelled",
    [
        "1677628800",
        "1677628800000",
        "1677628800000000",
        "1677628800000000000",
        "1677628800.0",
        "1.6776288e9",
        "2023-03-01",
        "2023-03-01 00:00",
        "2023-03-01 00:00:00",
        "2023-03-01T00:00:00",
        "2023-03-01T00:00:00Z",
        "2023-03-01 00:00:00 UTC",
        "2023-03-01 00:00:00+00:00",
        "2023-03-01T00:00:00.000Z",
        "2023-03-01T00:00:00.000000000",
        "2023-03-01T02:00:00+02:00",
        "2023-02-28 19:00:00-05:00",
    ],
)
def test_a_time_may_be_spelled_in_many_ways(tmp_path: Path, spelled: str) -> None:
    path = write(tmp_path / "a.csv", HEADER, f"{spelled},{VALUES_TEXT}")
    assert times(path) == [MARCH]
    unit = {10: "s", 13: "ms", 16: "us", 19: "ns"}[len(spelled)] if spelled.isdigit() else None
    if "-" in spelled or unit:
        assert times(path, time_unit=unit or "iso") == [MARCH]


def test_units_of_time_may_change_within_a_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        f"1735689540000,{VALUES_TEXT}",
        f"1735689600000000,{VALUES_TEXT}",
        f"1735689660,{VALUES_TEXT}",
    )
    assert times(path) == [1735689540000, 1735689600000, 1735689660000]


@pytest.mark.parametrize(
    "spelled",
    [
        *("1677628800000001", "2023-03-01 00:00:00.0001", "2023-03-01T00:00:00.0000000001", "20230301"),
        *("2023-02-30 00:00:00", "2023-03-01 24:30:00", "01/03/2023", "\u0661\u0662", "nan", "1e999"),
        *("soon", "", "9" * 60, "1677628800.0000000000000000000000001"),
    ],
)
def test_a_time_that_cannot_be_read_is_never_rounded_and_is_no_open_time(
    tmp_path: Path, spelled: str
) -> None:
    path = write(tmp_path / "a.csv", f"{MARCH},{VALUES_TEXT}", f"{spelled},{VALUES_TEXT}")
    first, second = times(path)
    assert first == MARCH
    assert isinstance(second, str)
    assert not second.isdigit()


def test_all_lines_of_a_long_file_come_in_pieces_with_their_numbers(tmp_path: Path) -> None:
    count = BATCH_ROWS + 20_000
    lines = [f"{MARCH + minute * MINUTE},{VALUES_TEXT}" for minute in range(count)]
    path = write(tmp_path / "a.csv", HEADER, *lines[:10], "", *lines[10:])
    found = batches(path)
    assert max(len(batch.rows) for batch in found) <= BATCH_ROWS
    assert [row[0] for batch in found for row in batch.rows] == [
        MARCH + minute * MINUTE for minute in range(count)
    ]
    numbers = [line for batch in found for line in batch.lines]
    assert numbers == [*range(2, 12), *range(13, count + 3)]
    done = [batch.done for batch in found]
    assert done == sorted(done)
    assert done[-1] == found[-1].total == path.stat().st_size


def test_a_line_with_too_few_columns_is_a_short_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}", f"{MARCH + MINUTE},1,2", "rubbish")
    [batch] = batches(path)
    assert batch.rows[1] == (MARCH + MINUTE, "1", "2")
    assert len(batch.rows[2]) == 1
    assert batch.raw[1:] == [[str(MARCH + MINUTE), "1", "2"], ["rubbish"]]


def test_quotes_end_with_their_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        HEADER,
        f'"{MARCH}",' + ",".join(f'"{value}"' for value in VALUES_ROW),
        f'{MARCH + MINUTE},"1,2,3,4,5',
        f"{MARCH + 2 * MINUTE},{VALUES_TEXT}",
    )
    found = rows(path)
    assert found[0] == FIRST
    assert found[2] == (MARCH + 2 * MINUTE, *VALUES_ROW)
    assert len(found) == 3


def test_bytes_that_are_no_text_spoil_only_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}")
    path.write_bytes(path.read_bytes() + b"\xff\xfe,1,2,3,4,5\n")
    assert rows(path)[0] == FIRST
    assert len(rows(path)) == 2


def test_columns_can_be_given_by_name_and_by_place(tmp_path: Path) -> None:
    named = write(tmp_path / "a.csv", "when,first,top,bottom,last,amount", f"{MARCH},{VALUES_TEXT}")
    names = dict(zip(("ts", "open", "high", "low", "close", "volume"), range(6), strict=True))
    asked: dict[str, Any] = {"ts": "when", "open": "first", "high": "TOP", "low": "bottom", "close": 4}
    assert rows(named, columns={**asked, "volume": "amount"}) == [FIRST]
    assert rows(named, columns=names) == [FIRST]
    coinbase = write(tmp_path / "b.csv", f"1677628800,1,5,2,4,{VALUES_ROW[-1]}")
    placed = rows(coinbase, columns={**names, "low": 1, "high": 2, "open": 3})
    assert placed == [(MARCH, "2", "5", "1", "4", VALUES_ROW[-1])]


def test_the_base_tells_which_volume_is_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "ts,o,h,l,c,Volume BTC,Volume ETH", f"{MARCH},3,5,1,4,7,8")
    assert rows(path, base="ETH")[0][-1] == "8"
    with pytest.raises(AmbiguousFile, match="volume may be in 'Volume BTC', 'Volume ETH'") as ambiguous:
        rows(path)
    assert ambiguous.value.option == "base"


@pytest.mark.parametrize(
    ("lines", "option", "message"),
    [
        ([HEADER, f"20230301,{VALUES_TEXT}"], "time_unit", "the first is '20230301', not of a known unit"),
        ([HEADER, f"01/03/2023 00:00,{VALUES_TEXT}"], "columns", "'01/03/2023 00:00', not ISO 8601"),
        (["ts,o,h,l,c,c,v", f"{MARCH},3,5,1,4,4,7"], "columns", "close may be in 'c', 'c'"),
        (["ts,o,h,l,c,Volume USDT", f"{MARCH},3,5,1,4,7"], "columns", "no column is known to be volume"),
        (["x,o,h,l,c,v", f"{MARCH},3,5,1,4,7"], "columns", "no column is known to be the time"),
        (["o,h,l,c,v,x,x", "1,2,3,4,5,6,7"], "columns", "no column is known to be the time"),
        ([f"{MARCH},1,5,3,4,7", f"{MARCH + MINUTE},1,5,3,4,7"], "columns", "without a header"),
    ],
)
def test_what_may_mean_several_things_is_an_error_that_names_the_argument(
    tmp_path: Path, lines: list[str], option: str, message: str
) -> None:
    with pytest.raises(AmbiguousFile, match=message) as ambiguous:
        rows(write(tmp_path / "a.csv", *lines))
    assert ambiguous.value.option == option
    assert "a.csv" in str(ambiguous.value)
    assert f"{option}=" in str(ambiguous.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n\n  \n", "it is empty"),
        (b"hello\nworld\n", "no line has 6 columns: the first is 'hello'"),
        (b"a,b,c,d,e,f\n1,2,3,4,5,6\n", "no time can be read|no line has prices"),
        (f"{HEADER}\n{MARCH},a,b,c,d,e\n".encode(), "no line has prices"),
        (f"{MARCH};1,5;2,5;1,0;2,0;3,25\n".encode(), "decimal comma"),
        ((f"{HEADER}\n" + "#\n" * 3).encode("utf-16"), "UTF-16"),
        (bytes(range(256)) * 10, "neither text nor"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither text nor"),
        (b"%PDF-1.7 and so on", "PDF"),
        (b"BZh91AY", "bzip2"),
        ((f"{HEADER}\n" + "1" * (MAX_LINE + 1)).encode(), "line 2 is longer than"),
        (b"x" * 10_000_000, "line 1 is longer than"),
    ],
)
def test_what_is_no_candles_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=message):
        rows(path)


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    assert batches(write(tmp_path / "a.csv", HEADER)) == []


def test_a_file_of_several_instruments_is_refused(tmp_path: Path) -> None:
    lines = [f"{name},{MARCH},{VALUES_TEXT}" for name in ("BTC", "BTC", "ETH")]
    with pytest.raises(UnreadableFile, match="row 4 is of 'ETH' and rows before it of 'BTC'"):
        rows(write(tmp_path / "a.csv", f"symbol,{HEADER}", *lines))
    assert rows(write(tmp_path / "b.csv", f"symbol,{HEADER}", *lines[:2])) == [FIRST, FIRST]


def test_a_header_that_comes_again_is_a_row_without_a_time(tmp_path: Path) -> None:
    once = [f"symbol,{HEADER}", f"BTC,{MARCH},{VALUES_TEXT}"]
    found = rows(write(tmp_path / "a.csv", *once, *once))
    assert found[0] == found[2] == FIRST
    assert found[1][0] == "not ISO 8601: open_time"


def test_two_fields_never_share_a_column(tmp_path: Path) -> None:
    named = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}")
    bare = write(tmp_path / "b.csv", f"{MARCH},{VALUES_TEXT}")
    for path in (named, bare):
        with pytest.raises(AmbiguousFile, match="column 4 would be close and volume"):
            rows(path, columns={"volume": 4})


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UnreadableFile, match="cannot be read"):
            rows(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "xml"},
        {"time_unit": "minutes"},
        {"columns": {"price": 1}},
        {"columns": {"open": 1, "close": 1}},
        {"columns": {"open": -1}},
    ],
)
def test_arguments_that_cannot_be_are_refused_at_once(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="="):
        read_minutes(tmp_path / "none.csv", **wrong)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, f"{MARCH},{VALUES_TEXT}")
    with pytest.raises(UnreadableFile, match="not one column is called 'Vol'"):
        rows(path, columns={"volume": "Vol"})
    with pytest.raises(UnreadableFile, match="there is no column 9"):
        rows(path, columns={"volume": 9})
    bare = write(tmp_path / "b.csv", f"{MARCH},{VALUES_TEXT}")
    with pytest.raises(UnreadableFile, match="no header says which column is 'Vol'"):
        rows(bare, columns={"volume": "Vol"})
