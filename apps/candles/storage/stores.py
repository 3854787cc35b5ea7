"""The ways in which candles can be stored, which of them is in force, and which is wanted.

All of them have the same relations: ``candle_1m`` and one for each roll-up, with the same columns and
the same contents.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db import connections

from apps.candles import conf
from apps.candles.storage.capabilities import Capabilities
from apps.core.resources import sql


class Base(StrEnum):
    """What ``candle_1m`` is."""

    PARTITIONS = "partitions"  # a table with one partition for each month
    HYPERTABLE = "hypertable"  # TimescaleDB's, with chunks that are compressed once they are old


class Rollups(StrEnum):
    """Who keeps the roll-ups. The values are those of the setting ``CANDLES_ROLLUPS``."""

    INCREMENTAL = "incremental"  # our refresh, instrument by instrument, in the transaction of the write
    AGGREGATES = "continuous_aggregates"  # TimescaleDB, by time


@dataclass(frozen=True, kw_only=True)
class Store:
    """One way to store candles."""

    base: Base
    rollups: Rollups

    @property
    def name(self) -> str:
        """As ``candles_status`` shows it."""
        return "portable" if self == PORTABLE else f"TimescaleDB, roll-ups {self.rollups.value}"


PORTABLE = Store(base=Base.PARTITIONS, rollups=Rollups.INCREMENTAL)
INCREMENTAL = Store(base=Base.HYPERTABLE, rollups=Rollups.INCREMENTAL)
AGGREGATES = Store(base=Base.HYPERTABLE, rollups=Rollups.AGGREGATES)


def in_force(using: str = "default") -> Store:
    """What the relations of the database are. It may change under a running process, so it is asked for."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql(__package__, "in_force.sql"))
        base, rollups = cursor.fetchone()
    return Store(
        base=Base.PARTITIONS if base == "p" else Base.HYPERTABLE,
        rollups=Rollups.AGGREGATES if rollups == "v" else Rollups.INCREMENTAL,
    )


def wanted(capabilities: Capabilities) -> Store:
    """The best store that the server can have, with the roll-ups that ``CANDLES_ROLLUPS`` names."""
    if not capabilities.usable:
        return PORTABLE
    return Store(base=Base.HYPERTABLE, rollups=Rollups(conf.rollups()))
