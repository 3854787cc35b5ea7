"""The rows that were not taken, beside the file that they are from."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from apps.candles.files import RejectsFile, read_minutes
from apps.candles.quality import sift_minutes
from tests.candles.files.helpers import HEADER, MARCH, MINUTE, NOW, VALUES_TEXT, write

GOOD = f"{MARCH},{VALUES_TEXT}"
SHORT = f"{MARCH + MINUTE},1,2"
ODD = f'{MARCH + 2 * MINUTE},3,9,1,"ab""c",7,"more, and more"'
TIMELESS = f"yesterday,{VALUES_TEXT}"


def sift(path: Path) -> RejectsFile:
    with RejectsFile(path) as rejects:
        for batch in read_minutes(path):
            sifted = sift_minutes(
                batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8
            )
            rejects.write(batch, sifted.rejected)
    return rejects


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.reader(file))


def test_each_row_is_listed_with_its_line_reason_and_all_that_is_in_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, GOOD, "", SHORT, ODD, TIMELESS)
    rejects = sift(path)
    assert (rejects.count, rejects.path) == (3, tmp_path / "a.csv.rejects.csv")
    header, short, odd, timeless = read(rejects.path)
    assert header == ["line", "reason", "message", "raw"]
    assert short == ["4", "short_row", "has 3 of 6 columns", str(MARCH + MINUTE), "1", "2"]
    assert odd[:3] == ["5", "not_a_number", "close is no number: 'ab\"c'"]
    assert odd[3:] == [str(MARCH + 2 * MINUTE), "3", "9", "1", 'ab"c', "7", "more, and more"]
    assert timeless[:2] == ["6", "no_time"]
    assert timeless[2:] == [
        "has no open time: 'not ISO 8601: yesterday'",
        "yesterday",
        *VALUES_TEXT.split(","),
    ]


def test_lines_of_an_archive_are_listed_with_their_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", f"{GOOD}\n{SHORT}\n")
        archive.writestr("y.csv", f"{HEADER}\n{GOOD}\n{SHORT}\n")
    assert [row[0] for row in read(sift(path).path)] == ["line", "x.csv:2", "y.csv:3"]


def test_bytes_that_are_no_text_are_kept_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, GOOD)
    path.write_bytes(path.read_bytes() + b"\xff\xfe,1,2,3,4,5\n")
    assert b"\xff\xfe,1,2,3,4,5" in sift(path).path.read_bytes()


def test_halves_of_characters_that_stand_for_no_byte_are_marked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, SHORT)
    [batch] = read_minutes(path)
    odd = replace(batch, raw=[("a\ud800b", "\udcff", "\udfff")])
    sifted = sift_minutes(batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8)
    with RejectsFile(path) as rejects:
        rejects.write(odd, sifted.rejected)
    assert read(rejects.path)[1][3:] == ["a\ufffdb", "\udcff", "\ufffd"]


def test_no_rejects_leave_no_file_and_take_away_that_of_an_earlier_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, GOOD, SHORT)
    assert sift(path).path.exists()
    write(path, HEADER, GOOD)
    assert sift(path).count == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_replaces_the_rejects_of_an_earlier_one_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, GOOD, SHORT, SHORT)
    before = sift(path).path.read_text()
    write(path, HEADER, GOOD, TIMELESS)
    [batch] = read_minutes(path)
    sifted = sift_minutes(batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8)
    with RejectsFile(path) as rejects:
        rejects.write(batch, sifted.rejected)
        assert rejects.path.read_text() == before
    assert [row[0] for row in read(rejects.path)] == ["line", "3"]
    assert sorted(tmp_path.iterdir()) == [path, rejects.path]


def test_what_was_rejected_before_a_failure_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, GOOD, SHORT)
    [batch] = read_minutes(path)
    sifted = sift_minutes(batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8)
    with pytest.raises(RuntimeError), RejectsFile(path) as rejects:
        rejects.write(batch, sifted.rejected)
        raise RuntimeError
    assert len(read(rejects.path)) == 2
    with pytest.raises(RuntimeError), RejectsFile(path):
        raise RuntimeError
    assert len(read(rejects.path)) == 2
