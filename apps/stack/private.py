"""The private stack of one run of tests or benchmarks: all servers together, in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from apps.stack import folders, servers
from apps.stack.errors import AlreadyRunning
from apps.stack.ledger import Ledger

_KEEP = 3600.0
"""Seconds for which the logs of a failed run stay."""


def clear_up(home: Path) -> None:
    """End and remove what earlier runs left in *home*: those killed at once, failed ones after an hour."""
    for folder in home.glob("test-*"):
        try:
            with Ledger(folder) as ledger:
                ledger.reap()
                if (folder / "scratch").exists() or time.time() - folder.stat().st_mtime > _KEEP:
                    folders.remove_tree(folder)
        except (AlreadyRunning, OSError):  # in use, or removed by another run at this moment
            continue


class PrivateStack:
    """PostgreSQL, Valkey, SQS, SMTP and the simulated exchange, except those that *given* names.

    *given* is the environment of the caller: a server whose variable is set there is the real one and is not
    started. `environ` holds the variables of those that were. *durable*: PostgreSQL waits for the disk, as
    it does in the demo. A context manager.
    """

    def __init__(self, *, queues: Sequence[str], given: Mapping[str, str], durable: bool = False) -> None:
        home = folders.data_home()
        clear_up(home)
        self.folder = Path(tempfile.mkdtemp(prefix="test-", dir=home))
        # Another run may be looking whether this folder is in use.
        self._ledger = Ledger(self.folder, wait=5.0)
        self._queues = tuple(queues)
        self._given = given
        self._durable = durable
        self._servers: list[servers.Running] = []
        self.environ: dict[str, str] = {}
        self.keep_logs = False

    def _wanted(self) -> list[servers.Running]:
        makers: dict[str, Callable[[Path], servers.Running]] = {
            "DATABASE_URL": lambda folder: servers.EmbeddedPostgres(folder, durable=self._durable),
            "REDIS_URL": lambda folder: servers.Valkey(folder, durable=False),
            "SQS_ENDPOINT_URL": lambda folder: servers.SqsServer(self._queues, folder=folder),
            "EMAIL_URL": servers.SmtpSink,
            "EXCHANGE_BINANCE_URL": servers.SimulatedExchange,
        }
        return [
            make(self.folder / variable.partition("_")[0].lower())
            for variable, make in makers.items()
            if not self._given.get(variable)
        ]

    def __enter__(self) -> Self:
        """Start everything at once; StackError when something does not become ready."""
        self._ledger.__enter__()
        try:
            # Another account may have to pass through; what lies inside is closed by itself.
            self.folder.chmod(0o711)
            scratch = self.folder / "scratch"
            scratch.mkdir()
            scratch.chmod(0o711)
            self.environ[servers.SCRATCH] = str(scratch)
            self._servers = self._wanted()
            for server in self._servers:
                server.launch()
            self._ledger.write(server.child for server in self._servers)
            for server in self._servers:
                server.wait_ready()
                self.environ |= {
                    key: value for key, value in server.environ.items() if not self._given.get(key)
                }
        except BaseException:
            self.keep_logs = True
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything and remove it; the logs stay in `folder` when `keep_logs` is set."""
        for server in reversed(self._servers):
            server.stop()
            if self.keep_logs and server.log_file.exists():
                shutil.move(server.log_file, self.folder)
            server.remove()
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        self._ledger.__exit__()
        if not self.keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)
