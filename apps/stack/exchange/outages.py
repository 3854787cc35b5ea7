"""Times in which an exchange made no bars, by order of the operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.stack.exchange.bars import Bars, Source, no_bars
from apps.stack.exchange.intervals import MINUTE_MS

# The minute in which an outage without an end ends.
_NEVER = 2**40
_FIELDS = {"exchange", "market", "start", "end"}


class BadOutage(ValueError):
    """An outage that cannot be ordered; the text names the field."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """No bars of *exchange* that open in [*start*, *end*) (minutes), on *market* or, when None, on all.

    Without an end it goes on.
    """

    exchange: str
    market: str | None
    start: int
    end: int | None

    def as_json(self) -> dict[str, Any]:
        return {
            "exchange": self.exchange,
            "market": self.market,
            "start": self.start * MINUTE_MS,
            "end": None if self.end is None else self.end * MINUTE_MS,
        }


class Outages:
    """The outages ordered so far. Safe for many threads."""

    def __init__(self) -> None:
        self._outages: tuple[Outage, ...] = ()
        self._lock = threading.Lock()

    def add(self, outages: list[Outage]) -> None:
        with self._lock:
            self._outages += tuple(outages)

    def clear(self) -> None:
        with self._lock:
            self._outages = ()

    def listed(self) -> list[dict[str, Any]]:
        return [outage.as_json() for outage in self._outages]

    def of(self, exchange: str, market: str) -> list[Outage]:
        """Those that concern a market."""
        return [one for one in self._outages if one.exchange == exchange and one.market in (None, market)]


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """The history of *source* as a market of an exchange, without the minutes of its outages."""

    source: Source
    exchange: str
    market: str
    outages: Outages

    @property
    def kind(self) -> str:
        return self.source.kind

    @property
    def first(self) -> int:
        return self.source.first

    @property
    def last(self) -> int | None:
        return self.source.last

    def step(self, minute: int, count: int) -> int:
        """The source's own step, taken anew beyond each outage in its way."""
        reached = self.source.step(minute, count)
        for start, stop in self._spans()[:: 1 if count > 0 else -1]:
            if count > 0 and minute < stop and start < reached:
                minute = max(minute, stop)
            elif count < 0 and start < minute and reached < stop:
                minute = min(minute, start)
            else:
                continue
            reached = self.source.step(minute, count)
        return reached

    def minutes(self, start: int, stop: int, *, now_ms: int) -> Bars:
        stop = min(stop, now_ms // MINUTE_MS + 1)
        # What an outage takes from the ends need not be made at all.
        for down, up in self._spans():
            if down <= start:
                start = max(start, up)
        for down, up in reversed(self._spans()):
            if stop <= up:
                stop = min(stop, down)
        if start >= stop:
            return no_bars()
        bars = self.source.minutes(start, stop, now_ms=now_ms)
        there = np.ones(len(bars), dtype=np.bool_)
        for down, up in self._spans():
            there &= (bars.minute < down) | (bars.minute >= up)
        return bars if there.all() else bars.where(there)

    def _spans(self) -> list[tuple[int, int]]:
        """The outages in order of their start."""
        return sorted(
            (one.start, _NEVER if one.end is None else one.end)
            for one in self.outages.of(self.exchange, self.market)
        )


def parse_outages(body: bytes, markets: Mapping[str, Collection[str]]) -> list[Outage]:
    """The outages in a JSON list, for the *markets* of each exchange. Raises `BadOutage`."""
    try:
        listed = json.loads(body)
    except ValueError as error:
        raise BadOutage(f"not JSON: {error}") from None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise BadOutage("not a list of outages")
    return [_parse(entry, markets) for entry in listed]


def _parse(entry: dict[str, Any], markets: Mapping[str, Collection[str]]) -> Outage:
    if unknown := set(entry) - _FIELDS:
        raise BadOutage(f"unknown fields: {', '.join(sorted(unknown))}")
    exchange, market = entry.get("exchange"), entry.get("market")
    if not isinstance(exchange, str) or exchange not in markets:
        raise BadOutage(f"exchange must be one of {', '.join(markets)}, not {exchange!r}")
    if market is not None and market not in markets[exchange]:
        raise BadOutage(f"market must be one of {', '.join(markets[exchange])}, or null, not {market!r}")
    start = _minute(entry, "start")
    end = None if entry.get("end") is None else _minute(entry, "end")
    if end is not None and end <= start:
        raise BadOutage("end must be after start")
    return Outage(exchange=exchange, market=market, start=start, end=end)


def _minute(entry: dict[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value % MINUTE_MS:
        raise BadOutage(f"{name} must be a whole minute in milliseconds, not {value!r}")
    return value // MINUTE_MS
