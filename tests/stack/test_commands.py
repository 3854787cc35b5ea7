from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from apps.stack import demo, folders, sockets
from apps.stack.console import Console
from apps.stack.errors import AlreadyRunning, StackError
from apps.stack.ledger import Ledger


def _admin(monkeypatch: pytest.MonkeyPatch, password: str) -> str:
    monkeypatch.setenv("ADMIN_USERNAME", "keeper")
    monkeypatch.setenv("ADMIN_PASSWORD", password)
    output = io.StringIO()
    call_command("ensure_admin", stdout=output)
    return output.getvalue().strip()


@pytest.mark.django_db
def test_the_admin_is_created_once_and_gets_its_password_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _admin(monkeypatch, "first") == "keeper is ready"
    assert _admin(monkeypatch, "first") == "keeper is as it should be"
    user = get_user_model().objects.get(username="keeper")
    assert user.is_superuser
    assert user.is_staff
    assert user.email == "keeper@example.com"
    get_user_model().objects.filter(pk=user.pk).update(is_superuser=False, is_active=False)
    assert _admin(monkeypatch, "second") == "keeper is ready"
    user.refresh_from_db()
    assert user.check_password("second")
    assert user.is_superuser
    assert user.is_active


@pytest.mark.django_db
def test_an_admin_without_a_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="must be set"):
        _admin(monkeypatch, "")
    assert not get_user_model().objects.filter(username="keeper").exists()


def _options(**changed: object) -> demo.Options:
    values: dict[str, object] = {
        "leave": True,
        "candles": None,
        "port": None,
        "days": 30,
        "show_logs": False,
        "given": {},
        "queues": [],
        "settings": "project.settings.test",
    }
    return demo.Options(**(values | changed))  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(folders, "data_home", lambda: tmp_path)
    yield tmp_path
    folders.remove_tree(tmp_path)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"candles": Path("/nonexistent.csv.gz")}, "there is no file /nonexistent.csv.gz"),
        (
            {"candles": Path(__file__), "given": {"EXCHANGE_BINANCE_URL": "https://api.example.com"}},
            "EXCHANGE_BINANCE_URL names another",
        ),
        ({"days": 0}, "--days must be at least 1"),
    ],
)
def test_options_that_cannot_work_are_refused(home: Path, changed: dict[str, object], reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        demo.run(_options(**changed), Console(io.StringIO()))
    assert list(home.iterdir()) == []


def test_a_second_demo_is_told_about_the_first(home: Path) -> None:
    with Ledger(folders.own_folder(home / "demo")) as first:
        first.write([], url="http://127.0.0.1:8000")
        with pytest.raises(AlreadyRunning, match="already running at http"):
            demo.run(_options(), Console(io.StringIO()))


def test_a_port_in_use_is_refused_when_it_was_asked_for(home: Path) -> None:
    with sockets.listen() as taken:
        port = sockets.port_of(taken)
        with pytest.raises(StackError, match=f"port {port} cannot be used"):
            demo.run(_options(port=port), Console(io.StringIO()))


def test_a_server_that_does_not_start_is_the_reason_with_its_last_words(home: Path, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.csv.gz"
    rubbish.write_bytes(b"not gzip at all")
    output = io.StringIO()
    assert demo.run(_options(candles=rubbish), Console(output)) == 1
    text = output.getvalue()
    assert "failed: exchange ended with status" in text
    assert "The last lines of its log (exchange):" in text
    assert "stopped in" in text
    assert not (home / "demo" / "env").exists()
    assert not (home / "demo" / "run.json").exists()


def test_the_addresses_of_the_demo_are_closed_to_others(home: Path) -> None:
    """A start that is interrupted after its servers are up leaves no address behind either."""
    output = io.StringIO()
    seen: list[int] = []

    class Interrupting(Console):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("applying migrations") and not seen:
                seen.append((home / "demo" / "env").stat().st_mode & 0o777)
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)

    assert demo.run(_options(), Interrupting(output)) == 130
    assert seen == [0o600]
    assert "stopping; press Ctrl-C again" in output.getvalue()
    assert not (home / "demo" / "env").exists()
