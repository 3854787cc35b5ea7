from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from apps.stack import folders
from apps.stack.folders import CHECKOUT
from apps.stack.identity import Identity
from apps.stack.private import PrivateStack, clear_up
from tests.stack.conftest import wait_for

ALL = ("DATABASE_URL", "REDIS_URL", "SQS_ENDPOINT_URL", "EMAIL_URL", "EXCHANGE_BINANCE_URL")


@pytest.fixture
def home() -> Iterator[Path]:
    """A ``.data`` folder of its own, which every account may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_every_server_is_started_and_nothing_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "data_home", lambda: home)
    with PrivateStack(queues=["chandlery-default"], given={}) as stack:
        assert set(ALL) < set(stack.environ)
        with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
    assert list(home.iterdir()) == []


def test_servers_that_the_caller_names_are_not_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "data_home", lambda: home)
    given = dict.fromkeys(ALL, "the real one")
    with PrivateStack(queues=[], given=given) as stack:
        assert not set(ALL) & set(stack.environ)
    with PrivateStack(queues=[], given=given | {"EMAIL_URL": ""}) as stack:
        assert set(ALL) & set(stack.environ) == {"EMAIL_URL"}
    # The simulated exchanges are one server, and each of them may be the real one.
    given |= {"EXCHANGE_BINANCE_URL": "", "EXCHANGE_KRAKEN_URL": "the real one"}
    with PrivateStack(queues=[], given=given) as stack:
        exchanges = {name for name in stack.environ if name.startswith("EXCHANGE_")}
        assert exchanges == {"EXCHANGE_BINANCE_URL", "EXCHANGE_BYBIT_URL"}


def test_the_logs_of_a_failed_run_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "data_home", lambda: home)
    given = dict.fromkeys(ALL[1:], "the real one")
    with PrivateStack(queues=[], given=given) as stack:
        stack.keep_logs = True
    assert "ready to accept connections" in (stack.folder / "postgres.log").read_text()
    assert not list(stack.folder.rglob("PG_VERSION"))
    clear_up(home)
    assert stack.folder.exists()
    long_ago = time.time() - 7200
    os.utime(stack.folder, (long_ago, long_ago))
    clear_up(home)
    assert not stack.folder.exists()


def test_a_killed_run_is_cleared_up_by_the_next_one(home: Path) -> None:
    script = f"""
    import pathlib
    from apps.stack import child, folders
    from apps.stack.private import PrivateStack
    child._LIBC = None  # as on systems that do not end children with their parent
    folders.data_home = lambda: pathlib.Path({str(home)!r})
    with PrivateStack(queues=[], given={{name: "real" for name in {ALL[1:]!r}}}) as stack:
        print(stack._servers[0].pid, flush=True)
        input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        postgres = Identity.of(int(run.stdout.readline()))
        assert postgres is not None
        clear_up(home)
        assert postgres.alive(), "a run that is alive is left alone"
        run.kill()
    assert postgres.alive()
    clear_up(home)
    assert not postgres.alive()
    assert list(home.iterdir()) == []


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `manage.py test` as a process, with all servers given so that none has to start."""
    nowhere = "127.0.0.1:9"
    given = {
        "DATABASE_URL": f"postgres://nobody@{nowhere}/nothing",
        "REDIS_URL": f"redis://{nowhere}/0",
        "SQS_ENDPOINT_URL": f"http://{nowhere}",
        "EMAIL_URL": f"smtp://{nowhere}",
        "EXCHANGE_BINANCE_URL": f"http://{nowhere}",
    }
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "test", "-p", "no:cacheprovider", "-p", "no:django", *arguments],
            cwd=CHECKOUT,
            env=os.environ | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def _test_file(folder: Path, body: str) -> str:
    path = folder / "test_given.py"
    path.write_text(textwrap.dedent(body))
    return str(path)


def test_arguments_and_status_go_through_and_pytest_has_the_last_line(
    tmp_path: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    file = _test_file(tmp_path, "def test_good(): pass\ndef test_bad(): assert 0\ndef test_other(): pass\n")
    process = run("-q", "-k", "bad or good", "--tb=no", "-c", "/dev/null", file)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    assert stdout.strip().splitlines()[-1].startswith("1 failed, 1 passed, 1 deselected in ")
    assert "[stack]" in stderr
    assert "[stack]" not in stdout


def test_help_is_pytest_s(run: Callable[..., subprocess.Popen[str]]) -> None:
    process = run("-c", "/dev/null", "--help")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "file_or_dir" in stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_reports_and_ends(
    tmp_path: Path, run: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    body = """
    import pathlib, time
    def test_first(): pass
    def test_long():
        pathlib.Path(__file__).with_name("running").touch()
        time.sleep(600)
    """
    process = run("-c", "/dev/null", _test_file(tmp_path, body))
    wait_for(lambda: (tmp_path / "running").exists() or process.poll() is not None, timeout=60)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 2, stderr
    assert "1 passed" in stdout.strip().splitlines()[-1]
    assert "Traceback" not in stderr
