"""What the commands of candles say: bars on a terminal, lines elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.candles.cli.output import Bars, Output
from apps.candles.management.commands.candles import Command
from tests.candles.commanding import candles, rows, write_csv
from tests.candles.helpers import instrument, walk

pytestmark = pytest.mark.django_db

TEXT = "binance:BTC/USDT"


class Terminal(StringIO):
    """What a command takes for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    instrument("BTC/USDT")
    lines = rows(walk(30))
    lines[3][2] = "x"
    return write_csv(tmp_path / "minutes.csv", lines)


def test_a_terminal_is_shown_bars_and_the_result_is_beside_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out, err = StringIO(), Terminal()
    bad = file.with_name("bad.csv")
    bad.write_text("nothing\n")
    with pytest.raises(CommandError):
        call_command("candles", "import", str(file), str(bad), "--instrument", TEXT, stdout=out, stderr=err)
    shown = err.getvalue()
    assert "\x1b[" in shown
    assert "━" in shown
    assert "100%" in shown
    assert "bad.csv: no line has 6 columns" in shown
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().startswith("minutes.csv: 30 rows: 29 new")


def test_results_come_after_the_bars_where_both_are_shown(file: Path) -> None:
    screen = Terminal()
    arguments = ("import", str(file), str(file), "--instrument", TEXT, "--allow-rejects")
    call_command("candles", *arguments, stdout=screen, stderr=screen)
    shown = screen.getvalue()
    assert shown.count("minutes.csv: 30 rows") == 2
    assert shown.index("minutes.csv: 30 rows") > shown.rindex("━")


def test_elsewhere_it_is_lines_without_marks(file: Path) -> None:
    said = candles("import", file, "--instrument", TEXT)
    size = file.stat().st_size
    assert said.err.splitlines() == [
        f"minutes.csv: {size:,} of {size:,}, 100%",
        "roll-ups: refreshed",
    ]
    assert "\x1b" not in said.out + said.err


def test_quiet_says_nothing_but_results_and_trouble(file: Path) -> None:
    said = candles("import", file, "--instrument", TEXT, "--quiet")
    assert said.err == ""
    assert said.lines
    bad = file.with_name("bad.csv")
    bad.write_text("nothing\n")
    assert "no line has 6 columns" in candles("import", bad, "--instrument", TEXT, "--quiet").err


def test_lines_come_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    err = StringIO()
    command = Command(stdout=StringIO(), stderr=err)
    output = Output(command.stdout, command.stderr, quiet=False)
    bar = Bars(output, None).add("work", 1000)
    for done in range(1001):
        bar(done, note="steps")
    bar.end("well")
    assert err.getvalue().splitlines() == ["work: 1,000 of 1,000, 100%, well"]
    monkeypatch.setattr("apps.candles.cli.output._EVERY", 0)
    bar = Bars(output, None).add("more")
    bar(1, 4, "steps")
    bar.end()
    assert err.getvalue().splitlines()[1:] == ["more: 1 of 4, 25%, steps", "more: 1 of 4, 25%"]


@pytest.mark.parametrize(
    "command",
    ["sync-markets", "backfill", "sync", "import", "export", "gaps", "repair", "verify", "refresh"],
)
def test_every_command_says_what_it_is_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("candles", command, "--help")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
