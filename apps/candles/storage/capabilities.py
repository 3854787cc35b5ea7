"""What the server can do for candles, found out by asking it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from apps.core.resources import sql

#: The first release of TimescaleDB with everything that is used here: the columnstore's procedures, and the
#: number of buckets in a batch of a refresh.
OLDEST = (2, 22)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """A server, and whether TimescaleDB Community can be used on it."""

    #: The server's version, as ``18.6``.
    postgres: str
    #: The version of TimescaleDB in this database, or the one that could be created in it; None for none.
    timescaledb: str | None
    #: Whether the extension is in this database already.
    installed: bool
    #: Why TimescaleDB cannot be used here; None when it can.
    obstacle: str | None

    @property
    def usable(self) -> bool:
        """Whether hypertables, the columnstore and continuous aggregates can be had."""
        return self.obstacle is None


def detect(using: str = "default") -> Capabilities:
    """Ask the server. Changes nothing."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql(__package__, "capabilities.sql"))
        postgres, default, installed, preloaded, licence, may_create = cursor.fetchone()
    version = installed or default
    return Capabilities(
        postgres=postgres,
        timescaledb=version,
        installed=installed is not None,
        obstacle=_obstacle(version, installed is not None, preloaded, licence, may_create),
    )


def _obstacle(
    version: str | None, installed: bool, preloaded: bool, licence: str | None, may_create: bool
) -> str | None:
    if version is None:
        return "the server does not have the extension timescaledb"
    if not preloaded:
        return "timescaledb is not in shared_preload_libraries"
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST:
        return f"timescaledb {version} is older than {OLDEST[0]}.{OLDEST[1]}"
    if licence is not None and licence != "timescale":
        return f"timescaledb.license is {licence!r}: without 'timescale' there is no columnstore"
    if not installed and not may_create:
        return "the database user may not create the extension timescaledb"
    return None
