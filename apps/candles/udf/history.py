"""Bars as the charting library asks for them."""

from __future__ import annotations

from typing import Any

from apps.candles.models import Instrument
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import Timeframe, to_datetime

_SECOND = 1_000


def between(instrument: Instrument, frame: Timeframe, start: int, end: int) -> dict[str, Any]:
    """The bars that open in [start, end) seconds, as the protocol's columns.

    Without any: ``no_data``, with ``nextTime``, the open time of the last bar before *start*, if
    there is one.
    """
    candles = _load(instrument, frame, start * _SECOND, end * _SECOND)
    if len(candles):
        return columns(candles)
    older = TimescaleSource().load_last(instrument.text, frame.name, to_datetime(start * _SECOND), 1)
    return {"s": "no_data", **({"nextTime": int(older.ts[0]) // _SECOND} if len(older) else {})}


def before(instrument: Instrument, frame: Timeframe, end: int, count: int) -> dict[str, Any]:
    """The last *count* bars that open before *end* seconds, or as many as there are, over any gap."""
    candles = TimescaleSource().load_last(instrument.text, frame.name, to_datetime(end * _SECOND), count)
    return columns(candles) if len(candles) else {"s": "no_data"}


def columns(candles: Candles) -> dict[str, Any]:
    """Bars as the protocol's columns: ``t`` in seconds, oldest first."""
    return {
        "s": "ok",
        "t": (candles.ts // _SECOND).tolist(),
        **{name[0]: getattr(candles, name).tolist() for name in VALUES},
    }


def _load(instrument: Instrument, frame: Timeframe, start: int, end: int) -> Candles:
    return TimescaleSource().load(instrument.text, frame.name, to_datetime(start), to_datetime(end))
