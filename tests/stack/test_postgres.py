from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

from apps.stack import privileges
from apps.stack.errors import StackError
from apps.stack.extensions import VARIABLE, Extensions
from apps.stack.folders import CHECKOUT, SOCKET_PATH_MAX
from apps.stack.testing import EmbeddedPostgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges")


def _query(server: EmbeddedPostgres, text: str) -> object:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(text)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _data(server: EmbeddedPostgres) -> Path:
    return Path(str(_query(server, "SHOW data_directory")))


def _socket(server: EmbeddedPostgres) -> str:
    """The path of its socket, as the product's settings read it from the URL."""
    host, _, port = server.url().partition("@")[2].partition("/")[0].rpartition(":")
    return f"{unquote(host)}/.s.PGSQL.{port}"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as postgres:
        yield postgres


def test_it_serves_on_a_unix_socket_and_on_nothing_else(server: EmbeddedPostgres) -> None:
    assert _query(server, "SHOW listen_addresses") == ""
    folder = Path(_socket(server)).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert str(_query(server, "SHOW server_version")).startswith("18.")


def test_text_sorts_by_code_point_as_on_every_system(server: EmbeddedPostgres) -> None:
    ordered = "SELECT string_agg(t, '' ORDER BY t) FROM unnest(ARRAY['b','B','a','Ä','A']) AS t"
    assert _query(server, ordered) == "ABabÄ"
    assert _query(server, "SELECT upper('ä')") == "Ä"
    assert _query(server, "SHOW server_encoding") == "UTF8"


def test_the_caller_s_locale_and_libpq_variables_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PGPORT", "1"), ("PGDATA", "/nonexistent"), ("LC_ALL", "tr_TR.UTF-8")):
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres() as postgres:
        environ = Path(f"/proc/{postgres.pid}/environ")
        if environ.exists():
            names = {line.partition(b"=")[0] for line in environ.read_bytes().split(b"\0")}
            assert not {b"PGPORT", b"PGDATA"} & names
        assert _query(postgres, "SHOW lc_messages") == "C"


def test_committed_rows_survive_a_kill_and_a_restart() -> None:
    with EmbeddedPostgres() as postgres:
        _query(postgres, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        postgres.kill()
        assert postgres.returncode == -9
        postgres.start()
        assert _query(postgres, "SELECT count(*) FROM t") == 1000
        assert postgres.stop()
        postgres.start()
        assert _query(postgres, "SELECT count(*) FROM t") == 1000


def test_a_stale_note_that_names_an_unrelated_live_process_does_not_stop_it() -> None:
    account = privileges.for_checkout(CHECKOUT)
    with EmbeddedPostgres() as postgres:
        data = _data(postgres)
        lines = (data / "postmaster.pid").read_text().splitlines()
        sockets = Path(lines[4])
        postgres.kill()
        # The same user's, or PostgreSQL could not signal it and would know better by itself.
        with subprocess.Popen(
            ["/bin/sleep", "600"],
            user=account.uid if account else None,
            group=account.gid if account else None,
        ) as stranger:
            for note in (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
                note.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            try:
                postgres.start()
                assert _query(postgres, "SELECT 1") == 1
                assert stranger.poll() is None
            finally:
                stranger.kill()


def test_a_data_folder_that_another_server_uses_is_left_alone() -> None:
    with EmbeddedPostgres() as postgres:
        second = EmbeddedPostgres(postgres.folder)
        with pytest.raises(
            StackError, match=rf"another PostgreSQL \(process {postgres.pid}\) already serves"
        ):
            second.start()
        assert _query(postgres, "SELECT 1") == 1


def test_data_of_another_major_version_are_explained_and_kept() -> None:
    with EmbeddedPostgres() as postgres:
        data = _data(postgres)
        postgres.stop()
        (data / "PG_VERSION").write_text("17\n")
        with pytest.raises(StackError, match="was written by PostgreSQL 17, and the embedded one is 18"):
            postgres.start()
        assert (data / "base").is_dir()


def test_an_initialisation_that_was_interrupted_begins_again() -> None:
    postgres = EmbeddedPostgres()
    half = postgres._server.data.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with postgres:
        assert _query(postgres, "SELECT 1") == 1
        assert not half.exists()


def test_it_runs_in_a_folder_with_a_long_path() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        deep = Path(name) / ("long" * 20) / ("longer" * 20)
        for folder in (deep.parent, deep):
            folder.mkdir()
        with EmbeddedPostgres(deep / "profile") as postgres:
            assert len(_socket(postgres)) <= SOCKET_PATH_MAX
            assert _data(postgres).is_relative_to(deep)
            postgres.remove()
            assert not Path(_socket(postgres)).parent.exists()


@as_root
def test_root_runs_it_as_another_account_whose_data_it_becomes(server: EmbeddedPostgres) -> None:
    account = privileges.for_checkout(CHECKOUT)
    assert account is not None
    assert Path(f"/proc/{server.pid}").stat().st_uid == account.uid != 0
    assert _data(server).stat().st_uid == account.uid


@as_root
def test_root_runs_it_from_a_folder_that_is_closed_to_others() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        closed = Path(name)
        closed.chmod(0o700)
        postgres = EmbeddedPostgres(closed / "profile")
        try:
            with postgres:
                assert _query(postgres, "SELECT 1") == 1
                assert not _data(postgres).is_relative_to(closed)
                assert closed.stat().st_mode & 0o777 == 0o700
                kept = _data(postgres)
        finally:
            postgres.remove()
        assert not kept.exists()


@as_root
def test_an_ordinary_user_runs_it_as_himself() -> None:
    nobody = privileges.by_name("nobody")
    assert nobody is not None
    packages = Path(sysconfig.get_paths()["purelib"])
    candidates = [Path(sys.executable).resolve(), Path(f"/usr/bin/python3.{sys.version_info[1]}")]
    python = next((path for path in candidates if privileges.can_read(path, nobody)), None)
    if python is None or not privileges.can_read(packages / "psycopg" / "__init__.py", nobody):
        pytest.skip("neither this Python nor its packages can be reached by another account")
    if not privileges.can_read(CHECKOUT / "manage.py", nobody):
        pytest.skip("the checkout cannot be reached by another account")
    program = (
        "import os, pathlib, psycopg\n"
        "from apps.stack.testing import EmbeddedPostgres\n"
        "with EmbeddedPostgres() as server:\n"
        "    owner = pathlib.Path(f'/proc/{server.pid}').stat().st_uid\n"
        "    print(owner, psycopg.connect(server.url()).execute('SELECT 42').fetchone()[0])\n"
    )
    environ = {"PYTHONPATH": f"{packages}:{CHECKOUT}", "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    answer = subprocess.run(
        [python, "-c", program],
        env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/tmp",
        capture_output=True,
        text=True,
        user=nobody.uid,
        group=nobody.gid,
        extra_groups=nobody.groups,
        timeout=120,
        check=False,
    )
    assert answer.stdout.split() == [str(nobody.uid), "42"], answer.stderr


def test_extensions_that_are_not_there_are_named() -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as name,
        pytest.raises(StackError, match="holds no TimescaleDB"),
    ):
        Extensions.wanted({VARIABLE: name}).check(None)


@as_root
def test_extensions_that_the_server_s_account_cannot_read_are_named() -> None:
    nobody = privileges.by_name("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "lib").mkdir()
        (folder / "share" / "extension").mkdir(parents=True)
        (folder / "lib" / "timescaledb.so").touch()
        (folder / "share" / "extension" / "timescaledb.control").touch()
        extensions = Extensions.wanted({VARIABLE: name})
        with pytest.raises(StackError, match="cannot be read by the account 'nobody'"):
            extensions.check(nobody)
        folder.chmod(0o755)
        extensions.check(nobody)


@pytest.mark.parametrize("folder", ["relative/path", "/with:colon", "/with'quote"])
def test_extension_folders_that_settings_cannot_carry_are_refused(folder: str) -> None:
    with pytest.raises(StackError, match="must be an absolute path"):
        Extensions.wanted({VARIABLE: folder}).check(None)


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: no TimescaleDB to load")
def test_timescaledb_is_loaded_from_a_folder_outside(server: EmbeddedPostgres) -> None:
    _query(server, "CREATE EXTENSION IF NOT EXISTS timescaledb")
    _query(server, "CREATE TABLE h (ts timestamptz NOT NULL, n int)")
    _query(server, "SELECT create_hypertable('h', by_range('ts', interval '1 day'))")
    _query(
        server,
        "INSERT INTO h SELECT '2024-01-01'::timestamptz + n * interval '1 hour', n "
        "FROM generate_series(0, 71) AS n",
    )
    assert _query(server, "SELECT count(*) FROM show_chunks('h')") == 3
    assert _query(server, "SHOW timescaledb.telemetry_level") == "off"


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: no TimescaleDB to load")
def test_a_database_with_timescaledb_is_not_served_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder) as server:
            _query(server, "CREATE EXTENSION timescaledb")
        monkeypatch.delenv(VARIABLE)
        with pytest.raises(StackError, match=f"Set {VARIABLE} as when it was made"), EmbeddedPostgres(folder):
            pass
