from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.stack.errors import AlreadyRunning
from apps.stack.identity import Identity
from apps.stack.ledger import Ledger


@pytest.fixture
def leftover() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody looks after, in a session of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    ) as process:
        yield process
        process.kill()


def _note(folder: Path, identity: Identity, stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """The note of a supervisor that was killed."""
    process = {"pid": str(identity.pid), "started": identity.started, "stop_signal": stop_signal.name}
    note = {"about": {"pid": "1", "url": "http://127.0.0.1:8000"}, "processes": {"web": process}}
    (folder / "run.json").write_text(json.dumps(note))


def test_a_leftover_is_ended_when_number_and_start_match(
    tmp_path: Path, leftover: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(leftover.pid)
    assert identity is not None
    _note(tmp_path, identity, signal.SIGINT)
    with Ledger(tmp_path) as ledger:
        assert ledger.reap() == ["web"]
    assert leftover.wait(30) in {-signal.SIGINT, 1}


def test_a_stranger_with_the_number_of_a_leftover_is_left_alone(
    tmp_path: Path, leftover: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(leftover.pid)
    assert identity is not None
    _note(tmp_path, Identity(pid=identity.pid, started=identity.started + "0"))
    with Ledger(tmp_path) as ledger:
        assert ledger.reap() == []
    assert leftover.poll() is None


def test_a_leftover_that_is_stopped_or_deaf_is_ended_too(tmp_path: Path) -> None:
    text = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", text], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = Identity.of(process.pid)
        assert identity is not None
        _note(tmp_path, identity)
        process.send_signal(signal.SIGSTOP)
        with Ledger(tmp_path) as ledger:
            ledger.patience = 0.2
            assert ledger.reap() == ["web"]
        assert process.wait(30) == -signal.SIGKILL


def test_a_second_supervisor_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with Ledger(tmp_path) as first:
        first.write([], url="http://127.0.0.1:8123")
        with pytest.raises(
            AlreadyRunning, match=r"already running at http://127\.0\.0\.1:8123 \(process \d+\)"
        ):
            Ledger(tmp_path).__enter__()


def test_the_lock_of_a_killed_supervisor_is_free(tmp_path: Path) -> None:
    text = (
        "import pathlib, sys; from apps.stack.ledger import Ledger\n"
        "with Ledger(pathlib.Path(sys.argv[1])) as ledger:\n"
        "    ledger.write([]); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(AlreadyRunning):
            Ledger(tmp_path).__enter__()
        process.kill()
    with Ledger(tmp_path) as ledger:
        assert ledger.reap() == []


def test_an_unreadable_note_means_no_leftovers(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"about": {"pi')
    with Ledger(tmp_path) as ledger:
        assert ledger.reap() == []
    assert not (tmp_path / "run.json").exists()
