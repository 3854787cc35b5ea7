"""The programs of the image: secrets, the entry point and the probe, run as a container runs them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.core.keyring import keys_of
from project.probe import answers

ROOT = Path(settings.BASE_DIR)
GUNICORN = "gunicorn --config python:project.gunicorn"
ALONE = "--without-gossip --without-mingle --without-heartbeat"
WORKER = f"celery -A project worker --loglevel INFO {ALONE}"


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path):
    def make() -> str:
        answer = run(sys.executable, "docker/make_secrets.py", str(tmp_path / "secrets"))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert "secret_key, encryption_keys" in make()
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert modes.pop("metrics_token") == 0o444
    assert set(modes.values()) == {0o400}
    for name in ("encryption_keys", "audit_keys"):
        assert list(keys_of(name.upper(), (made[name],))) == ["first"]
    assert len(made["secret_key"]) > 50
    assert made["database_url"] == f"postgres://chandlery:{made['database_password']}@database:5432/chandlery"
    (tmp_path / "secrets" / "metrics_token").unlink()
    assert make() == "made: metrics_token\n"
    again = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert again.pop("metrics_token") != made.pop("metrics_token")
    assert again == made


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["web", "--workers", "3"], f"{GUNICORN} --workers 3 project.wsgi:application"),
        (
            ["asgi", "--workers", "2"],
            f"{GUNICORN} --worker-class uvicorn_worker.UvicornWorker --workers 2 project.asgi:application",
        ),
        (["worker", "-Q", "email"], f"{WORKER} -Q email"),
        (["beat"], "celery -A project beat --loglevel INFO --pidfile "),
        (["relay"], "python manage.py relay"),
        (["setup"], "python manage.py ensure_admin --migrate --keep"),
        (["tasks", "list"], "python manage.py tasks list"),
        ([], f"{GUNICORN} project.wsgi:application"),
    ],
)
def test_the_entry_point_becomes_the_process_that_it_is_asked_for(
    tmp_path: Path, arguments: list[str], expected: str
):
    for program in ("gunicorn", "celery", "python"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@"\necho $$\n')
        (tmp_path / program).chmod(0o755)
    process = subprocess.Popen(
        ["/bin/sh", "docker/entrypoint.sh", *arguments],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = process.communicate()
    assert said.splitlines() == [expected, str(process.pid)]


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()
            self.wfile.write(b"because")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_the_probe_tells_what_is_wrong(server: HTTPServer):
    base = f"http://127.0.0.1:{server.server_port}"
    assert answers(f"{base}/200") == ""
    assert answers(f"{base}/503") == "503 because"
    assert answers(f"{base}/302").startswith("302")
    assert run(sys.executable, "-m", "project.probe", f"{base}/200").returncode == 0
    assert run(sys.executable, "-m", "project.probe", f"{base}/500").stderr == "500 because\n"


def test_the_probe_of_a_process_that_is_gone_tells_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert answers(f"{base}/healthz").startswith("ConnectionRefusedError")
