"""Advisory locks of the candle store. Held until the transaction ends, where nothing else is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection

#: First keys, chosen once and for all: nothing else of the product may use them.
_INSTRUMENT = 0x63616E31
_PARTITIONS = 0x63616E32
_MOVING = 0x63616E33
_CAUSES = 0x63616E34


def lock_instruments(ids: Iterable[int]) -> None:
    """Let no other writer, refresh or change of scale work on these instruments meanwhile.

    They are taken in ascending order. Whoever takes more of them later in one transaction takes higher
    ones only.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, id) FROM unnest(%s::integer[]) AS id",
            [_INSTRUMENT, sorted(ids)],
        )


def lock_partitions() -> None:
    """Let nobody else make partitions meanwhile."""
    _lock(_PARTITIONS, 0)


def lock_causes(exchange: str) -> None:
    """Let nobody else note what an exchange does not have meanwhile. Taken after instruments, if at all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_CAUSES, exchange])


@contextmanager
def moving() -> Iterator[bool]:
    """Whether this session is the only one that moves the store, until the end of the block."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [_MOVING])
        alone: bool = cursor.fetchone()[0]
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_MOVING])


def _lock(space: int, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [space, key])
