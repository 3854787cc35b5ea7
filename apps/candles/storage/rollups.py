"""Keeping the roll-ups equal to the minutes they are made of.

Triggers log which minutes changed, whoever changed them. A refresh takes what is logged for one
instrument and remakes the buckets concerned, bottom-up: 5m from 1m, 1h from 5m, 1d from 1h. So late
minutes, corrections and deletions reach every level.

A change that is not committed yet is not seen by the refresh, and neither is its entry in the log:
the entry waits for the next refresh. That holds under READ COMMITTED, PostgreSQL's and Django's
default, where every statement sees what was committed before it began.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from apps.candles.models import Instrument
from apps.candles.storage import locks
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.timeframes import ROLLUPS
from apps.core.resources import sql


def refresh_rollups(*, instrument: Instrument | None = None) -> int:
    """Bring the roll-ups of one instrument, or of all, up to date. Returns the days remade.

    Each instrument is its own transaction, unless the caller is in one.
    """
    if instrument is not None:
        return _refresh(instrument.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT instrument_id FROM candle_dirty ORDER BY instrument_id")
        ids = [row[0] for row in cursor.fetchall()]
    return sum(_refresh(instrument_id) for instrument_id in ids)


@transaction.atomic
def _refresh(instrument_id: int) -> int:
    locks.lock_instrument(instrument_id)
    return refresh_locked(instrument_id)


def refresh_locked(instrument_id: int) -> int:
    """The refresh itself, for callers that hold the instrument's lock. Returns the days remade.

    Raises `ScaleOverflow` when the volumes of a bucket add up to more than a float64 holds exactly.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "dirty_take.sql"), {"instrument_id": instrument_id})
        days = cursor.fetchall()
        if not days:
            return 0
        ranges: dict[str, Any] = {
            "instrument_id": instrument_id,
            "lo": [lo for lo, _ in days],
            "hi": [hi for _, hi in days],
            "first_day": days[0][0].astimezone(UTC).replace(hour=0, minute=0),
            "last_day": days[-1][1].astimezone(UTC).replace(hour=0, minute=0),
        }
        for level in ROLLUPS:
            assert level.table is not None
            assert level.lower is not None
            names = {
                "table": level.table,
                "lower": level.lower.table,
                "minutes": "sum(n)" if level.lower.lower else "count(*)",
            }
            parameters = {**ranges, "width": timedelta(milliseconds=level.width)}
            cursor.execute(sql(__package__, "rollup_clear.sql").format(**names), parameters)
            try:
                cursor.execute(sql(__package__, "rollup_fill.sql").format(**names), parameters)
            except IntegrityError as exc:
                raise ScaleOverflow(f"a volume in {level.table} does not fit: {exc}") from exc
        return len(days)
