"""The closed trades of a run, as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Floats, Times

REASONS = {
    kernel.BY_SIGNAL: "signal",
    kernel.AT_END: "end",
    kernel.IN_BANKRUPTCY: "bankruptcy",
    kernel.AT_STOP: "stop_loss",
    kernel.AT_TARGET: "take_profit",
    kernel.AT_TRAIL: "trailing",
    kernel.AT_TIME: "time_stop",
    kernel.IN_LIQUIDATION: "liquidation",
}

_COLUMNS = {
    "entry_bar": kernel.T_ENTRY_BAR,
    "exit_bar": kernel.T_EXIT_BAR,
    "size": kernel.T_SIZE,
    "entry_price": kernel.T_ENTRY_PRICE,
    "exit_price": kernel.T_EXIT_PRICE,
    "commission": kernel.T_COMMISSION,
    "funding": kernel.T_FUNDING,
    "pnl": kernel.T_PNL,
    "return_": kernel.T_RETURN,
    "reason": kernel.T_REASON,
    "instrument": kernel.T_INSTRUMENT,
    "entries": kernel.T_ENTRIES,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Trades:
    """Closed trades in the order of their exits; every column has shape ``(number of trades,)``.

    Attributes:
        entry_bar, exit_bar: indices of the bars of the fills.
        size: units, negative for a short.
        entry_price, exit_price: fill prices, spread and slippage included; that of several entries is their
            mean, weighted by size.
        commission: of all fills, in the quote currency.
        funding: paid while it was open, in the quote currency; negative where it was received.
        pnl: gain after commission and funding, in the quote currency.
        return_: ``pnl`` as a fraction of the value at entry.
        reason: why it ended, a key of ``REASONS``.
        instrument: which of the run's instruments, from 0.
        entries: fills that built the position.
    """

    entry_bar: NDArray[np.int64]
    exit_bar: NDArray[np.int64]
    size: Floats
    entry_price: Floats
    exit_price: Floats
    commission: Floats
    funding: Floats
    pnl: Floats
    return_: Floats
    reason: NDArray[np.int8]
    instrument: NDArray[np.int32]
    entries: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.size)

    @classmethod
    def of(cls, table: Floats) -> Trades:
        """Trades from the kernel's rows, shape ``(n, kernel.TRADE)``."""
        types = {
            "entry_bar": np.int64,
            "exit_bar": np.int64,
            "reason": np.int8,
            "instrument": np.int32,
            "entries": np.int32,
        }
        return cls(
            **{name: table[:, at].astype(types.get(name, np.float64)) for name, at in _COLUMNS.items()}
        )

    def columns(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Names and columns, in the order in which they are fingerprinted."""
        for item in fields(self):
            yield item.name, getattr(self, item.name)

    def rows(self, ts: Times, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
        """Trades *start* to *stop* as JSON types; *ts* are the open times of the run's bars."""
        part = slice(start, stop)
        columns: dict[str, list[Any]] = {
            "side": ["long" if size > 0 else "short" for size in self.size[part].tolist()],
            "size": np.abs(self.size[part]).tolist(),
            "entry_time": ts[self.entry_bar[part]].tolist(),
            "exit_time": ts[self.exit_bar[part]].tolist(),
            "entry_bar": self.entry_bar[part].tolist(),
            "exit_bar": self.exit_bar[part].tolist(),
            "entry_price": self.entry_price[part].tolist(),
            "exit_price": self.exit_price[part].tolist(),
            "commission": self.commission[part].tolist(),
            "funding": self.funding[part].tolist(),
            "pnl": self.pnl[part].tolist(),
            "return_pct": (self.return_[part] * 100).tolist(),
            "reason": [REASONS[code] for code in self.reason[part].tolist()],
            "instrument": self.instrument[part].tolist(),
            "entries": self.entries[part].tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
