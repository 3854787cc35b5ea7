"""``candles export``: folders, files and stdout."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import call_command

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources import DiskSource
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES
from tests.candles.commanding import candles
from tests.candles.helpers import instrument, utc, walk
from tests.support import database_url

pytestmark = pytest.mark.django_db

TEXT = "binance:BTC/USDT"
FOLDER = "binance%3ABTC%2FUSDT"
DAY = (utc(2024, 1, 2), utc(2024, 1, 3))


@pytest.fixture
def market() -> Instrument:
    made = instrument("BTC/USDT")
    write_candles(instrument=made, minutes=walk(3000, gaps=0.02))
    return made


def test_a_folder_of_npz_is_what_the_disk_source_reads(market: Instrument, tmp_path: Path) -> None:
    said = candles("export", TEXT, "--to", tmp_path, "--format", "npz", "--timeframe", "1h",
                   "--timeframe", "4h", "--start", "2024-01-02T00:00Z")  # fmt: skip
    span = ("1h", utc(2024, 1, 2), utc(2024, 1, 4))
    exported = DiskSource(tmp_path).load(TEXT, *span)
    assert len(exported) == 26
    assert exported.fingerprint == TimescaleSource().load(TEXT, *span).fingerprint
    assert said.lines == [
        f"{tmp_path}/{FOLDER}/1h.npz: 26 candles",
        f"{tmp_path}/{FOLDER}/4h.npz: 7 candles",
        "2 files written",
    ]


@pytest.mark.parametrize("to", ["new", "new.d/", "."])
def test_without_a_timeframe_a_folder_gets_all_of_them(market: Instrument, tmp_path: Path, to: str) -> None:
    # A string, since a path would lose its slash.
    said = candles("export", TEXT, "--to", f"{tmp_path}/{to}")
    assert said.lines[-1] == f"{len(TIMEFRAMES)} files written"
    assert {one.name for one in tmp_path.rglob("*.csv")} == {f"{name}.csv" for name in TIMEFRAMES}


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "arrow"])
def test_a_file_holds_the_range_exactly(market: Instrument, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"day.{kind}"
    said = candles("export", TEXT, "--to", path, "--timeframe", "5m",
                   "--start", "2024-01-02T00:00Z", "--end", "2024-01-03T00:00Z")  # fmt: skip
    expected = TimescaleSource().load(TEXT, "5m", *DAY)
    assert said.lines == [f"{path}: 288 candles"]
    if kind == "npz":
        close = np.load(path)["close"]
    elif kind == "csv":
        close = np.array([float(line.split(",")[4]) for line in path.read_text().splitlines()[1:]])
    else:
        table = pq.read_table(path) if kind == "parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()
        assert table.schema.metadata[b"fingerprint"].decode() == expected.fingerprint
        close = table["close"].to_numpy()
    assert close.tobytes() == expected.close.tobytes()


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "arrow"])
def test_stdout_gets_the_bytes_of_the_file_and_nothing_else(
    market: Instrument, tmp_path: Path, kind: str
) -> None:
    candles("export", TEXT, "--to", tmp_path / f"x.{kind}", "--timeframe", "1d")
    raw, err = BytesIO(), StringIO()
    arguments = ["export", TEXT, "--to", "-", "--timeframe", "1d", "--format", kind]
    # Held, since it closes what it wraps when it is let go of.
    stdout = TextIOWrapper(raw, write_through=True)
    call_command("candles", *arguments, stdout=stdout, stderr=err)
    raw.seek(0)
    if kind == "npz":
        there = np.load(tmp_path / "x.npz")
        assert {name: array.tobytes() for name, array in np.load(raw).items()} == {
            name: array.tobytes() for name, array in there.items()
        }
    else:
        assert raw.getvalue() == (tmp_path / f"x.{kind}").read_bytes()
    assert "1 of 1" in err.getvalue()


@pytest.mark.usefixtures("shared_candles")
def test_a_reader_that_has_enough_is_no_trouble() -> None:
    write_candles(instrument=instrument("BTC/USDT"), minutes=walk(5000))
    command = [
        sys.executable, "manage.py", "candles", "export", TEXT, "--to", "-", "--timeframe", "1m", "--quiet",
    ]  # fmt: skip
    environ = {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "project.settings.test",
               "REDIS_URL": settings.REDIS_URL, "PATH": "/usr/bin:/bin"}  # fmt: skip
    with subprocess.Popen(
        command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
        status = process.wait(60)
    assert first == b"ts,open,high,low,close,volume\n"
    assert (status, told) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["binance:NONE/USDT", "--to", "x"], "INSTRUMENT: binance:NONE/USDT is not known"),
        (["BTCUSDT", "--to", "x"], "INSTRUMENT"),
        ([TEXT, "--to", "x", "--timeframe", "2h"], "--timeframe"),
        ([TEXT, "--to", "x", "--start", "2024-01-02"], "--start"),
        ([TEXT, "--to", "x", "--end", "soon"], "--end"),
        ([TEXT, "--to", "x", "--start", "2024-01-02T00:00Z", "--end", "2024-01-01T00:00Z"], "--start"),
        ([TEXT, "--to", "x.npz"], "--timeframe: a file holds one"),
        ([TEXT, "--to", "-", "--timeframe", "1h", "--timeframe", "1d"], "--timeframe: a file holds one"),
        ([TEXT, "--to", "x.npz", "--timeframe", "1h", "--format", "csv"], "--format: csv"),
        (["binance:EMPTY/USDT", "--to", "x"], "nothing is stored of binance:EMPTY/USDT"),
        ([TEXT], "--to"),
    ],
)
def test_an_export_that_makes_no_sense_writes_nothing(
    market: Instrument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    instrument("EMPTY/USDT")
    monkeypatch.chdir(tmp_path)
    said = candles("export", *arguments)
    assert said.status != 0
    assert words in said.error
    assert list(tmp_path.iterdir()) == []


def test_a_range_without_candles_is_a_file_without_lines(market: Instrument, tmp_path: Path) -> None:
    said = candles("export", TEXT, "--to", tmp_path / "x.csv", "--timeframe", "1m",
                   "--start", "2025-01-02T00:00Z")  # fmt: skip
    assert (said.status, said.lines) == (0, [f"{tmp_path}/x.csv: 0 candles"])
    assert (tmp_path / "x.csv").read_text() == "ts,open,high,low,close,volume\n"
