"""Compressing chunks of hypertables now, without waiting for TimescaleDB's policy."""

from __future__ import annotations

from collections.abc import Callable

from django.db import ProgrammingError, connection
from psycopg.errors import DuplicateObject

from apps.candles.storage import policies, stores
from apps.candles.storage.moving import Step
from apps.candles.storage.stores import Base
from apps.core.resources import sql


def compress_old(*, on_step: Callable[[Step], None]) -> int:
    """Compress what the policies would, and again what was changed since it was. Returns how many chunks.

    Every chunk is a transaction of its own. Nothing to do in portable mode.
    """
    store = stores.in_force()
    if store.base != Base.HYPERTABLE:
        return 0
    ages = {
        job.relation: job.compress_after
        for job in policies.wanted_jobs(store)
        if job.compress_after is not None
    }
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "chunks_to_compress.sql"), {"names": list(ages), "ages": list(ages.values())}
        )
        chunks = [(name, compressed) for name, compressed in cursor.fetchall()]
        for done, (chunk, compressed) in enumerate(chunks):
            on_step(Step(name="compressing", done=done, total=len(chunks)))
            # What came after compression lies beside it until everything is written anew.
            again = ", recompress => true" if compressed else ""
            try:
                cursor.execute(f"CALL convert_to_columnstore(%s::regclass{again})", [chunk])
            except ProgrammingError as exc:
                # TimescaleDB's own policy was quicker.
                if not isinstance(exc.__cause__, DuplicateObject):
                    raise
    on_step(Step(name="compressing", done=len(chunks), total=len(chunks)))
    return len(chunks)
