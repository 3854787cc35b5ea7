"""From the store of the first migration to the best one that the server can have, and back."""

from __future__ import annotations

from django.db import DatabaseError, connection, transaction

from apps.candles.storage import moving, schema, stores
from apps.candles.storage.capabilities import detect
from apps.candles.storage.stores import PORTABLE
from apps.candles.timeframes import H4, M15, M30, W1
from apps.core.resources import sql

#: The roll-ups that the first migration did not have.
_ADDED = (M15, M30, H4, W1)


@transaction.atomic
def install() -> None:
    """Complete the portable store; then, when it is empty and the server has TimescaleDB, make its store.

    A store with candles stays portable: ``manage.py candles_upgrade`` moves it without keeping anybody out.
    """
    for level in _ADDED:
        schema.create_rollup(level, PORTABLE)
    schema.activate(PORTABLE)
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "seed_revisions.sql"))
        cursor.execute("SELECT EXISTS (SELECT FROM candle_1m)")
        empty = not cursor.fetchone()[0]
    moving.remake_all(PORTABLE)
    if empty and create_extension() is None:
        moving.convert(stores.wanted(detect()))


@transaction.atomic
def uninstall() -> None:
    """Undo `install`, keeping all minutes."""
    if stores.in_force() != PORTABLE:
        moving.convert(PORTABLE)
    with connection.cursor() as cursor:
        for level in reversed(_ADDED):
            cursor.execute(f"DROP TABLE {level.table}")
        cursor.execute(sql(__package__, "0002_functions_before.sql"))


def create_extension() -> str | None:
    """See to it that TimescaleDB is in this database. Returns why it cannot be had; None when it is there."""
    capabilities = detect()
    if capabilities.usable and not capabilities.installed:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("CREATE EXTENSION timescaledb")
        except DatabaseError as exc:
            return f"the extension timescaledb could not be created: {str(exc).strip()}"
        capabilities = detect()
    return capabilities.obstacle
