"""Candles in the database, on TimescaleDB and on any other PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime

from apps.candles.instruments import parse_instrument
from apps.candles.selectors import coverage
from apps.candles.sources.base import VALUES, Candles, Span, UnknownInstrument, check_request
from apps.candles.storage.dirty import Ticks
from apps.candles.storage.reader import State, read_bars, read_state
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_datetime, to_ms


class TimescaleSource:
    """Reads the candle relations, whoever keeps the roll-ups in them."""

    def __init__(self, using: str = "default") -> None:
        self.using = using

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        """See `DataSource.load`."""
        frame, first, last = check_request(timeframe, start, end)
        state, ticks = self._read(instrument, frame, first, last)
        price, volume = 10.0**state.price_scale, 10.0**state.volume_scale
        # Division by a power of ten is correctly rounded, so this is the float nearest to the decimal.
        values = {name: ticks[name] / (volume if name == "volume" else price) for name in VALUES}
        return Candles(
            source="timescale", instrument=instrument, timeframe=frame.name, ts=ticks["ts"], **values
        )

    def available(self, instrument: str) -> dict[str, Span]:
        """See `DataSource.available`."""
        state = self._state(instrument)
        minutes = coverage([state.id], using=self.using).get(state.id)
        if minutes is None:
            return {}
        first, last = to_ms(minutes.first), to_ms(minutes.last)
        return {
            name: Span(first=to_datetime(frame.floor(first)), last=to_datetime(frame.floor(last)))
            for name, frame in TIMEFRAMES.items()
        }

    def _read(self, instrument: str, frame: Timeframe, first: int, last: int) -> tuple[State, Ticks]:
        """The bars as integers, and the state that they belong to."""
        state = self._state(instrument)
        while True:
            ticks = read_bars(timeframe=frame, state=state, start=first, end=last, using=self.using)
            now = self._state(instrument)
            # Scales only grow: the same before and after means the same during the reading.
            if (state.price_scale, state.volume_scale) == (now.price_scale, now.volume_scale):
                return state, ticks
            state = now

    def _state(self, text: str) -> State:
        try:
            state = read_state(*parse_instrument(text), using=self.using)
        except ValueError:
            state = None
        if state is None:
            raise UnknownInstrument(text)
        return state
