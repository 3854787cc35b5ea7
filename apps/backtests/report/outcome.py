"""What a report is made of: the outcome of a run, wherever it was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import Bars, Result
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
        bound_equity: curves by the same names, of the points at *ts*, where they are known.
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
    bound_equity: Mapping[str, Floats] | None = None
    certificate: Mapping[str, Any] | None = None


def timeline(bars: Mapping[str, Bars]) -> Times:
    """The times of the bars of several instruments together, each once, ascending."""
    columns = [one.ts for one in bars.values()]
    return columns[0] if len(columns) == 1 else np.unique(np.concatenate(columns))


def outcome_of(result: Result, ts: Times, *, certificate: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome of a run of the engine; *ts* are the times that its bar indices count, unless it has some
    of its own.
    """
    ts = getattr(result, "ts", ts)
    trades = result.trades
    size = len(trades)
    codes = list(REASONS)
    table = TradeTable(
        entry_time=ts[trades.entry_bar],
        exit_time=ts[trades.exit_bar],
        size=trades.size,
        entry_price=trades.entry_price,
        exit_price=trades.exit_price,
        commission=trades.commission,
        funding=getattr(trades, "funding", np.zeros(size)),
        pnl=trades.pnl,
        return_=trades.return_,
        reason=_places(trades.reason, codes),
        instrument=getattr(trades, "instrument", np.zeros(size)).astype(np.int16),
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
        ambiguous=getattr(result, "ambiguous", None),
        bounds=getattr(result, "bounds", None),
        certificate=certificate,
    )


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> TradeTable:
    """Trades that were kept as `Trades.rows` gives them."""
    reasons = tuple(dict.fromkeys(str(row["reason"]) for row in rows))
    places = {name: place for place, name in enumerate(reasons)}

    def floats(name: str, default: float | None = None) -> Floats:
        return np.array([row[name] if default is None else row.get(name, default) for row in rows], float)

    return TradeTable(
        entry_time=np.array([row["entry_time"] for row in rows], np.int64),
        exit_time=np.array([row["exit_time"] for row in rows], np.int64),
        size=np.array([row["size"] * (-1 if row["side"] == "short" else 1) for row in rows], float),
        entry_price=floats("entry_price"),
        exit_price=floats("exit_price"),
        commission=floats("commission"),
        funding=floats("funding", 0.0),
        pnl=floats("pnl"),
        return_=floats("return_pct") / 100,
        reason=np.array([places[row["reason"]] for row in rows], np.int16),
        instrument=floats("instrument", 0.0).astype(np.int16),
        reasons=reasons,
    )


def _places(values: NDArray[Any], codes: list[int]) -> Codes:
    """Where in *codes* each value is."""
    order = np.argsort(codes)
    places: Codes = order[np.searchsorted(np.asarray(codes)[order], values)].astype(np.int16)
    return places
