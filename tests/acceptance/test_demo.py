"""`manage.py demo`, as a stranger runs it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.stack.folders import CHECKOUT, remove_tree
from tests.acceptance import readme

pytestmark = pytest.mark.timeout(400)

_SERVERS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SQS_ENDPOINT_URL",
    "SQS_QUEUE_PREFIX",
    "EMAIL_URL",
    "EXCHANGE_BINANCE_URL",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project without what it has made, so that a demo of the developer's is left alone.

    What is compiled is copied, too: a first start in a clone of its own is for `.ci/run`'s caller to try.
    """
    copy = tmp_path_factory.mktemp("demo") / "chandlery"
    left_out = shutil.ignore_patterns(".venv", ".data", ".git", ".*_cache", ".hypothesis", "tests")
    shutil.copytree(CHECKOUT, copy, ignore=left_out)
    yield copy
    if (copy / ".data").exists():
        remove_tree(copy / ".data")
    shutil.rmtree(copy)


def outside() -> dict[str, str]:
    """The environment without this run's servers and settings."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in _SERVERS and key != "DJANGO_SETTINGS_MODULE"
    }


def start(checkout: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=checkout,
        env=outside() | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    return output


def assert_whole_path(output: str, minutes: int, days: int) -> None:
    """Candles in, backtest out, a signal traded, every step an event."""
    for symbol in ("BTC/USDT", "ETH/USDT"):
        assert f"binance:{symbol}: {minutes:,} minutes stored" in output, output
        assert re.search(rf"{symbol} 1h: +{days * 24:,} bars", output)
        assert re.search(rf"{symbol} 1d: +{days:,} bars", output)
    for event in ("requested", "published", "started", "succeeded"):
        assert re.search(rf"\d+ +task\.{event}", output), event
    assert "return_pct" in output
    assert "Backtest finished: sma_cross on binance:BTC/USDT 1h" in output
    report = re.search(r"report (http://127\.0\.0\.1:\d+/backtests/([0-9a-f-]{36}))$", output, re.MULTILINE)
    assert report is not None, output
    assert output.index(report.group(0)) < output.index("history of task")
    # The e-mail of the backtest that computed the result leads to such a page, too.
    assert re.search(r"\| .*http://127\.0\.0\.1:\d+/backtests/[0-9a-f-]{36}$", output, re.MULTILINE)
    assert re.search(r"signal sent: buy 0.01 BTCUSDT: accepted, order [0-9a-f-]{36}", output), output
    for event in ("received", "accepted", "submission_started", "submitted", "filled_part", "verified"):
        assert re.search(rf"\d+ +order\.{event}", output), event
    assert re.search(r"filled 0.01 at [\d.]+, and verified", output), output
    assert "time per step" in output
    for place in ("/api/docs", "/admin/", "password"):
        assert place in output


def minutes_of_two_days(file: Path) -> str:
    """Write minutes to be replayed, and say how the last of them is shown."""
    began = datetime(2024, 2, 3, tzinfo=UTC)
    with gzip.open(file, "wt") as out:
        out.write("open_time,open,high,low,close,volume\n")
        for index in range(2 * 1440):
            moment, price = began + timedelta(minutes=index), 40_000 + index * 37 % 1_000
            out.write(f"{moment},{price}.5,{price + 9}.25,{price - 9},{price + 1}.75,0.5\n")
    last = 40_000 + (2 * 1440 - 1) * 37 % 1_000
    return f"2024-02-04 23:59 o {last}.5 h {last + 9}.25 l {last - 9} c {last + 1}.75 v 0.5"


def test_the_demo_shows_the_whole_path_and_a_second_start_replays_a_file_on_what_is_there(
    checkout: Path, tmp_path: Path
):
    newcomer = readme.chapters("Your first hour", "How to", of=checkout / "README.md")
    readme.write_files(newcomer, checkout)
    first = start(checkout, "--exit", "--days", "3")
    output = finish(first)
    assert first.returncode == 0, output
    assert_whole_path(output, 3 * 1440, 3)
    password = re.search(r"password (\S+)", output)
    file = tmp_path / "binanceus_btcusdt_1m_sample.csv.gz"
    last = minutes_of_two_days(file)
    second = start(checkout, "--candles", str(file), EXTRA_APPS="greetings")
    try:
        lines = []
        assert second.stdout is not None
        for line in second.stdout:
            lines.append(line)
            if "up until Ctrl-C" in line:
                break
        output = "".join(lines)
        assert "up until Ctrl-C" in output, output
        assert "replays binanceus_btcusdt_1m_sample.csv.gz as BTCUSDT" in output
        assert_whole_path(output, 2 * 1440, 2)
        assert last in output.replace(",", "")
        assert password is not None
        assert password.group(1) in output
        base = re.search(r"API reference +(\S+)/api/docs", output)
        assert base is not None
        for page in (
            "/",
            "/api/v1/",
            "/api/docs",
            "/api/schema",
            "/admin/login/",
            "/static/admin/css/base.css",
            "/healthz",
            "/charts/binance/BTC/USDT?timeframe=1h",
        ):
            with urllib.request.urlopen(base.group(1) + page, timeout=30) as answer:
                assert answer.status == 200, page
        typed = readme.run(newcomer, checkout, outside(), base=base.group(1))
        for shown in (
            "4,320 rows",
            "greetings.tasks.greet",
            "Hello, Anna!",
            '"strategy":"sma_cross"',
            "no signal looks ahead",
        ):
            assert shown in typed, typed
        second.send_signal(signal.SIGINT)
        rest = finish(second)
    finally:
        second.kill()
    assert second.returncode == 0, rest
    # Among what the processes log meanwhile.
    stopping = re.search(r"\] stopping (.*)", rest)
    assert stopping is not None, rest
    order = [stopping.group(1).index(name) for name in ("beat and relay", "worker", "web", "postgres")]
    assert order == sorted(order)
    assert not list(checkout.glob(".data/demo/**/postmaster.pid"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no file"),
        (gzip.compress(b"open_time,open\n1,2\n", mtime=0), "column"),
    ],
    ids=["no file", "no columns"],
)
def test_a_demo_that_cannot_start_says_why(
    checkout: Path, tmp_path: Path, content: bytes | None, reason: str
):
    file = tmp_path / "candles.csv.gz"
    if content is not None:
        file.write_bytes(content)
    process = start(checkout, "--exit", "--candles", str(file))
    output = finish(process)
    assert process.returncode not in (0, None), output
    assert reason in output
    assert "Traceback" not in output
