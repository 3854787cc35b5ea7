"""Settings come from the environment, secrets from files; a server refuses to run without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.core import process
from project.settings.environment import Environment

KEY = "tests:WYMOvDpBhBEFZr8aKQ0IRz39y9SSzkmLFM0aXi+i5EE="
#: What a server has to be given.
GIVEN = {
    "SECRET_KEY": "$L7mDqkO0bO4h8Zt2cV1xY6nW3pR9sU5aE-fGjKiQwTzBvXyC-rN",
    "ENCRYPTION_KEYS": KEY,
    "ALLOWED_HOSTS": "a.example,b.example",
    "PUBLIC_URL": "https://a.example",
    "DATABASE_URL": "postgres://u@%2Frun%2Fpg/x?sslmode=require",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "AWS_REGION": "eu-west-1",
}


def python(*arguments: str, module: str = "prod", **environ: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, which has none of this one's variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={**kept, "DJANGO_SETTINGS_MODULE": f"project.settings.{module}", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def read(*names: str, serves: bool = False, **environ: str) -> list[Any]:
    """The values of these settings."""
    serving = "from apps.core import process; process.serve(); " if serves else ""
    imports = f"{serving}import json; from django.conf import settings as s"
    answer = python("-c", f"{imports}; print(json.dumps([{', '.join(names)}]))", **environ)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_server_names_everything_that_it_was_not_given_at_once_and_shows_no_secret():
    answer = python("manage.py", "check", ALLOWED_HOSTS="", SECRET_KEY="short-one")
    assert answer.returncode == 3
    assert answer.stderr.splitlines() == [
        "Chandlery cannot start with this environment:",
        "  ENCRYPTION_KEYS: not set",
        "  ALLOWED_HOSTS: not set",
        "  PUBLIC_URL: not set",
        "  DATABASE_URL: not set",
        "  REDIS_URL: not set",
        "  AWS_REGION or SQS_ENDPOINT_URL: not set",
        "  SECRET_KEY: known or easy to guess: it takes 50 random characters at least",
        "The README lists every variable.",
    ]


def test_with_what_it_has_to_be_given_a_server_passes_every_check_of_django():
    answer = python("manage.py", "check", "--deploy", "--fail-level", "WARNING", **GIVEN)
    assert answer.returncode == 0, answer.stderr


def test_cookies_are_for_tls_alone_unless_told_otherwise():
    names = ("s.SESSION_COOKIE_NAME", "s.CSRF_COOKIE_NAME", "s.SESSION_COOKIE_SECURE", "s.CSRF_COOKIE_SECURE")
    assert read(*names, **GIVEN) == ["__Host-sessionid", "__Host-csrftoken", True, True]
    assert read(*names, **GIVEN, SECURE_COOKIES="false") == ["sessionid", "csrftoken", False, False]


def test_values_are_read_as_they_are_meant():
    database = "s.DATABASES['default']"
    [hosts, secret, host, options, proxies, header, age] = read(
        *("s.ALLOWED_HOSTS", "s.SECRET_KEY", f"{database}['HOST']", f"{database}['OPTIONS']"),
        *("s.TRUSTED_PROXIES", "s.FORWARDED_HEADER", f"{database}['CONN_MAX_AGE']"),
        # For web servers only, which this is not.
        **GIVEN, DATABASE_POOL="4", DATABASE_STATEMENT_TIMEOUT="5", DATABASE_PREPARE="off",
    )  # fmt: skip
    assert (hosts, secret, host) == (["a.example", "b.example"], GIVEN["SECRET_KEY"], "/run/pg")
    assert options == {
        "sslmode": "require", "prepare_threshold": None, "connect_timeout": 10,
        "application_name": "chandlery -c",
    }  # fmt: skip
    assert (proxies, header, age) == ([], "x-forwarded-for", 60)


def test_a_web_server_may_pool_its_connections_and_limit_its_statements_and_needs_no_session():
    database = "s.DATABASES['default']"
    sessions = {"DATABASE_SESSION_URL": "postgres://u@direct.example/x"}
    more = {
        "DATABASE_POOL": "4", "DATABASE_STATEMENT_TIMEOUT": "2.5", "DATABASE_TRANSACTION_POOLING": "on",
        "TRUSTED_PROXIES": "10.0.0.0/8,unix", "FORWARDED_HEADER": "forwarded",
    }  # fmt: skip
    names = [f"{database}['{name}']" for name in ("HOST", "CONN_MAX_AGE", "DISABLE_SERVER_SIDE_CURSORS")]
    *web, options, proxies, header = read(
        *(*names, f"{database}['OPTIONS']", "s.TRUSTED_PROXIES", "s.FORWARDED_HEADER"),
        serves=True,
        **{**GIVEN, **sessions, **more},
    )
    assert web == ["/run/pg", 0, True]
    assert options["pool"] == {"max_size": 4, "min_size": 1, "timeout": 5.0}
    assert (options["options"], options["application_name"]) == ("-c statement_timeout=2500", "chandlery web")
    assert (proxies, header) == (["10.0.0.0/8", "unix"], "forwarded")
    assert read(*names, **GIVEN, **sessions)[0] == "direct.example"


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["manage.py", "relay"], "relay"),
        (["/x/manage.py", "runserver", "8000"], "web"),
        (["/x/celery/__main__.py", "-A", "project", "worker", "-c", "2"], "worker"),
        (["/x/bin/celery", "-A", "project", "beat"], "beat"),
        (["/x/bin/pytest", "tests"], "pytest"),
    ],
)
def test_a_process_is_told_by_what_it_was_started_as(argv, name, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(process, "_kind", "")
    assert process.name() == name


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables."""

    def put(**variables: str | Path) -> Environment:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return Environment()

    return put


def test_a_variable_may_be_given_as_a_file_whose_last_line_ends(environ, tmp_path: Path):
    secret, url = tmp_path / "secret", tmp_path / "url"
    secret.write_text(" from a file \r\n")
    url.write_text("postgres://u:p%40@db.example:5433/x\n")
    env = environ(A_SECRET_FILE=secret, AN_URL_FILE=url, A_SECRET=" from a file ")
    assert env.str("A_SECRET") == " from a file "
    parts = env.db_url("AN_URL", default="")
    assert [parts[name] for name in ("HOST", "PORT", "PASSWORD")] == ["db.example", 5433, "p@"]
    env.demand("A_SECRET", "AN_URL", "NEITHER|A_SECRET")
    assert env.faults == {}


def test_what_is_wrong_with_a_variable_is_told_without_its_value(
    environ, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "other").write_text("hidden-1\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfehidden-2")
    env = environ(
        ABSENT_FILE=tmp_path / "absent", EMPTY_FILE=tmp_path / "empty", BINARY_FILE=tmp_path / "binary",
        TWICE_FILE=tmp_path / "other", TWICE="hidden-3", NUMBER="hidden-4", DOCUMENT="{hidden-5",
        AN_URL="postgres://u:hidden-6/x@h/x", OTHER_URL="mysql://u:hidden-7@h/x", MAIL="smtp://u:hidden-8/@h:x",
    )  # fmt: skip
    env.demand("ABSENT", "NEVER")
    for name in ("ABSENT", "EMPTY", "BINARY", "TWICE"):
        env.str(name, default="")
    assert (env.int("NUMBER", default=7), env.json("DOCUMENT", default={})) == (7, {})
    assert env.db_url("AN_URL", default="postgres://u@h/x")["HOST"] == "h"
    assert env.db_url("OTHER_URL", default="") == {}
    env.email_url("MAIL", default="smtp://127.0.0.1:25")
    with pytest.raises(SystemExit) as ended:
        env.settle()
    assert ended.value.code == 3
    told = capsys.readouterr().err
    assert "hidden" not in told
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:-1]] == [
        *("ABSENT", "NEVER", "EMPTY", "BINARY", "TWICE", "NUMBER", "DOCUMENT", "AN_URL", "OTHER_URL", "MAIL")
    ]
    for why in (
        f"ABSENT_FILE, {tmp_path}/absent, cannot be read: No such file or directory",
        f"EMPTY_FILE, {tmp_path}/empty, is empty",
        f"BINARY_FILE, {tmp_path}/binary, cannot be read: not text in UTF-8",
        "given twice and not the same, also as TWICE_FILE",
    ):
        assert why in told


def test_a_mail_server_with_tls_is_understood(environ):
    parts = environ(MAIL="smtp+tls://user:secret@mail.example:587").email_url("MAIL", default="")
    assert [parts[name] for name in ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_USE_TLS", "EMAIL_HOST_USER")] == [
        *("mail.example", 587, True, "user")
    ]
