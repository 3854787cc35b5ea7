"""``manage.py backtest``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import OperationalError

from apps.backtests import services
from apps.backtests.engine import SCHEMA, Bars, Spec, certify, run
from apps.backtests.management.commands import backtest as command
from apps.backtests.report.cli import specfile, tables
from apps.backtests.report.cli.places import place
from apps.backtests.report.document import report_document
from apps.candles.cli.output import Output
from apps.candles.services import write_candles
from apps.candles.sources import stored
from apps.candles.sources.disk import npz_path
from apps.candles.timeframes import to_datetime
from apps.tasks.testing import run_pending
from tests.backtests.report.running import MINUTE, NAME, NEW_YEAR, SPEC, outcome, walk
from tests.candles.commanding import Said
from tests.candles.helpers import instrument
from tests.candles.helpers import walk as minutes

BARS = 3_000
CROSS = {"strategy": "sma_cross", "params": {"fast": 20, "slow": 40, "direction": "long_short"}}


def kept(root: Path, bars: Bars, name: str = NAME, timeframe: str = "1m") -> Path:
    """Bars as a `DiskSource` reads them."""
    path = npz_path(root, name, timeframe)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {column: getattr(bars, column) for column in ("ts", "open", "high", "low", "close", "volume")}
    np.savez(path, **columns)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    kept(tmp_path / "data", walk(BARS))
    return tmp_path / "data"


def spec(folder: Path, text: str = "", **changes: Any) -> Path:
    """SPEC.json of this text, or of a cross with changes."""
    values = {**CROSS, "costs": {"taker": 1e-5}, "instrument": NAME, "timeframe": "1m", **changes}
    path = folder / "cross.json"
    path.write_text(text or json.dumps({key: value for key, value in values.items() if value is not None}))
    return path


def backtest(*given: Any) -> Said:
    out, err = StringIO(), StringIO()
    status, error = 0, ""
    try:
        call_command("backtest", *map(str, given), stdout=out, stderr=err)
    except CommandError as exc:
        status, error = exc.returncode, str(exc)
    return Said(out=out.getvalue(), err=err.getvalue(), status=status, error=error)


def on_disk(root: Path, path: Path, *more: Any) -> Said:
    return backtest(path, "--source", "disk", "--root", root, *more)


def test_files_are_run_printed_and_reported(root: Path, tmp_path: Path) -> None:
    said = on_disk(root, spec(tmp_path), "--json", tmp_path / "out.json")
    assert (said.status, said.error) == (0, "")
    result = run(walk(BARS), SPEC)
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["identity"]["fingerprint"] == result.fingerprint
    values = {item["name"]: item["value"] for part in document["metrics"] for item in part["items"]}
    assert values == result.metrics
    assert said.lines[0] == f"Moving-average crossover on {NAME} 1m, 3,000 bars"
    assert f"{result.metrics['final_equity']:,.2f}" in said.out
    assert re.search(rf"^Trades +{len(result.trades)}$", said.out, re.MULTILINE)
    assert re.search(rf"^fingerprint +{result.fingerprint}$", said.out, re.MULTILINE)
    for part in ("candles", "signals", "simulation", "certificate"):
        assert re.search(rf"^{part} +\d+ ms$", said.out, re.MULTILINE)
    certificate = certify(walk(BARS), SPEC.definition, SPEC.params)
    assert document["certificate"] == certificate
    assert certificate["holds"] is True
    cuts = ", ".join(f"{cut:,}" for cut in certificate["cuts"])
    assert f"no signal looks ahead: the first {cuts} bars decide the same" in said.out
    assert said.lines[-2:] == [str(tmp_path / "cross.html"), str(tmp_path / "out.json")]
    page = (tmp_path / "cross.html").read_text()
    assert result.fingerprint in page
    assert "3,000 of 3,000, 100%" in said.err


def test_it_needs_no_database_and_runs_uncompiled_to_the_same_result(root: Path, tmp_path: Path) -> None:
    asked = [sys.executable, "manage.py", "backtest", spec(tmp_path), "--source", "disk", "--root", root]
    nowhere = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    done = subprocess.run(
        [*asked, "--no-numba", "--no-report", "--quiet"],
        cwd=settings.BASE_DIR, env=nowhere, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert run(walk(BARS), SPEC).fingerprint in done.stdout
    assert "compiling" not in done.stdout
    assert not list(tmp_path.glob("*.html"))


def test_the_command_line_wins_over_the_file(root: Path, tmp_path: Path) -> None:
    other = "binance:ETH/USDT"
    kept(root, walk(BARS, seed=5), other)
    path = spec(tmp_path, timeframe="4h", start="2020-01-01T00:00Z", end="2020-02-01T00:00Z")
    said = on_disk(
        root, path, "--instrument", other, "--timeframe", "1m", "--report", tmp_path / "mine.html",
        "--start", "2025-01-01T10:00Z", "--end", "2025-01-02T10:00Z",
    )  # fmt: skip
    assert said.lines[0].endswith(f"on {other} 1m, 1,440 bars")
    assert said.lines[-1] == str(tmp_path / "mine.html")
    assert not (tmp_path / "cross.html").exists()


def test_missing_bars_are_told(root: Path, tmp_path: Path) -> None:
    bars = walk(BARS)
    there = np.arange(BARS) % 100 != 7
    columns = {name: getattr(bars, name)[there] for name in ("open", "high", "low", "close", "volume")}
    kept(root, Bars(ts=bars.ts[there], **columns, step=MINUTE))
    said = on_disk(root, spec(tmp_path))
    assert said.status == 0
    assert f"{NAME}: 30 bars of the range missing, 2,970 bars there" in said.err


OTHER = "binance:ETH/USDT"
TWO = {"instrument": None, "instruments": [NAME, OTHER], "sizing": {"value": 0.4}}


def said_of(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    values = {item["name"]: item["value"] for part in document["metrics"] for item in part["items"]}
    return document["identity"]["fingerprint"], values


def test_several_instruments_share_one_account(root: Path, tmp_path: Path) -> None:
    kept(root, walk(BARS, seed=5), OTHER)
    said = on_disk(root, spec(tmp_path, **TWO), "--json", tmp_path / "out.json")
    assert (said.status, said.error) == (0, "")
    document = json.loads((tmp_path / "out.json").read_text())
    data = {NAME: walk(BARS), OTHER: walk(BARS, seed=5)}
    result = run(data, Spec.from_dict(SPEC.as_dict() | {"sizing": {"value": 0.4}}))
    assert said_of(document) == (result.fingerprint, result.metrics)
    assert document["instruments"] == [NAME, OTHER]
    assert set(document["trades"]["instrument"]) == {0, 1}
    assert document["certificate"] == {
        name: certify(bars, SPEC.definition, SPEC.params) for name, bars in data.items()
    }
    assert said.lines[0].endswith(f"on {NAME}, {OTHER} 1m, 3,000 bars")
    for name in data:
        assert re.search(rf"^{name} +no signal looks ahead", said.out, re.MULTILINE)


def coarse(bars: Bars, width: int) -> Bars:
    """Every *width* bars made one."""

    def rows(column: Any) -> Any:
        return column.reshape(-1, width)

    return Bars(
        ts=bars.ts[::width], open=bars.open[::width], high=rows(bars.high).max(1), low=rows(bars.low).min(1),
        close=bars.close[width - 1 :: width], volume=rows(bars.volume).sum(1), step=width * MINUTE,
    )  # fmt: skip


@pytest.mark.parametrize("several", [False, True])
def test_orders_are_filled_on_finer_bars_of_files(root: Path, tmp_path: Path, several: bool) -> None:
    given = {NAME: walk(BARS)} | ({OTHER: walk(BARS, seed=5)} if several else {})
    for name, bars in given.items():
        kept(root, bars, name)
        kept(root, coarse(bars, 5), name, "5m")
    changes = {
        "timeframe": "5m", "params": {"fast": 3, "slow": 6}, "execution": {"detail": "1m"},
        "risk": {"stop_loss": {"pct": 0.001}}, **(TWO if several else {}),
    }  # fmt: skip
    path = spec(tmp_path, **changes)
    said = on_disk(root, path, "--json", tmp_path / "out.json")
    assert (said.status, said.error) == (0, "")
    document = json.loads((tmp_path / "out.json").read_text())
    asked = json.loads(path.read_text())
    names = ("strategy", "params", "costs", "execution", "risk", "sizing")
    wanted = Spec.from_dict({name: asked[name] for name in names if name in asked})
    data = {name: coarse(bars, 5) for name, bars in given.items()}
    result = run(data if several else data[NAME], wanted, detail=given if several else given[NAME])
    assert said_of(document) == (result.fingerprint, result.metrics)
    assert document["identity"]["data_fingerprint"] == result.data_fingerprint
    assert len(document["prices"][0]["ts"]) == BARS // 5
    assert document["equity"]["ts"][-1] == given[NAME].ts[-1]
    assert "stop_loss" in document["trades"]["reasons"]


@pytest.mark.django_db
def test_the_database_gives_several_instruments_and_finer_bars(tmp_path: Path) -> None:
    for seed, symbol in enumerate(("BTC/USDT", "ETH/USDT")):
        write_candles(instrument=instrument(symbol), minutes=minutes(BARS, start=NEW_YEAR, seed=seed))
    changes = {**TWO, "timeframe": "15m", "params": {"fast": 3, "slow": 6}, "execution": {"detail": "1m"}}
    path = spec(tmp_path, **changes, end="2025-01-03T00:00Z")
    said = backtest(path, "--json", tmp_path / "out.json")
    assert (said.status, said.error) == (0, "")
    document = json.loads((tmp_path / "out.json").read_text())
    assert [len(prices["ts"]) for prices in document["prices"]] == [192, 192]
    assert document["equity"]["ts"][-1] == NEW_YEAR + 2 * 86_400_000 - MINUTE
    assert set(document["trades"]["instrument"]) == {0, 1}
    assert all(one["holds"] for one in document["certificate"].values())
    # The service says the same of the same candles.
    owner = get_user_model().objects.create_user("alice")
    asked = {key: value for key, value in json.loads(path.read_text()).items() if key in SCHEMA["properties"]}
    ours = services.backtest_request(
        owner_id=owner.pk, instruments=[NAME, OTHER], timeframe="15m", start=to_datetime(NEW_YEAR),
        end=to_datetime(NEW_YEAR + 2 * 86_400_000), spec=asked,
    )  # fmt: skip
    run_pending()
    ours.refresh_from_db()
    assert ours.result.fingerprint == document["identity"]["fingerprint"]
    assert ours.result.certificate == document["certificate"]


@pytest.mark.django_db
def test_the_database_is_read_by_default(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=minutes(BARS, start=NEW_YEAR))
    said = backtest(spec(tmp_path))
    assert (said.status, said.error) == (0, "")
    assert said.lines[0].endswith("3,000 bars")


@pytest.mark.django_db
@pytest.mark.parametrize("end", [None, "2025-01-02T11:30Z"])
def test_a_bar_that_has_not_ended_is_left_out(tmp_path: Path, end: str | None) -> None:
    """The database's last minute has to be there as well, which takes a while."""
    kept(tmp_path / "data", walk(36, step=60 * MINUTE), timeframe="1h")
    write_candles(instrument=instrument("BTC/USDT"), minutes=minutes(36 * 60 - 5, start=NEW_YEAR))
    path = spec(tmp_path, timeframe="1h", params={"fast": 3, "slow": 6}, start="2025-01-01T00:00Z", end=end)
    hours = []
    for now in ("2025-01-02T11:01Z", "2025-01-02T11:03Z"):
        with time_machine.travel(datetime.fromisoformat(now), tick=False):
            hours.append(
                [each(path, "--no-report") for each in (backtest, partial(on_disk, tmp_path / "data"))]
            )
    assert [[one.status for one in said] for said in hours] == [[0, 0], [0, 0]]
    bars = [[one.lines[0].rpartition(", ")[2] for one in said] for said in hours]
    assert bars == [["34 bars", "35 bars"], ["35 bars", "35 bars"]]


def test_a_database_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def available(self, instrument: str) -> Any:
            raise OperationalError("connection refused\n")

    monkeypatch.setattr(stored, "stored_source", Gone)
    said = backtest(spec(tmp_path))
    assert (said.status, said.error) == (1, "the database: connection refused")


def test_finer_bars_that_are_not_there_are_told_by_what_asked_for_them(tmp_path: Path) -> None:
    kept(tmp_path / "data", coarse(walk(300), 5), timeframe="5m")
    said = on_disk(tmp_path / "data", spec(tmp_path, timeframe="5m", execution={"detail": "1m"}))
    assert (said.status, said.error.partition(":")[0]) == (2, "execution.detail")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--json", "cross.json"], "--json: cross.json is read by this run"),
        (["--report", "link.html"], "--report: link.html is read by this run"),
        (["--json", "mine.strategy"], "--json: mine.strategy is read by this run"),
        (["--json", "cross.html"], "--json: cross.html is written by --report"),
        (["--json", "./out", "--report", "out"], "--json: out is written by --report"),
    ],
)
def test_no_file_is_written_over_another(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.strategy").write_text("strategy mine\nenter long when close > open\n")
    path = spec(Path(), strategy="mine.strategy", params=None)
    Path("link.html").symlink_to(path)
    before = {each: each.read_bytes() for each in Path().iterdir() if each.is_file()}
    said = on_disk(root, path, *more)
    assert (said.status, said.error) == (2, error)
    assert {each: each.read_bytes() for each in Path().iterdir() if each.is_file()} == before


def test_what_it_came_to_is_printed_before_anything_is_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = command.replacing

    def stopped(path: Path) -> Any:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        return write(path)

    monkeypatch.setattr(command, "replacing", stopped)
    said = on_disk(root, spec(tmp_path), "--json", tmp_path / "out.json")
    assert (said.status, said.error) == (130, "stopped")
    assert run(walk(BARS), SPEC).fingerprint in said.out
    # Where it was stopped, one file of two was there already.
    assert said.lines[-1] == str(tmp_path / "cross.html")
    assert (tmp_path / "cross.html").exists()
    assert not (tmp_path / "out.json").exists()


def test_the_last_trades_are_the_last_of_all() -> None:
    bars = walk(BARS)
    found = outcome(bars)
    document = report_document(
        bars={NAME: bars}, outcome=found, spec=SPEC.as_dict(), timeframe="1m", trades=40
    )
    out = StringIO()
    tables.show(document, found.trades, {}, Output(OutputWrapper(out), OutputWrapper(StringIO()), quiet=True))
    rows = [line.split() for line in out.getvalue().splitlines() if re.match(r"\d+ +(long|short) ", line)]
    total = len(found.trades)
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5, *range(total - 4, total + 1)]
    left = to_datetime(int(found.trades.exit_time[-1]))
    assert rows[-1][4:6] == [f"{left:%Y-%m-%d}", f"{left:%H:%M}"]


#: The beginning of a specification that is right so far.
SOUND = '{"strategy": "sma_cross", "params": {"fast": 1, "slow": 2}, '


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{\n  'a': 1}", r":2:3: no JSON: "),
        ("[]", r": expected an object"),
        ('{"cash": NaN}', r": NaN is no number of JSON"),
        ('{"cash": 1, "cash": 2}', r": a name stands twice"),
        ("[" * 100_000, r": too deeply nested"),
        ('{"strategy": "sma_cross",\n "costs": {"taker": 9}}', r":2:12: costs\.taker must be at most"),
        ('{"strategy": "sma_cross", "parms": {}}', r":1:27: parms "),
        ('{"strategy": "sma_cross", "params": {"fast": 1}}', r":1:27: params\.slow "),
        ('{"strategy": "nothing"}', r":1:2: strategy must be one of"),
        (SOUND + '"start": "soon"}', r":1:61: start is not a time"),
        (SOUND + '"start": 5}', r":1:61: start must be text"),
        (SOUND + '"instruments": "a"}', "must be a list"),
        (SOUND + '"instrument": "a", "instruments": ["b"]}', "instruments cannot stand beside instrument"),
    ],
)  # fmt: skip
def test_a_bad_specification_is_refused_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    path = spec(tmp_path, text)
    said = on_disk(tmp_path, path)
    assert said.status == 2
    assert re.search(error, said.error.removeprefix(str(path))), said.error
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "more", "status", "error"),
    [
        ({"instrument": None}, [], 2, "--instrument: name one"),
        ({"timeframe": None}, [], 2, "--timeframe: name one"),
        ({"timeframe": "7m"}, [], 2, "--timeframe: '7m' is none"),
        ({"timeframe": "5m"}, [], 2, "--timeframe: there are no bars of 5m"),
        ({"execution": {"detail": "1m"}}, [], 2, "execution.detail: '1m' is no timeframe that is finer"),
        ({"execution": {"detail": "7s"}}, [], 2, "execution.detail: '7s' is no timeframe that is finer"),
        ({"instrument": None, "instruments": [NAME, "binance:ETH/BTC"]}, [], 2, "--instrument: one account"),
        ({"instrument": "binance:NO/USDT"}, [], 2, "--instrument: 'binance:NO/USDT' is not"),
        ({"instrument": "../etc"}, [], 2, "--instrument: '../etc' is not"),
        ({}, ["--start", "2030-01-01T00:00Z"], 2, "--start: no bars lie"),
        ({}, ["--start", "2025-01-02T00:00Z", "--end", "2025-01-01T00:00Z"], 2, "start: it is not before"),
        ({}, ["--start", "2024-01-01T00:00Z", "--end", "2024-01-02T00:00Z"], 1, f"{NAME}: there are no bars"),
        ({}, ["--report", "/nowhere/at/all.html"], 1, "/nowhere/at/all.html: "),
    ],
)
def test_what_cannot_be_run_is_said(
    root: Path, tmp_path: Path, changes: dict[str, Any], more: list[str], status: int, error: str
) -> None:
    said = on_disk(root, spec(tmp_path, **changes), *more)
    assert (said.status, said.error[: len(error)]) == (status, error)
    assert not (tmp_path / "cross.html").exists()


def test_files_that_are_broken_or_named_to_the_database_are_refused(root: Path, tmp_path: Path) -> None:
    assert backtest(spec(tmp_path), "--root", root).error == "--root: of --source disk only"
    assert backtest(spec(tmp_path), "--source", "disk").error == "--root: say where the files are"
    npz_path(root, NAME, "1m").write_bytes(b"PK broken")
    said = on_disk(root, spec(tmp_path))
    assert (said.status, said.error[:26]) == (1, "the candles cannot be read")
    missing = on_disk(root, tmp_path / "none.json")
    assert missing.status == 2
    assert "No such file" in missing.error


def test_a_strategy_may_be_a_file_beside_the_specification(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{\n"strategy" 1}')
    path = spec(tmp_path, strategy="mine.json")
    options = {"instrument": None, "timeframe": None, "start": None, "end": None}
    with pytest.raises(CommandError, match=re.escape(f"{tmp_path / 'mine.json'}:2:12: no JSON")):
        specfile.read(path, options)
    (tmp_path / "mine.strategy").write_text("no strategy")
    path = spec(tmp_path, strategy="mine.strategy")
    with pytest.raises(CommandError, match=re.escape(f"{tmp_path / 'mine.strategy'}: strategy")):
        specfile.read(path, options)
    (tmp_path / "mine.strategy").unlink()
    with pytest.raises(CommandError, match=re.escape(f"{path}:1:2: strategy")):
        specfile.read(path, options)


def test_places_are_found_in_objects_lists_and_above() -> None:
    text = '{"a": [1, {"b": {"c": "}{"}}],\n  "d\\u0065": {"f,": [[], 2], "g": null}}'
    lines = text.splitlines()

    def at(field: str) -> str | None:
        found = place(text, field)
        return None if found is None else lines[found[0] - 1][found[1] - 1 :]

    assert at("a.1.b.c") == '"c": "}{"}}],'
    assert at("de.g") == '"g": null}}'
    assert at("de.missing.deeper") == lines[1].lstrip()
    assert at("a.7") == lines[0][1:]
    assert at("other") is None
