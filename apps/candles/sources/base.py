"""What a source of candles promises. Nothing here needs Django."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_ms

#: The array attributes of `Candles` after ``ts``, in the order in which they are stored and shown.
VALUES = ("open", "high", "low", "close", "volume")


class SourceError(ValueError):
    """What was asked for cannot be given. ``field`` names the argument that is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownInstrument(SourceError):
    """The source knows no instrument of this name."""

    def __init__(self, instrument: str) -> None:
        super().__init__("instrument", f"{instrument!r} is not a known instrument")


class UnknownTimeframe(SourceError):
    """There is no such timeframe, or the source has none of it for this instrument."""

    def __init__(self, timeframe: str, known: tuple[str, ...]) -> None:
        super().__init__("timeframe", f"{timeframe!r} is not one of {', '.join(known) or 'none'}")


class BadRange(SourceError):
    """The start or the end of the range is unusable."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candles:
    """Bars of one instrument and one timeframe, in order of time, each open time once.

    Six read-only arrays of one length. Minutes without trades have no bar, so times may be apart by
    more than one width.
    """

    #: Where they came from: ``timescale``, ``disk`` or ``cache``.
    source: str
    instrument: str
    timeframe: str
    #: Open times, int64 milliseconds since 1970-01-01T00:00Z.
    ts: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    #: In units of the base currency.
    volume: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check shapes, types and order, and make the arrays read-only. Raises ValueError."""
        for name in ("ts", *VALUES):
            array: NDArray[np.generic] = getattr(self, name)
            if array.shape != self.ts.shape or array.ndim != 1:
                raise ValueError(f"{name} does not have one value for every bar")
            if array.dtype != (np.int64 if name == "ts" else np.float64):
                raise ValueError(f"{name} has the type {array.dtype}")
            array.flags.writeable = False
        if np.any(np.diff(self.ts) <= 0):
            raise ValueError("ts is not strictly ascending")

    def __len__(self) -> int:
        return len(self.ts)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over instrument, timeframe and every value.

        The version of the data: two sources that hold the same candles give the same fingerprint,
        and any change of any value gives another.
        """
        digest = hashlib.sha256(f"{self.instrument}\n{self.timeframe}\n{len(self)}\n".encode())
        digest.update(self.ts.astype("<i8").data)
        for name in VALUES:
            digest.update(getattr(self, name).astype("<f8").data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Span:
    """From the open time of the first bar to that of the last, both included; aware, UTC."""

    first: datetime
    last: datetime


@runtime_checkable
class DataSource(Protocol):
    """Where candles come from. All sources that hold the same minutes give equal arrays, bit for bit."""

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        """The bars that open in [start, end). Both are aware.

        Bars are whole whatever the range: one that opens before *end* holds all of its minutes,
        also those after *end*. The newest bar holds what is stored so far, so while its bucket is
        open it will still change: end at the last boundary of the timeframe to leave it out.

        Raises `UnknownInstrument`, `UnknownTimeframe`, or `BadRange` for a moment without a time
        zone and for a start after the end; each names the argument in ``field``.
        """
        ...

    def available(self, instrument: str) -> dict[str, Span]:
        """What is held of an instrument, by timeframe, narrowest first; empty when it has no candles.

        Raises `UnknownInstrument`.
        """
        ...


def check_request(timeframe: str, start: datetime, end: datetime) -> tuple[Timeframe, int, int]:
    """The parts of a request that every source checks alike: timeframe, and range in milliseconds."""
    if timeframe not in TIMEFRAMES:
        raise UnknownTimeframe(timeframe, tuple(TIMEFRAMES))
    for field, moment in (("start", start), ("end", end)):
        if moment.utcoffset() is None:
            raise BadRange(field, f"{field} has no time zone")
    if start > end:
        raise BadRange("start", "start is after end")
    return TIMEFRAMES[timeframe], to_ms(start), to_ms(end)
