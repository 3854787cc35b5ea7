"""What a report is made of: the outcome of a run, wherever it was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.backtests.engine import Result
from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.trades import REASONS

Codes = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, eq=False)
class TradeTable:
    """Closed trades in the order of their exits; every column has shape ``(n,)``.

    Attributes:
        entry_time, exit_time: open times of the bars of the fills, ms since 1970 UTC.
        size: units, negative for a short.
        entry_price, exit_price: fill prices, costs included.
        commission, funding, pnl: money; pnl is the gain after both.
        return_: pnl as a fraction of the value at entry.
        reason: index into *reasons*, why it ended.
        instrument: index of its instrument in the report's list.
        reasons: names.
    """

    entry_time: Times
    exit_time: Times
    size: Floats
    entry_price: Floats
    exit_price: Floats
    commission: Floats
    funding: Floats
    pnl: Floats
    return_: Floats
    reason: Codes
    instrument: Codes
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.size)

    def part(self, start: int, stop: int) -> TradeTable:
        """Trades *start* to *stop*."""
        columns = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "reasons"}
        return TradeTable(
            **{name: column[start:stop] for name, column in columns.items()}, reasons=self.reasons
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """One run's result as a report shows it.

    Attributes:
        ts, equity: worth of the account at these times, which ascend: at each bar's close, or fewer points
            that keep every peak and trough.
        metrics: by name, as ``engine.METRICS`` defines them.
        bounds: metrics by name of the same run with every ambiguous bar decided for the worse
            (``pessimistic``) and for the better (``optimistic``); None where that is not known.
        ambiguous: bars that do not tell what came first; None where they were not counted.
        certificate: the outcome of the look-ahead test, JSON types.
    """

    ts: Times
    equity: Floats
    trades: TradeTable
    metrics: Mapping[str, float | int | None]
    fingerprint: str
    spec_hash: str
    data_fingerprint: str
    engine_version: str
    ambiguous: int | None = None
    bounds: Mapping[str, Mapping[str, Any]] | None = None
    certificate: Mapping[str, Any] | None = None


def outcome_of(result: Result, *, certificate: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome of a run of the engine."""
    ts = result.ts
    trades = result.trades
    codes = list(REASONS)
    table = TradeTable(
        entry_time=ts[trades.entry_bar],
        exit_time=ts[trades.exit_bar],
        size=trades.size,
        entry_price=trades.entry_price,
        exit_price=trades.exit_price,
        commission=trades.commission,
        funding=trades.funding,
        pnl=trades.pnl,
        return_=trades.return_,
        reason=_places(trades.reason, codes),
        instrument=trades.instrument.astype(np.int16),
        reasons=tuple(REASONS[code] for code in codes),
    )
    return Outcome(
        ts=ts,
        equity=result.equity,
        trades=table,
        metrics=result.metrics,
        fingerprint=result.fingerprint,
        spec_hash=result.spec_hash,
        data_fingerprint=result.data_fingerprint,
        engine_version=result.engine_version,
        ambiguous=result.ambiguous,
        bounds=result.bounds,
        certificate=certificate,
    )


def table_of_stored(stored: pa.Table, instruments: Sequence[str]) -> TradeTable:
    """Trades as they are stored (see `columns.decode_trades`); *instruments* are the report's."""

    def numbers(name: str) -> Floats:
        return np.asarray(stored[name].to_numpy(), np.float64)

    def coded(name: str) -> tuple[Codes, list[str]]:
        found = stored[name].combine_chunks().dictionary_encode()
        return found.indices.to_numpy().astype(np.int16), found.dictionary.to_pylist()

    reason, reasons = coded("reason")
    named, names = coded("instrument")
    side, sides = coded("side")
    places = np.array([instruments.index(name) for name in names], np.int16)
    signs = np.array([-1.0 if name == "short" else 1.0 for name in sides])
    size = numbers("size")
    return TradeTable(
        entry_time=np.asarray(stored["entry_time"].to_numpy(), np.int64),
        exit_time=np.asarray(stored["exit_time"].to_numpy(), np.int64),
        size=size * signs[side],
        entry_price=numbers("entry_price"),
        exit_price=numbers("exit_price"),
        commission=numbers("commission"),
        # What the first engine computed knew of no funding.
        funding=numbers("funding") if "funding" in stored.column_names else np.zeros(len(size)),
        pnl=numbers("pnl"),
        return_=numbers("return_pct") / 100,
        reason=reason,
        instrument=places[named],
        reasons=tuple(reasons),
    )


def _places(values: NDArray[Any], codes: list[int]) -> Codes:
    """Where in *codes* each value is."""
    order = np.argsort(codes)
    places: Codes = order[np.searchsorted(np.asarray(codes)[order], values)].astype(np.int16)
    return places
