"""Advisory locks of the candle store. All are held until the transaction ends."""

from __future__ import annotations

from django.db import connection

#: First keys, chosen once and for all: nothing else of the product may use them.
_INSTRUMENT = 0x63616E31
_PARTITIONS = 0x63616E32


def lock_instrument(instrument_id: int) -> None:
    """Let no other writer, refresh or change of scale work on this instrument meanwhile.

    Whoever needs several instruments in one transaction takes them in ascending order.
    """
    _lock(_INSTRUMENT, instrument_id)


def lock_partitions() -> None:
    """Let nobody else make partitions meanwhile."""
    _lock(_PARTITIONS, 0)


def _lock(space: int, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [space, key])
