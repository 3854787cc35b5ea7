"""Reading bars of several instruments for one answer, and the tag by which a client knows that it has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

import numpy as np

from apps.candles import conf
from apps.candles.instruments import parse_instrument
from apps.candles.selectors import latest
from apps.candles.sources.base import VALUES, Candles, UnknownInstrument
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.reader import State, read_states
from apps.candles.timeframes import M1, MINUTE, Timeframe, to_datetime


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which bars are wanted. Times are in milliseconds."""

    instruments: tuple[str, ...]
    frame: Timeframe
    #: None: the last *limit* bars before the end.
    start: int | None
    end: int
    #: The most bars of each instrument; None: all that open in [start, end).
    limit: int | None
    #: Without the bar that is still forming.
    closed: bool
    #: The present.
    now: int


@dataclass(frozen=True, kw_only=True)
class Series:
    """The bars of one instrument."""

    candles: Candles
    #: Whether the last of the bars may still change because its minutes are not all there yet.
    forming: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The bars that were wanted, in the order in which the instruments were named."""

    timeframe: str
    #: The range that they are all of; without a start and without bars there is none.
    start: datetime | None
    end: datetime
    #: Where to start to go on, in milliseconds; None when that was all.
    next: int | None
    series: tuple[Series, ...]
    #: Whether it was asked for one instrument.
    single: bool


class Reading:
    """One question about to be answered: the instruments are looked up, no bar is read yet.

    Raises `UnknownInstrument`.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        names = {text: _parsed(text) for text in question.instruments}
        # The last bar holds minutes up to its own end.
        end = question.frame.ceil(question.end)
        found = read_states(list(names.values()), start=question.start or 0, end=end)
        self._states: dict[str, State] = {}
        self._versions = []
        for text, name in names.items():
            if name not in found:
                raise UnknownInstrument(text)
            self._states[text], version = found[name]
            self._versions.append(version)

    def tag(self, form: str) -> str:
        """What changes when an answer in this form would be another one.

        Of what is stored it knows the versions of the months that the range touches; of the present, in
        which bucket it lies and whether the one before it has settled.
        """
        asked = self.question
        frame, end = asked.frame, asked.frame.ceil(asked.end)
        moments = [asked.now] if frame is M1 else [asked.now, asked.now - to_ms_of_settling()]
        parts = (
            form,
            frame.name,
            None if asked.start is None else frame.ceil(asked.start),
            end,
            asked.limit,
            asked.closed,
            asked.instruments,
            self._versions,
            [min(end, frame.floor(moment) + frame.width) for moment in moments],
        )
        return blake2b(repr(parts).encode(), digest_size=12).hexdigest()

    def answer(self) -> Answer:
        """Read the bars."""
        asked = self.question
        series = _marked([self._load(text) for text in asked.instruments], self._states, asked)
        following = None
        if asked.start is not None and asked.limit is not None:
            # Where the first of the series that go on does so: none of the others loses a bar by it.
            cuts = [int(one.candles.ts[asked.limit]) for one in series if len(one.candles) > asked.limit]
            if cuts:
                following = min(cuts)
                series = [_before(one, following) for one in series]
        elif asked.limit is not None:
            series = [_last(one, asked.limit) for one in series]
        firsts = [int(one.candles.ts[0]) for one in series if len(one.candles)]
        start = asked.start if asked.start is not None else min(firsts, default=None)
        return Answer(
            timeframe=asked.frame.name,
            start=None if start is None else to_datetime(start),
            end=to_datetime(asked.end),
            next=following,
            series=tuple(series),
            single=len(series) == 1,
        )

    def _load(self, text: str) -> Candles:
        """The bars of one instrument; with a limit, and one that may be cut off, one bar more."""
        asked, state = self.question, self._states[text]
        source, frame, end = TimescaleSource(), asked.frame.name, to_datetime(asked.end)
        if asked.limit is None:
            assert asked.start is not None
            return source.load(text, frame, to_datetime(asked.start), end, state=state)
        if asked.start is None:
            return source.load_last(text, frame, end, asked.limit + asked.closed, state=state)
        count = asked.limit + 1
        return source.load_first(text, frame, to_datetime(asked.start), end, count, state=state)


def to_ms_of_settling() -> int:
    """`conf.settle` in milliseconds."""
    return int(conf.settle().total_seconds() * 1000)


def _parsed(text: str) -> tuple[str, str]:
    try:
        return parse_instrument(text)
    except ValueError:
        raise UnknownInstrument(text) from None


def _marked(loaded: Sequence[Candles], states: dict[str, State], asked: Question) -> list[Series]:
    """Say of each whether its last bar forms, or take that away.

    It forms until its bucket has ended, and a little longer where its last minute is not stored yet: the
    minute may be on its way, or there was no trade in it.
    """
    width, settling = asked.frame.width, asked.now - to_ms_of_settling()
    ends = [int(candles.ts[-1]) + width if len(candles) else 0 for candles in loaded]
    waiting: dict[int, list[int]] = {}
    for candles, end in zip(loaded, ends, strict=True):
        if asked.frame is not M1 and settling < end <= asked.now:
            waiting.setdefault(end, []).append(states[candles.instrument].id)
    settled: set[int] = set()
    for end, ids in waiting.items():
        settled |= latest(ids, since=to_datetime(end - MINUTE)).keys()
    series = []
    for candles, end in zip(loaded, ends, strict=True):
        pk = states[candles.instrument].id
        forming = end > asked.now or (pk in waiting.get(end, ()) and pk not in settled)
        if forming and asked.closed:
            candles, forming = _part(candles, slice(0, -1)), False
        series.append(Series(candles=candles, forming=forming))
    return series


def _before(series: Series, cut: int) -> Series:
    """The bars that open before *cut*."""
    count = int(np.searchsorted(series.candles.ts, cut))
    if count == len(series.candles):
        return series
    return Series(candles=_part(series.candles, slice(0, count)), forming=False)


def _last(series: Series, count: int) -> Series:
    if len(series.candles) <= count:
        return series
    return replace(series, candles=_part(series.candles, slice(-count, None)))


def _part(candles: Candles, where: slice) -> Candles:
    columns = {name: getattr(candles, name)[where] for name in ("ts", *VALUES)}
    return replace(candles, **columns)
