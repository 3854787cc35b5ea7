"""Figures, goals and how they are shown; peers that are installed when absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from apps.stack.folders import CHECKOUT
from tests.benchmarks import every, peers, report
from tests.benchmarks.__main__ import chosen, parse
from tests.benchmarks.areas import AREAS, PEERS
from tests.benchmarks.experiment import Failed
from tests.benchmarks.figures import Figure, Goal, Kind, Row, missed
from tests.stack.test_bootstrap import wheels

__all__ = ["wheels"]


def row(ours: list[float], peer: list[float], goal: Goal | None = None, name: str = "speed") -> Row:
    figure = Figure(name=name, what="how fast", unit="tasks/s", peer="a snail", goal=goal)
    return Row(figure=figure, ours=ours, peer=peer)


@pytest.mark.parametrize(
    ("kind", "value", "ours", "peer", "holds"),
    [
        (Kind.RATIO_AT_LEAST, 8, 800, 100, True),
        (Kind.RATIO_AT_LEAST, 8, 799, 100, False),
        (Kind.RATIO_AT_MOST, 1.5, 15, 10, True),
        (Kind.RATIO_AT_MOST, 1.5, 16, 10, False),
        (Kind.OURS_AT_LEAST, 90, 90, 10, True),
        (Kind.OURS_AT_LEAST, 90, 89, 10, False),
        (Kind.OURS_AT_MOST, 0.5, 0.5, 3, True),
        (Kind.OURS_AT_MOST, 0.5, 0.6, 3, False),
        (Kind.EXCESS_AT_MOST, 4, 10, 6, True),
        (Kind.EXCESS_AT_MOST, 4, 11, 6, False),
    ],
)
def test_goals(kind, value, ours, peer, holds):
    assert Goal(kind=kind, value=value).holds(ours, peer) is holds


def test_a_row_speaks_of_medians_and_without_a_goal_misses_none():
    measured = row([1.0, 100.0, 8.0], [1.0, 2.0, 50.0], Goal(kind=Kind.RATIO_AT_LEAST, value=4))
    assert (measured.ratio, measured.holds) == (4.0, True)
    shown = row([1.0], [2.0])
    assert shown.holds is None
    slow = row([1.0], [1.0], Goal(kind=Kind.RATIO_AT_LEAST, value=4), name="slow")
    assert missed([measured, shown, slow]) == ["slow"]


def test_the_table_has_a_line_for_each_figure():
    goal = Goal(kind=Kind.RATIO_AT_LEAST, value=2)
    rows = [row([23456.7], [1234.5], goal, "fast"), row([0.0123], [0.1], goal, "slow"), row([1.0], [2.0])]
    head, fast, slow, shown = report.table(rows).splitlines()
    assert head.split() == ["name", "ours", "peer", "unit", "ratio", "goal", "holds"]
    assert fast.split() == ["fast", "23,457", "1,234", "tasks/s", "19.00", "ratio", "≥", "2", "yes"]
    assert slow.split() == ["slow", "0.0123", "0.1", "tasks/s", "0.12", "ratio", "≥", "2", "NO"]
    assert shown.split() == ["speed", "1", "2", "tasks/s", "0.50"]
    assert "how fast; peer: a snail" in report.legend(rows)


def test_a_remark_stands_in_the_legend_and_what_is_left_out_below_with_its_reason():
    measured = row([1.0], [2.0])
    measured.remark = "on real minutes"
    assert report.legend([measured]).endswith("how fast; peer: a snail; on real minutes")
    assert measured.as_json()["remark"] == "on real minutes"
    left_out = {"far": "no road", "high": "no stairs", "wide": "no road"}
    assert report.omissions(left_out) == "left out: far, wide: no road\nleft out: high: no stairs"


def test_json_holds_every_sample():
    encoded = json.loads(json.dumps(row([1.0, 3.0], [0.0, 0.0]).as_json()))
    assert encoded["samples"] == {"ours": [1.0, 3.0], "peer": [0.0, 0.0]}
    assert (encoded["ours"], encoded["peer"], encoded["ratio"], encoded["holds"]) == (2.0, 0.0, None, None)


# Peers -------------------------------------------------------------------------------------------


def test_only_what_is_absent_is_missing(tmp_path):
    file = tmp_path / "bench.txt"
    file.write_text("# a comment\n\npytest>=8,<99  # here\nno-such_package[extra]>=1,<2  # not here\n")
    assert peers.missing(file) == ["no-such_package"]
    assert peers.missing(file, only=["no-such_package", "another"]) == ["no-such_package"]
    assert peers.missing(file, only=["pytest"]) == []
    assert peers.REQUIREMENTS.is_file()


def test_what_is_absent_is_installed_once(tmp_path, wheels, monkeypatch):
    for key in [key for key in os.environ if key.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    file = tmp_path / "bench.txt"
    file.write_text("tinypackage>=1,<2  # a peer\nno-such-package>=1,<2  # of another area\n")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    said: list[str] = []
    peers.ensure(said.append, requirements=file, only=["tinypackage"], python=python)
    assert said[0] == "installing what we are compared with: tinypackage"
    subprocess.run([python, "-c", "import tinypackage"], check=True)
    file.write_text("pytest>=8,<99  # here\n")
    said.clear()
    peers.ensure(said.append, requirements=file, python=python)
    assert said == []


def test_every_area_says_what_it_needs_of_the_peers():
    assert set(PEERS) == set(AREAS)
    assert set().union(*PEERS.values()) == set(peers.lines())


# The command -------------------------------------------------------------------------------------


def bench(*arguments: str, timeout: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "bench", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_command_says_what_it_takes():
    answer = bench("--help")
    assert answer.returncode == 0
    for option in ("tasks", "--json", "--only NAME", "--repeat N", "--settle", "--quick", "--no-install"):
        assert option in answer.stdout


@pytest.mark.parametrize("wrong", [["tea"], ["tasks", "--repeat", "0"], ["--only", "e2e"]])
def test_what_it_does_not_take_is_an_error(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_figure_that_does_not_exist_is_an_error():
    with pytest.raises(Failed, match="no figure of liveness begins with tea; there are "):
        chosen("liveness", ["tea"])


@pytest.mark.timeout(400)
def test_a_quick_run_measures_every_figure_of_tasks(tmp_path: Path):
    """What comes out is not looked at: small numbers on a busy machine say nothing."""
    answer = bench("tasks", "--quick", "--repeat", "1", "--json", timeout=380, TMPDIR=str(tmp_path))
    assert answer.returncode in (0, 1), answer.stderr
    # Its workers are killed, and leave nothing behind.
    assert not list(tmp_path.glob("pymp-*"))
    document = json.loads(answer.stdout)
    assert (document["area"], document["quick"], document["repeat"]) == ("tasks", True, 1)
    assert document["machine"]["postgresql"]["fsync"] == "on"
    rows = {row["name"]: row for row in document["rows"]}
    assert set(rows) == {
        *(f"{name}-{latency}ms" for name in ("publish", "enqueue", "requests", "e2e") for latency in (0, 10)),
        *(f"cpu-{part}-{latency}ms" for part in ("main", "pool", "database", "sqs") for latency in (0, 10)),
        *("e2e-0ms-defaults", "e2e-10ms-defaults", "busy-10ms", "latency-0ms", "latency-10ms", "append"),
        *("million-claim", "million-publish", "million-list", "million-pages"),
    }
    for measured in rows.values():
        assert [len(samples) for samples in measured["samples"].values()] == [1, 1]
        # Processor time is counted in hundredths of a second, of which few tasks may take none.
        assert measured["name"].startswith("cpu-") or min(measured["ours"], measured["peer"]) > 0
    assert document["missed"] == [name for name, measured in rows.items() if measured["holds"] is False]
    assert answer.returncode == (1 if document["missed"] else 0)


MACHINE = {
    "processor": "Abacus 5000",
    "memory_gib": 24,
    "cores": 2,
    "load": 0.5,
    "python": "3.11.7",
    "postgresql": {"server_version": "18.6", "fsync": "on"},
    "timescaledb": "2.29.2",
}


def document(area: str, *rows: Row, **left_out: str) -> dict[str, object]:
    return {
        "area": area,
        "quick": False,
        "repeat": 3,
        "machine": MACHINE,
        "rows": [each.as_json() for each in rows],
        "missed": missed(rows),
        "left_out": left_out,
    }


def test_the_figures_of_all_areas_are_in_one_table_with_the_machine():
    goal = Goal(kind=Kind.RATIO_AT_LEAST, value=2)
    both = every.together(
        [
            document("candles", row([9.0], [3.0], goal, "fast"), orders="needs a peer"),
            document("tasks", row([1.0], [1.0], goal, "slow")),
        ]
    )
    assert both["missed"] == ["tasks/slow"]
    text = every.markdown(both | {"broken": ["trading"]})
    assert text.startswith(
        "Medians of 3 on 2 cores of Abacus 5000 (load 0.5), 24 GiB, Python 3.11.7, "
        "PostgreSQL 18.6 (fsync on), TimescaleDB 2.29.2. "
    )
    assert "| candles | `fast`: how fast | 9 | 3 | tasks/s | 3.00 | ratio ≥ 2 | yes | a snail |" in text
    assert "| tasks | `slow`: how fast | 1 | 1 | tasks/s | 1.00 | ratio ≥ 2 | **no** | a snail |" in text
    assert "Left out: candles/orders: needs a peer." in text
    assert "trading could not be measured" in text


def test_an_area_that_cannot_be_measured_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    measured = json.dumps(document("tasks", row([1.0], [1.0])))
    answers = {"backtests": (1, ""), "tasks": (0, measured), "trading": (2, "")}
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        + "".join(
            f"[ $3 = {area} ] && {{ cat {tmp_path}/{area}; exit {status}; }}\n"
            for area, (status, _) in answers.items()
        )
    )
    program.chmod(0o755)
    for area, (_, text) in answers.items():
        (tmp_path / area).write_text(text)
    monkeypatch.setattr(sys, "executable", str(program))
    said: list[str] = []
    kept: list[dict[str, Any]] = []
    found, status = every.run(list(answers), ["--quick"], said.append, kept.append)
    assert (found["broken"], status) == (["backtests", "trading"], 2)
    assert [each["area"] for each in found["rows"]] == ["tasks"]
    assert said == ["backtests (1 of 3)", "tasks (2 of 3)", "trading (3 of 3)"]
    assert [(each["broken"], len(each["rows"])) for each in kept] == [
        (["backtests"], 0), (["backtests"], 1), (["backtests", "trading"], 1),
    ]  # fmt: skip
    assert every.run(["tasks"], [], said.append, kept.append)[1] == 0
