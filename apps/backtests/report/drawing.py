"""What a report draws of candles: few enough to be kept with a result, so that no page reads any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from apps.backtests.columns import pack_table, unpack_table
from apps.backtests.engine import Bars
from apps.backtests.engine.bars import Times
from apps.backtests.report.curves import buckets, curve

_COLUMNS = ("ts", "open", "high", "low", "close", "volume")
_HELD = ("ts", "value")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Candles as a report shows them.

    Attributes:
        prices: for each instrument, in their order, the columns of `buckets`.
        buy_hold: the cash in equal parts in each instrument from its first close, no costs: columns ``ts``
            and ``value``; None where an instrument has no candles.
        bars: of the instrument that has the most.
        step: milliseconds of a bar.
    """

    prices: Sequence[dict[str, Any]]
    buy_hold: dict[str, list[Any]] | None
    bars: int
    step: int


def drawing_of(bars: Sequence[Bars], cash: float) -> Drawing:
    """The drawing of these bars, of at least one instrument, with at most `POINTS` of everything."""
    return Drawing(
        prices=[buckets(one) for one in bars],
        buy_hold=_buy_hold(bars, cash),
        bars=max(map(len, bars)),
        step=min(one.step for one in bars),
    )


def nothing_drawn(instruments: int, bars: int, step: int) -> Drawing:
    """The drawing where no candles were kept."""
    empty = {"width": 1, **{name: [] for name in _COLUMNS}}
    return Drawing(prices=[empty] * instruments, buy_hold=None, bars=bars, step=step)


def encode_drawing(drawing: Drawing) -> bytes:
    """A drawing as `decode_drawing` gives it: a row of each instrument, and one more."""
    rows = [*drawing.prices, {"width": drawing.step, **dict.fromkeys(_COLUMNS, ())}]
    columns: dict[str, Any] = {"width": [row["width"] for row in rows]}
    for name in _COLUMNS:
        columns[name] = _lists([row[name] for row in rows], np.int64 if name == "ts" else np.float64)
    held = drawing.buy_hold
    for name in _HELD:
        last = None if held is None else held[name]
        kind = pa.list_(pa.int64() if name == "ts" else pa.float64())
        columns[f"held_{name}"] = pa.array([None] * (len(rows) - 1) + [last], kind)
    columns["bars"] = [drawing.bars] * len(rows)
    return pack_table(pa.table(columns))


def decode_drawing(data: bytes) -> Drawing:
    """The drawing that was encoded, to the bit."""
    *prices, last = unpack_table(data).to_pylist()
    held = {name: last[f"held_{name}"] for name in _HELD}
    return Drawing(
        prices=[{name: row[name] for name in ("width", *_COLUMNS)} for row in prices],
        buy_hold=None if held["ts"] is None else held,
        bars=last["bars"],
        step=last["width"],
    )


def _lists(values: Sequence[Sequence[Any]], kind: type) -> pa.Array:
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate([np.asarray(one, kind) for one in values]))


def _buy_hold(bars: Sequence[Bars], cash: float) -> dict[str, list[Any]] | None:
    """What the cash would be worth in equal parts in the instruments."""
    ts: Times
    if not all(map(len, bars)):
        return None
    if len(bars) == 1:
        (one,) = bars
        ts, worth = one.ts, one.close * (cash / float(one.close[0]))
    else:
        ts = np.unique(np.concatenate([one.ts for one in bars]))
        worth = np.zeros(len(ts))
        for one in bars:
            # Before its first bar a part is still cash.
            at = np.searchsorted(one.ts, ts, side="right") - 1
            held = one.close[np.maximum(at, 0)] / float(one.close[0])
            worth += np.where(at < 0, 1.0, held) * (cash / len(bars))
    return curve(ts, worth)
