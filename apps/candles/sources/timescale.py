"""Candles in the database, on TimescaleDB and on any other PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from apps.candles.instruments import parse_instrument
from apps.candles.ranges import Range
from apps.candles.selectors import coverage
from apps.candles.sources.base import VALUES, Candles, Span, UnknownInstrument, check_request
from apps.candles.storage.dirty import Ticks
from apps.candles.storage.reader import (
    ScalesChanged,
    State,
    read_bars,
    read_ends,
    read_first,
    read_last,
    read_state,
)
from apps.candles.storage.revisions import versions
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_datetime, to_ms


class TimescaleSource:
    """Reads the candle relations, whoever keeps the roll-ups in them."""

    def __init__(self, using: str = "default") -> None:
        self.using = using

    def load(
        self, instrument: str, timeframe: str, start: datetime, end: datetime, *, state: State | None = None
    ) -> Candles:
        """See `DataSource.load`. *state* is the instrument's where the caller has read it before."""
        frame, first, last = check_request(timeframe, start, end)
        return self._candles(
            instrument,
            frame,
            lambda state: read_bars(timeframe=frame, state=state, start=first, end=last, using=self.using),
            state,
        )

    def load_first(
        self,
        instrument: str,
        timeframe: str,
        start: datetime,
        end: datetime,
        count: int,
        *,
        state: State | None = None,
    ) -> Candles:
        """The first *count* bars that open in [start, end), over any gaps; fewer when there are no more.

        Otherwise as `load`.
        """
        frame, first, last = check_request(timeframe, start, end)
        return self._candles(
            instrument,
            frame,
            lambda state: read_first(
                timeframe=frame, state=state, start=first, end=last, count=count, using=self.using
            ),
            state,
        )

    def load_last(
        self, instrument: str, timeframe: str, end: datetime, count: int, *, state: State | None = None
    ) -> Candles:
        """The last *count* bars that open before *end*, over any gaps; fewer when there are no more.

        Otherwise as `load`.
        """
        frame, _, last = check_request(timeframe, end, end)
        return self._candles(
            instrument,
            frame,
            lambda state: read_last(timeframe=frame, state=state, end=last, count=count, using=self.using),
            state,
        )

    def _candles(
        self, instrument: str, frame: Timeframe, read: Callable[[State], Ticks], state: State | None
    ) -> Candles:
        """The bars that *read* gives, as floats."""
        while True:
            state = state or self._state(instrument)
            try:
                ticks = read(state)
                break
            except ScalesChanged:
                state = None
        price, volume = 10.0**state.price_scale, 10.0**state.volume_scale
        # Division by a power of ten is correctly rounded, so this is the float nearest to the decimal.
        values = {name: ticks[name] / (volume if name == "volume" else price) for name in VALUES}
        return Candles(
            source="timescale", instrument=instrument, timeframe=frame.name, ts=ticks["ts"], **values
        )

    def versions(self, instrument: str, start: int, end: int) -> dict[int, int]:
        """The versions of the months that [start, end) milliseconds touches and that have one, in order.

        By the millisecond at which the month begins. Raises `UnknownInstrument`.
        """
        state = self._state(instrument)
        found = versions([state.id], start, end, using=self.using)
        return {
            to_ms(datetime(month.year, month.month, 1, tzinfo=UTC)): token
            for (_, month), token in found.items()
        }

    def available(self, instrument: str) -> dict[str, Span]:
        """See `DataSource.available`."""
        state, ends = self._ends(instrument)
        minutes = coverage([state.id], using=self.using).get(state.id)
        spans = {}
        for name, frame in TIMEFRAMES.items():
            opens = list(ends.get(name, ()))
            if minutes is not None:
                opens += [frame.floor(to_ms(minutes.first)), frame.floor(to_ms(minutes.last))]
            if opens:
                spans[name] = Span(first=to_datetime(min(opens)), last=to_datetime(max(opens)))
        return spans

    def _ends(self, instrument: str) -> tuple[State, dict[str, Range]]:
        """The instrument's state, and when the first and the last bar of its roll-ups open."""
        while True:
            state = self._state(instrument)
            with suppress(ScalesChanged):
                return state, read_ends(state=state, using=self.using)

    def _state(self, text: str) -> State:
        try:
            state = read_state(*parse_instrument(text), using=self.using)
        except ValueError:
            state = None
        if state is None:
            raise UnknownInstrument(text)
        return state
