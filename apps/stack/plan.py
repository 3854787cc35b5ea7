"""What the demo runs: which servers, with which variables, started and stopped in which order."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apps.stack import environment, product, sockets
from apps.stack.child import Service
from apps.stack.credentials import Credentials
from apps.stack.extensions import Extensions
from apps.stack.folders import CHECKOUT, Folders, own_folder
from apps.stack.postgres import Postgres
from apps.stack.simulated import Account, Exchange
from apps.stack.smtp import Smtp
from apps.stack.sqs import Sqs
from apps.stack.valkey import ValkeyServer

STOP_ORDER = (
    ("beat", "relay"),
    ("worker",),
    ("web",),
    ("exchange", "smtp", "sqs"),
    ("valkey", "postgres"),
)
"""Whoever makes work stops before whoever does it, and the servers come last."""

#: Whoever watches the demo does not wait as long for the first look at an order as is right for an exchange.
_VERIFY_FIRST = "2"


@dataclass(kw_only=True)
class Plan:
    """The processes of one demo.

    *given* is the caller's environment: a server whose variable is set there is used and not started.
    """

    folders: Folders
    credentials: Credentials
    given: Mapping[str, str]
    queues: Sequence[str]
    settings: str
    web: socket.socket
    candles: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    mail_folder: Path | None = None
    exchange_account: Account | None = None
    _listeners: list[socket.socket] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """Where the web server answers."""
        return f"http://{sockets.HOST}:{sockets.port_of(self.web)}"

    def _wants(self, variable: str) -> bool:
        return not self.given.get(variable)

    def _listen(self) -> socket.socket:
        self._listeners.append(sockets.listen())
        return self._listeners[-1]

    def infrastructure(self) -> list[Service]:
        """The embedded servers; `variables` then holds what the product needs to reach them."""
        servers: list[Postgres | ValkeyServer | Sqs | Smtp | Exchange] = []
        if self._wants("DATABASE_URL"):
            servers.append(Postgres(folders=self.folders, extensions=Extensions.wanted(self.given)))
        if self._wants("REDIS_URL"):
            servers.append(ValkeyServer(folders=self.folders))
        if self._wants("SQS_ENDPOINT_URL"):
            servers.append(Sqs(listener=self._listen(), queues=tuple(self.queues)))
        if self._wants("EMAIL_URL"):
            self.mail_folder = own_folder(self.folders.root / "mail")
            servers.append(Smtp(listener=self._listen(), folder=self.mail_folder))
        if self._wants("EXCHANGE_BINANCE_URL"):
            self.exchange_account = Account.derived(self.credentials.secret_key)
            servers.append(
                Exchange(
                    listener=self._listen(),
                    candles=self.candles,
                    books=self.folders.data("exchange") / "books.sqlite3",
                    account=self.exchange_account,
                )
            )
        for server in servers:
            # One server may answer for several variables, of which some may name a real one.
            self.variables |= {key: value for key, value in server.environ().items() if self._wants(key)}
        return [server.service() for server in servers]

    def environ(self) -> dict[str, str]:
        """The environment of the product's processes."""
        return environment.inherited(
            **self.variables,
            SECRET_KEY=self.given.get("SECRET_KEY") or self.credentials.secret_key,
            ENCRYPTION_KEYS=self.given.get("ENCRYPTION_KEYS") or self.credentials.encryption_keys,
            PUBLIC_URL=self.given.get("PUBLIC_URL") or self.base_url,
            ORDERS_VERIFY_FIRST=self.given.get("ORDERS_VERIFY_FIRST") or _VERIFY_FIRST,
            DJANGO_SETTINGS_MODULE=self.settings,
        )

    def migrate(self) -> Service:
        """Applies the migrations and makes sure of the demo's account, in one process to save a start."""
        return Service(
            name="migrate",
            argv=(sys.executable, str(CHECKOUT / "manage.py"), "ensure_admin", "--migrate"),
            environ=self.environ()
            | {
                "ADMIN_USERNAME": self.credentials.admin_username,
                "ADMIN_PASSWORD": self.credentials.admin_password,
            },
            folder=CHECKOUT,
            ready_timeout=600.0,
            restart=False,
        )

    def product(self) -> list[Service]:
        """Web, worker, beat and relay."""
        environ = self.environ()
        return [
            product.web(environ, self.web),
            product.worker(environ),
            product.beat(environ),
            product.relay(environ),
        ]

    def write_addresses(self) -> Path:
        """Write the variables into a file for commands typed beside the demo; only its owner can read it."""
        path = self.folders.root / "env"
        environ = self.environ()
        values = self.variables | {name: environ[name] for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in values.items())
        return path

    def close(self) -> None:
        """Give up all ports: whoever still waits in a backlog is told at once."""
        for listener in (self.web, *self._listeners):
            listener.close()
