"""Candles in the database, on TimescaleDB and on any other PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from apps.candles.instruments import parse_instrument
from apps.candles.models import Instrument
from apps.candles.selectors import coverage
from apps.candles.sources.base import VALUES, Candles, Span, UnknownInstrument, check_request
from apps.candles.storage.reader import read_ticks
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_datetime, to_ms

#: Bars as int64 arrays by column: ``ts`` in milliseconds, the others in units of the scales.
Ticks = dict[str, NDArray[np.int64]]


class TimescaleSource:
    """Reads the candle tables: stored timeframes as they are, the others made from the next lower one."""

    def __init__(self, using: str = "default") -> None:
        self.using = using

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        """See `DataSource.load`."""
        frame, first, last = check_request(timeframe, start, end)
        market = self._instrument(instrument)
        while True:
            scales = market.price_scale, market.volume_scale
            ticks = _read(frame, market.pk, first, last, self.using)
            market.refresh_from_db(using=self.using, fields=["price_scale", "volume_scale"])
            # Scales only grow: the same before and after means the same during the reading.
            if scales == (market.price_scale, market.volume_scale):
                break
        price, volume = (10.0**scale for scale in scales)
        # Division by a power of ten is correctly rounded, so this is the float nearest to the decimal.
        values = {name: ticks[name] / (volume if name == "volume" else price) for name in VALUES}
        return Candles(
            source="timescale", instrument=instrument, timeframe=frame.name, ts=ticks["ts"], **values
        )

    def available(self, instrument: str) -> dict[str, Span]:
        """See `DataSource.available`."""
        market = self._instrument(instrument)
        minutes = coverage([market.pk], using=self.using).get(market.pk)
        if minutes is None:
            return {}
        first, last = to_ms(minutes.first), to_ms(minutes.last)
        return {
            name: Span(first=to_datetime(frame.floor(first)), last=to_datetime(frame.floor(last)))
            for name, frame in TIMEFRAMES.items()
        }

    def _instrument(self, text: str) -> Instrument:
        try:
            exchange, symbol = parse_instrument(text)
            return Instrument.objects.using(self.using).get(exchange=exchange, symbol=symbol)
        except (ValueError, Instrument.DoesNotExist):
            raise UnknownInstrument(text) from None


def _read(
    frame: Timeframe, instrument_id: int, first: int, last: int, using: str
) -> dict[str, NDArray[np.int64]]:
    """The bars that open in [first, last), as integers."""
    # Cut to whole buckets, so that the last one is read to its own end.
    first, last = frame.ceil(first), frame.ceil(last)
    stored = frame if frame.table else frame.lower
    assert stored is not None
    ticks = read_ticks(timeframe=stored, instrument_id=instrument_id, start=first, end=last, using=using)
    return ticks if stored is frame else bucket(frame, ticks)


def bucket(frame: Timeframe, ticks: Ticks) -> Ticks:
    """Make bars of *frame* out of narrower ones. Integers in, integers out: sums are exact."""
    opens = frame.floors(ticks["ts"])
    if not len(opens):
        return ticks
    heads = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    tails = np.append(heads[1:], len(opens)) - 1
    return {
        "ts": opens[heads],
        "open": ticks["open"][heads],
        "high": np.maximum.reduceat(ticks["high"], heads),
        "low": np.minimum.reduceat(ticks["low"], heads),
        "close": ticks["close"][tails],
        "volume": np.add.reduceat(ticks["volume"], heads),
    }
