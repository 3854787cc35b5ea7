"""The quality gate: rows of an exchange or a file become exact integers, or are rejected with a reason.

Pure functions. No Django and no network in it.

    sifted = sift_minutes(
        rows, start_ms=None, end_ms=None, now_ms=now_ms, price_scale=2, volume_scale=8
    )
    store(sifted.minutes)
    for one in sifted.rejected:
        print(one.place, one.reason, one.message)
"""

from __future__ import annotations

from apps.candles.quality.numbers import LIMIT, MAX_SCALE
from apps.candles.quality.reasons import Reason, Rejected
from apps.candles.quality.rows import MINUTE_MS, Row, open_time
from apps.candles.quality.sift import CheckedMinutes, Sifted, sift_minutes

__all__ = [
    "LIMIT",
    "MAX_SCALE",
    "MINUTE_MS",
    "CheckedMinutes",
    "Reason",
    "Rejected",
    "Row",
    "Sifted",
    "open_time",
    "sift_minutes",
]
