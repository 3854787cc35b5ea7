"""Selecting bars for a request and printing them as the exchange does."""

from __future__ import annotations

from typing import Any

from apps.stack.exchange.bars import Amounts, Bars, Column, Source, aggregate, concatenate, no_bars
from apps.stack.exchange.intervals import MINUTE_MS, Interval
from apps.stack.exchange.markets import MAX_DECIMALS, Market

# Minutes generated and summed up at a time: bounds the memory that a year of days takes.
_PIECE = 65_536
_LONGEST_MONTH = 31 * 1440


def select(
    source: Source,
    interval: Interval,
    *,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    now_ms: int,
) -> Bars:
    """The bars that open from *start_ms* to *end_ms*, both included: *limit* of them at most.

    The first ones from *start_ms* where it is given, else the last ones up to *end_ms* or to the
    present. The last may be forming.
    """
    last = now_ms // MINUTE_MS if source.last is None else source.last
    newest = interval.floor(last if end_ms is None else min(last, end_ms // MINUTE_MS))
    oldest = interval.floor(source.first)
    if start_ms is not None:
        oldest = max(oldest, interval.ceil(-(-start_ms // MINUTE_MS)))
    enough = limit * (interval.minutes or _LONGEST_MONTH)
    if start_ms is not None:
        newest = min(newest, interval.floor(source.step(oldest, enough)))
    else:
        oldest = max(oldest, interval.floor(source.step(interval.shift(newest, 1), -enough)))
    if newest < oldest:
        return no_bars()
    bars = _bars(source, interval, oldest, interval.shift(newest, 1), now_ms)
    return bars.part(0, limit) if start_ms is not None else bars.part(max(0, len(bars) - limit), len(bars))


def _bars(source: Source, interval: Interval, start: int, stop: int, now_ms: int) -> Bars:
    """The bars between two openings, made piece by piece."""
    pieces: list[Bars] = []
    while start < stop:
        end = min(stop, max(interval.floor(start + _PIECE), interval.shift(start, 1)))
        pieces.append(aggregate(source.minutes(start, end, now_ms=now_ms), interval))
        start = end
    filled = [piece for piece in pieces if len(piece)]
    return concatenate(filled) if filled else no_bars()


def _printed(values: Column | Amounts, scale: int) -> list[str]:
    """*values* in units of ``10**-scale`` with the exchange's eight decimals, what is finer cut off."""
    if scale > MAX_DECIMALS:
        values, scale = values // 10 ** (scale - MAX_DECIMALS), MAX_DECIMALS
    # Shift by appending zeros, not by multiplying: a month's quote volume would leave 64 bits.
    zeros = "0" * (MAX_DECIMALS - scale)
    digits = [f"{value}{zeros}" for value in values.tolist()]
    return [f"{text[:-8]}.{text[-8:]}" if len(text) > 8 else f"0.{text:0>8}" for text in digits]


def texts(values: Column | Amounts, scale: int) -> list[str]:
    """*values* in units of ``10**-scale`` with just as many decimals."""
    if not scale:
        return [str(value) for value in values.tolist()]
    unit = 10**scale
    return [f"{value // unit}.{value % unit:0>{scale}}" for value in values.tolist()]


def trimmed(values: Column | Amounts, scale: int) -> list[str]:
    """*values* in units of ``10**-scale`` without trailing zeros: ``17071``, ``17071.5``."""
    return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts(values, scale)]


def rows(bars: Bars, market: Market, interval: Interval) -> list[list[Any]]:
    """One list of twelve columns for each bar, in the exchange's order; values of a file as it has them."""
    prices, lots = market.price_scale, market.lot_scale
    values = bars.text or (
        _printed(bars.open, prices),
        _printed(bars.high, prices),
        _printed(bars.low, prices),
        _printed(bars.close, prices),
        _printed(bars.volume, lots),
    )
    return [
        list(row)
        for row in zip(
            (bars.minute * MINUTE_MS).tolist(),
            *values,
            (interval.shift_all(bars.minute, 1) * MINUTE_MS - 1).tolist(),
            _printed(bars.quote, prices + lots),
            bars.trades.tolist(),
            _printed(bars.taker_base, lots),
            _printed(bars.taker_quote, prices + lots),
            ["0"] * len(bars),
            strict=True,
        )
    ]
