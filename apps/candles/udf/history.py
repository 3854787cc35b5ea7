"""Bars as the charting library asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import ORIGIN, Timeframe, to_datetime, to_ms
from apps.core.resources import sql

_SECOND = 1_000


def between(instrument: Instrument, frame: Timeframe, start: int, end: int) -> dict[str, Any]:
    """The bars that open in [start, end) seconds, as the protocol's columns.

    Without any: ``no_data``, with ``nextTime``, the open time of the last bar before *start*, if
    there is one.
    """
    candles = _load(instrument, frame, start * _SECOND, end * _SECOND)
    if len(candles):
        return columns(candles)
    older = _earlier(instrument, frame, frame.ceil(start * _SECOND), 1)
    return {"s": "no_data"} if older is None else {"s": "no_data", "nextTime": older // _SECOND}


def before(instrument: Instrument, frame: Timeframe, end: int, count: int) -> dict[str, Any]:
    """The last *count* bars that open before *end* seconds, or as many as there are, over any gap.

    Looked for in the range that holds them when there are no gaps. Where some are missing, an index
    tells where the range has to begin.
    """
    stop = end * _SECOND
    now = to_ms(timezone.now())
    start = max(0, frame.ceil(min(stop, now)) - count * frame.width)
    candles = _load(instrument, frame, start, stop)
    if len(candles) < count:
        found = _earlier(instrument, frame, frame.ceil(stop), count)
        if found is not None and found < start:
            candles = _load(instrument, frame, found, stop)
    return columns(candles, last=count) if len(candles) else {"s": "no_data"}


def columns(candles: Candles, *, last: int | None = None) -> dict[str, Any]:
    """The *last* bars, or all, as the protocol's columns: ``t`` in seconds, oldest first."""
    kept = slice(-last if last else None, None)
    return {
        "s": "ok",
        "t": (candles.ts[kept] // _SECOND).tolist(),
        **{name[0]: np.asarray(getattr(candles, name)[kept]).tolist() for name in VALUES},
    }


def _load(instrument: Instrument, frame: Timeframe, start: int, end: int) -> Candles:
    return TimescaleSource().load(instrument.text, frame.name, to_datetime(start), to_datetime(end))


def _earlier(instrument: Instrument, frame: Timeframe, end: int, count: int) -> int | None:
    """A moment from which on at least *count* bars open before *end*, a boundary: or all that there are.

    None where there are none. With a *count* of 1 it is the open time of that bar.
    """
    stored = frame if frame.table else frame.lower
    assert stored is not None
    assert (end - ORIGIN) % frame.width == 0
    # So many narrower bars cannot fit into fewer than *count* buckets; one is enough to find the last.
    rows = 1 if count == 1 else count * (frame.width // stored.width)
    query = sql(__package__, "earlier.sql").format(table=stored.table)
    with connection.cursor() as cursor:
        cursor.execute(query, {"instrument": instrument.pk, "before": to_datetime(end), "rows": rows})
        (ts,) = cursor.fetchone()
    return None if ts is None else frame.floor(to_ms(ts))
