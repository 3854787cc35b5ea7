"""Finding minutes that are missing. Roll-ups say which days and hours are short: those are looked into."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.candles.ranges import Range, clipped
from apps.candles.selectors import coverage
from apps.candles.timeframes import D1, DAY, H1, M1, MINUTE, to_datetime, to_ms
from apps.core.resources import sql

_STORAGE = "apps.candles.storage"
_HOUR = H1.width


def find_gaps(
    *, instrument_id: int, start: datetime | None = None, end: datetime | None = None
) -> list[Range]:
    """The minutes that open in [start, end) and are not stored: ranges in order of time, as long as they go.

    Looked for between the first and the last stored minute; what lies before and after is no gap. Minutes
    that changed since the roll-ups were made are looked at one by one, so the answer is always right.
    """
    span = coverage([instrument_id]).get(instrument_id)
    if span is None:
        return []
    first, last = to_ms(span.first), to_ms(span.last) + MINUTE
    lo = max(first, M1.ceil(to_ms(start))) if start else first
    hi = min(last, M1.ceil(to_ms(end))) if end else last
    if lo >= hi:
        return []
    days = np.arange(D1.floor(lo), hi, DAY)
    counts = _counts("candle_1d", instrument_id, [(int(days[0]), int(days[-1]) + DAY)], days)
    counts[np.isin(days, _changed_days(instrument_id))] = -1
    absent = days[counts == 0]
    short = days[(counts != 0) & (counts != DAY // MINUTE)]
    hours = (short[:, None] + np.arange(0, DAY, _HOUR)).ravel()
    unknown = np.repeat(counts[np.isin(days, short)] == -1, DAY // _HOUR)
    hour_counts = _counts("candle_1h", instrument_id, _ranges(short, DAY), hours)
    absent_hours = hours[(hour_counts == 0) & ~unknown]
    short_hours = hours[unknown | ((hour_counts != 0) & (hour_counts != _HOUR // MINUTE))]
    minutes = (short_hours[:, None] + np.arange(0, _HOUR, MINUTE)).ravel()
    absent_minutes = minutes[~np.isin(minutes, _minutes(instrument_id, _ranges(short_hours, _HOUR)))]
    missing = [*_ranges(absent, DAY), *_ranges(absent_hours, _HOUR), *_ranges(absent_minutes, MINUTE)]
    return clipped(missing, lo, hi)


def _ranges(opens: NDArray[np.int64], width: int) -> list[Range]:
    """Buckets as ranges, neighbours made one."""
    if not len(opens):
        return []
    heads = np.flatnonzero(np.diff(opens, prepend=opens[0] - 2 * width) != width)
    tails = np.append(heads[1:], len(opens)) - 1
    return [(int(opens[head]), int(opens[tail]) + width) for head, tail in zip(heads, tails, strict=True)]


def _counts(
    table: str, instrument_id: int, ranges: list[Range], opens: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many minutes each of the buckets *opens*, which lie in *ranges*, holds according to a roll-up."""
    counts = np.zeros(len(opens), np.int64)
    found = _select("counts.sql", table, instrument_id, ranges)
    if found:
        ts, n = np.array(found, np.int64).T
        counts[np.searchsorted(opens, ts)] = n
    return counts


def _minutes(instrument_id: int, ranges: list[Range]) -> NDArray[np.int64]:
    return np.array([ts for (ts,) in _select("minutes.sql", "candle_1m", instrument_id, ranges)], np.int64)


def _select(query: str, table: str, instrument_id: int, ranges: list[Range]) -> list[tuple[int, ...]]:
    if not ranges:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            sql(_STORAGE, query).format(table=table),
            {
                "instrument_id": instrument_id,
                "lo": [to_datetime(lo) for lo, _ in ranges],
                "hi": [to_datetime(hi) for _, hi in ranges],
                "first": to_datetime(ranges[0][0]),
                "last": to_datetime(ranges[-1][1]),
            },
        )
        found: list[tuple[int, ...]] = cursor.fetchall()
    return found


def _changed_days(instrument_id: int) -> NDArray[np.int64]:
    """The days that changed since the roll-ups were made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lo FROM candle_dirty WHERE instrument_id = %s", [instrument_id])
        return np.array([D1.floor(to_ms(lo)) for (lo,) in cursor.fetchall()], np.int64)
