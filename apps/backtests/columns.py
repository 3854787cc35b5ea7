"""Trades and equity curves as they are stored whole: compressed Arrow streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.backtests.engine import Trades
from apps.backtests.engine.trades import REASONS

Times = NDArray[np.int64]
Floats = NDArray[np.float64]

# Higher levels take several times as long for a few percent.
_ZSTD = pa.Codec("zstd", 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Equity at the close of each bar; both arrays have one value for every bar."""

    #: Open times in milliseconds.
    ts: Times
    value: Floats

    def __len__(self) -> int:
        return len(self.ts)

    def at(self, places: NDArray[np.int64]) -> Curve:
        """The bars at these places."""
        return Curve(ts=self.ts[places], value=self.value[places])


def encode_trades(trades: Trades, ts: Times) -> bytes:
    """All trades, in the order of their exits, as `decode_trades` gives them.

    *ts* are the open times of the bars that trades count by.
    """
    given = dict(trades.columns())
    size, reason = given.pop("size"), given.pop("reason")
    columns: dict[str, Any] = {
        "side": _words(["short", "long"], size > 0),
        "size": np.abs(size),
        "entry_time": ts[given["entry_bar"]],
        "exit_time": ts[given["exit_bar"]],
        "return_pct": given.pop("return_") * 100,
        "reason": _words([REASONS[code] for code in range(len(REASONS))], reason),
        **given,
    }
    return pack_table(pa.table({name: columns[name] for name in _ordered(columns)}))


def _words(words: list[str], places: NDArray[Any]) -> pa.Array:
    """A column of text from the places of its words."""
    return pa.array(words, pa.string()).take(pa.array(places.astype(np.int8)))


def decode_trades(data: bytes, instruments: list[str]) -> pa.Table:
    """The trades that were encoded, with a column ``instrument`` (text) first.

    Columns: instrument, side (long, short), size (positive), entry_time and exit_time (ms), entry_bar,
    exit_bar, entry_price, exit_price, commission, pnl, return_pct, reason, and what else the engine tells.
    """
    table = unpack_table(data)
    if "instrument" in table.column_names:
        names = pa.array(instruments, pa.string()).take(table["instrument"].combine_chunks().cast(pa.int64()))
        table = table.drop_columns(["instrument"])
    else:
        names = pa.repeat(pa.scalar(instruments[0], pa.string()), len(table))
    return table.add_column(0, "instrument", names)


def encode_curve(curve: Curve) -> bytes:
    """A whole curve, as `decode_curve` gives it. Times are kept as steps, which hardly take room."""
    return pack_table(pa.table({"step": np.diff(curve.ts, prepend=0), "value": curve.value}))


def decode_curve(data: bytes) -> Curve:
    """The curve that was encoded, to the bit."""
    table = unpack_table(data)
    return Curve(
        ts=np.cumsum(table["step"].to_numpy(), dtype=np.int64),
        value=np.asarray(table["value"].to_numpy(), np.float64),
    )


def warm_up() -> None:
    """Encode something, which imports what the first encoding imports."""
    encode_curve(Curve(ts=np.zeros(1, np.int64), value=np.zeros(1)))


_FIRST = (
    "instrument", "side", "size", "entry_time", "exit_time", "entry_bar", "exit_bar", "entry_price",
    "exit_price", "commission", "funding", "pnl", "return_pct", "reason",
)  # fmt: skip


def _ordered(columns: dict[str, Any]) -> list[str]:
    """The names of columns in the order in which people read them."""
    return [name for name in _FIRST if name in columns] + [name for name in columns if name not in _FIRST]


def pack_table(table: pa.Table) -> bytes:
    """A table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=_ZSTD)) as writer:
        writer.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack_table(data: bytes) -> pa.Table:
    """The table that was packed."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()
