"""Settings come from the environment, secrets from files; a server refuses to run without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings


def read(expression: str, module: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Print a setting in a process of its own, which has none of this one's variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"from django.conf import settings; print({expression})"],
        cwd=settings.BASE_DIR,
        env={**kept, "DJANGO_SETTINGS_MODULE": f"project.settings.{module}", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


#: What a server has to be given.
GIVEN = {"SECRET_KEY": "x", "ENCRYPTION_KEYS": "k:x", "ALLOWED_HOSTS": "a.example,b.example"}


def test_a_server_refuses_to_start_without_its_secrets_and_its_hosts():
    for missing in GIVEN:
        given = {name: value for name, value in GIVEN.items() if name != missing}
        answer = read("settings.SECRET_KEY", "prod", **given)
        assert answer.returncode != 0
        assert f"Set the {missing} environment variable" in answer.stderr
    answer = read("settings.ALLOWED_HOSTS", "prod", **GIVEN)
    assert answer.stdout.strip() == "['a.example', 'b.example']"


def test_a_variable_may_be_given_as_a_file(tmp_path: Path):
    secret, url = tmp_path / "secret", tmp_path / "url"
    secret.write_text("from a file")
    url.write_text("postgres://u:p%40@db.example:5433/x")
    kept = {name: value for name, value in GIVEN.items() if name != "SECRET_KEY"}
    files = {**kept, "SECRET_KEY_FILE": str(secret), "DATABASE_URL_FILE": str(url)}
    assert read("settings.SECRET_KEY", "prod", **files).stdout.strip() == "from a file"
    database = "[settings.DATABASES['default'][k] for k in ('HOST', 'PORT', 'PASSWORD')]"
    assert read(database, "prod", **files).stdout.strip() == "['db.example', 5433, 'p@']"
    answer = read("settings.SECRET_KEY", "prod", **kept, SECRET_KEY_FILE=str(tmp_path / "none"))
    assert answer.returncode != 0


def test_a_folder_of_sockets_stands_percent_encoded_in_the_place_of_the_host():
    answer = read(
        "settings.DATABASES['default']['HOST']", "prod",
        **GIVEN, DATABASE_URL="postgres://u@%2Frun%2Fpg/x",
    )  # fmt: skip
    assert answer.stdout.strip() == "/run/pg"


def test_trusted_proxies_are_separated_by_commas_and_nobody_is_one_unless_told():
    expression = "settings.TRUSTED_PROXIES, settings.FORWARDED_HEADER"
    assert read(expression, "prod", **GIVEN).stdout.strip() == "[] x-forwarded-for"
    answer = read(
        expression, "prod", **GIVEN, TRUSTED_PROXIES="10.0.0.0/8,unix", FORWARDED_HEADER="forwarded"
    )
    assert answer.stdout.strip() == "['10.0.0.0/8', 'unix'] forwarded"


def test_a_mail_server_with_tls_is_understood():
    expression = "settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS, settings.EMAIL_HOST_USER"
    answer = read(expression, "base", EMAIL_URL="smtp+tls://user:secret@mail.example:587")
    assert answer.stdout.strip() == "mail.example 587 True user"
