"""Private servers for tests: start, stop, kill -9 and start again, from ordinary code.

Every one is a context manager with `environ`, the variables by which the product finds it. See the package's
docstring for examples.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from email.message import EmailMessage
from pathlib import Path
from typing import Self

from apps.stack import folders, privileges, smtp, sockets
from apps.stack.child import Child, Service
from apps.stack.extensions import Extensions
from apps.stack.identity import children
from apps.stack.postgres import Postgres
from apps.stack.probes import run_now
from apps.stack.simulated import Exchange
from apps.stack.sqs import Sqs
from apps.stack.valkey import ValkeyServer

SCRATCH = "CHANDLERY_SCRATCH"
"""The variable naming the folder in which servers make theirs; ``manage.py test`` sets it and clears up."""


def scratch(prefix: str) -> Path:
    """A new empty folder for one server."""
    base = os.environ.get(SCRATCH)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=base if base and Path(base).is_dir() else None))


class Running(ABC):
    """One process that tests can start, stop, kill and start again.

    Nothing runs before `start` (or ``with``). On Linux it dies with the thread that started it.
    """

    name = "process"

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = folder is None
        self.folder = scratch(self.name) if folder is None else folder
        self.folder.mkdir(exist_ok=True)
        self.log_file = self.folder / f"{self.name}.log"
        self.environ: dict[str, str] = {}
        """The variables by which the product finds this server."""
        self._child: Child | None = None

    @abstractmethod
    def _service(self) -> Service:
        """What to start."""

    @property
    def child(self) -> Child:
        """The process; RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    @property
    def launched(self) -> bool:
        """Whether its process was started and has not ended."""
        return self._child is not None and self._child.started

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.child.pid

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: the signal that ended it); None while it runs."""
        return self.child.returncode

    @property
    def log(self) -> str:
        """What it has logged since its last start."""
        return self.child.said()

    def children(self) -> tuple[int, ...]:
        """The numbers of its direct children, such as the pool processes of a worker."""
        return children(self.pid)

    def launch(self) -> None:
        """Start the process without waiting for it; `wait_ready` must follow."""
        if self._child is None:
            self._child = Child(self._service(), self.log_file)
        if self._child.started:
            raise RuntimeError(f"{self.name} runs already")
        self._child.service.prepare()
        self._child.spawn()

    def wait_ready(self) -> None:
        """Return when it is ready; StartFailed, with the end of its log, when it does not become so."""
        run_now(self.child.wait_ready())
        self.child.service.settle()

    def start(self) -> Self:
        """Start it and wait until it is ready; also after `stop` and `kill`."""
        self.launch()
        self.wait_ready()
        return self

    def stop(self) -> bool:
        """End it in an orderly way; False when it had to be killed. Its data stay."""
        return self._child is None or run_now(self._child.stop())

    def kill(self) -> None:
        """SIGKILL to it and everything in its session, and wait for its end. Its data stay."""
        self.child.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send *number* to the process alone (SIGSTOP, SIGCONT, SIGTERM …)."""
        self.child.signal(number)

    def wait_ended(self, timeout: float = 30.0) -> bool:
        """Whether it ended within *timeout* seconds."""
        return run_now(self.child.wait_ended(timeout))

    def remove(self) -> None:
        """End it and delete its folder with everything in it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """End it for good, and delete its folder when that is a temporary one."""
        if self._temporary:
            self.remove()
        else:
            self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


class EmbeddedPostgres(Running):
    """A private PostgreSQL with an empty database *database*.

    Unless *durable*, it is not safe against a crash of the machine.
    """

    name = "postgres"

    def __init__(
        self, folder: Path | None = None, *, database: str = "chandlery", durable: bool = False
    ) -> None:
        super().__init__(folder)
        places = folders.prepare(self.folder, account=privileges.for_checkout(folders.CHECKOUT))
        self._server = Postgres(
            folders=places, database=database, durable=durable, extensions=Extensions.wanted(os.environ)
        )
        self.environ = self._server.environ()

    def url(self, database: str = "") -> str:
        """The DATABASE_URL of *database* on this server."""
        return self._server.url(database)

    def _service(self) -> Service:
        return self._server.service()

    def remove(self) -> None:
        super().remove()
        self._server.folders.remove()


class Valkey(Running):
    """A private Valkey. *durable*: with an append-only file, so that a kill -9 loses nothing."""

    name = "valkey"

    def __init__(self, folder: Path | None = None, *, durable: bool = True) -> None:
        super().__init__(folder)
        self._server = ValkeyServer(folders=folders.prepare(self.folder), durable=durable)
        self.environ = self._server.environ()

    def url(self, database: int = 0) -> str:
        """The REDIS_URL of *database* on this server."""
        return self._server.url(database)

    def _service(self) -> Service:
        return self._server.service()

    def remove(self) -> None:
        super().remove()
        self._server.folders.remove()


class Listening(Running):
    """A server on a port that this process holds for it, the same one for its whole life."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.listener = sockets.listen()
        self.port = sockets.port_of(self.listener)

    def kill(self, *, refuse: bool = False) -> None:
        """SIGKILL. Clients then wait in the backlog for its return; with *refuse* they are refused."""
        super().kill()
        if refuse:
            self.listener.close()

    def launch(self) -> None:
        if self.listener.fileno() == -1:
            self.listener = sockets.listen(self.port)
            self._child = None
        super().launch()

    def remove(self) -> None:
        super().remove()
        self.listener.close()

    def close(self) -> None:
        super().close()
        self.listener.close()


class SqsServer(Listening):
    """A private SQS server that declares *queues* (full names) with their dead-letter queues.

    Its messages live in its memory: after `kill` and `start` the queues are there again, and empty.
    """

    name = "sqs"

    def __init__(
        self,
        queues: tuple[str, ...] = (),
        *,
        visibility: int = 120,
        max_receive_count: int = 5,
        folder: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self.queues, self._visibility, self._receives = queues, visibility, max_receive_count
        self.environ = self._server().environ()

    def _server(self) -> Sqs:
        return Sqs(
            listener=self.listener,
            queues=self.queues,
            visibility=self._visibility,
            max_receive_count=self._receives,
        )

    def _service(self) -> Service:
        return self._server().service()


class SmtpSink(Listening):
    """A private SMTP server that keeps every mail."""

    name = "smtp"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.environ = self._server().environ()

    @property
    def mail_folder(self) -> Path:
        """Where the mails are, one ``.eml`` file each."""
        return self.folder / "mail"

    def mails(self) -> list[EmailMessage]:
        """All mails so far in order of arrival."""
        return smtp.mails(self.mail_folder)

    def _server(self) -> smtp.Smtp:
        return smtp.Smtp(listener=self.listener, folder=self.mail_folder)

    def _service(self) -> Service:
        return self._server().service()


class SimulatedExchange(Listening):
    """Private simulated exchanges; Binance replays *candles* (a csv.gz of minutes) when that is given.

    The accounts and orders of Binance lie in its folder: after `kill` and `start` all of them are there.
    """

    name = "exchange"

    def __init__(self, folder: Path | None = None, *, candles: Path | None = None) -> None:
        super().__init__(folder)
        self._candles = candles
        self.url = self._server().url()
        """The base URL of each of them."""
        self.environ = self._server().environ()

    def _server(self) -> Exchange:
        return Exchange(listener=self.listener, candles=self._candles, books=self.folder / "books.sqlite3")

    def _service(self) -> Service:
        return self._server().service()
