"""The query parameters of the protocol, and how a bad one is refused."""

from __future__ import annotations

import re

from django.http import QueryDict

from apps.candles.timeframes import TIMEFRAMES, Timeframe
from apps.core.serializers import EARLIEST, LATEST

#: Every spelling of a resolution that is taken, and what it means.
RESOLUTIONS = {
    "1": TIMEFRAMES["1m"],
    "5": TIMEFRAMES["5m"],
    "15": TIMEFRAMES["15m"],
    "30": TIMEFRAMES["30m"],
    "60": TIMEFRAMES["1h"],
    "240": TIMEFRAMES["4h"],
    "1D": TIMEFRAMES["1d"],
    "D": TIMEFRAMES["1d"],
    "1W": TIMEFRAMES["1w"],
    "W": TIMEFRAMES["1w"],
}

#: Those that are announced, each timeframe once.
SUPPORTED = [name for name in RESOLUTIONS if name not in ("D", "W")]
#: Minutes of those below a day.
INTRADAY = [name for name in SUPPORTED if name.isdigit()]

LAST_SECOND = int((LATEST - EARLIEST).total_seconds())
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 4096


class UdfError(ValueError):
    """What was asked for cannot be answered; the text is for the person at the chart."""


def text(query: QueryDict, name: str, default: str | None = None) -> str:
    """A parameter as text. Without a *default* it has to be there. Raises `UdfError`."""
    values = query.getlist(name)
    if len(values) > 1:
        raise UdfError(f"{name} is given more than once")
    if not values or not values[0].strip():
        if default is None:
            raise UdfError(f"{name} is missing")
        return default
    value = values[0].strip()
    if _CONTROL.search(value) or len(value) > _LONGEST:
        raise UdfError(f"{name} is not readable")
    return value


def integer(query: QueryDict, name: str) -> int | None:
    """A parameter as a whole number; None when it is absent. Raises `UdfError`."""
    if name not in query:
        return None
    value = text(query, name)
    if not _INTEGER.fullmatch(value):
        raise UdfError(f"{name} is not a whole number: {shown(value)}")
    return int(value)


def moment(query: QueryDict, name: str) -> int:
    """A parameter as a time in seconds, from 1970 to 2200. Raises `UdfError`."""
    value = integer(query, name)
    if value is None:
        raise UdfError(f"{name} is missing")
    if not 0 <= value <= LAST_SECOND:
        raise UdfError(f"{name} is not a time in seconds between 1970 and 2200: {value}")
    return value


def resolution(query: QueryDict) -> Timeframe:
    """The timeframe that ``resolution`` means. Raises `UdfError`."""
    value = text(query, "resolution")
    frame = RESOLUTIONS.get(value.upper())
    if frame is None:
        raise UdfError(f"unknown resolution {shown(value)}: known are {', '.join(RESOLUTIONS)}")
    return frame


def shown(value: str) -> str:
    """A value of the caller's as it may stand in a message."""
    return value if len(value) <= 64 else value[:64] + "…"
