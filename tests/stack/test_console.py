from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from apps.stack.console import Console, LogFile


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_of_processes_are_shown_only_when_asked_for() -> None:
    output = io.StringIO()
    console = Console(output)
    console.log("web", "quiet")
    console.show_logs = True
    console.log("web", "loud")
    assert output.getvalue() == "web      | loud\n"


def test_each_process_has_a_colour_of_its_own_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    output = _Terminal()
    console = Console(output, show_logs=True)
    for name in ("web", "worker", "web"):
        console.log(name, "x")
    first, second, third = output.getvalue().splitlines()
    assert first == third
    assert first.startswith("\x1b[")
    assert first[:5] != second[:5]


def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output = _Terminal()
    Console(output, show_logs=True).log("web", "x")
    assert "\x1b" not in output.getvalue()


def test_a_reader_who_has_gone_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        console = Console(stream)
        console.say("to nobody")
        console.say("and again")


def test_only_whole_lines_are_taken_from_a_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "web.log")
    assert list(log.lines()) == []
    with log.path.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert list(log.lines()) == ["one"]
        file.write(b"o\r\n\xff\n")
        assert list(log.lines()) == ["two", "�"]


def test_a_log_that_grows_too_large_is_put_aside_under_a_running_process(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "web.log", limit=1000)
    with log.path.open("ab", buffering=0) as process:
        process.write(b"x" * 999 + b"\ny\n")
        assert len(list(log.lines())) == 2
        assert log.path.stat().st_size == 0
        assert (tmp_path / "web.log.1").stat().st_size == 1002
        process.write(b"after\n")
        assert list(log.lines()) == ["after"]
    assert log.path.read_text() == "after\n"
