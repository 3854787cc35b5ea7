"""One run: signals, simulation in chunks, metrics, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Bars, Floats
from apps.backtests.engine.errors import BarsError
from apps.backtests.engine.metrics import Value, measure
from apps.backtests.engine.simulation import Simulation
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import STRATEGIES, Signals
from apps.backtests.engine.trades import Trades

# Part of a result's identity: raised with every change that can move a byte of equity or trades.
ENGINE_VERSION = "1"

CHUNK = 65_536

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The outcome of a run.

    ``(spec_hash, data_fingerprint, engine_version)`` identifies it: running again gives the same
    ``fingerprint``, on any machine, compiled or not.

    Attributes:
        metrics: by name, JSON types; ``metrics.METRICS`` has their definitions.
        trades: closed trades, which are all trades.
        equity: worth of the account at each bar's close, float64, shape ``(n,)``.
        fingerprint: sha256 (hex) of the number of bars and trades and the little-endian bytes of equity and
            of each trade column.
    """

    metrics: dict[str, Value]
    trades: Trades
    equity: Floats
    fingerprint: str
    spec_hash: str
    data_fingerprint: str
    engine_version: str = ENGINE_VERSION


def run(
    bars: Bars,
    spec: Spec,
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    jit: bool | None = None,
) -> Result:
    """Run *spec* over *bars*.

    *progress* is called with the bars done and the bars in all after every *chunk* bars and at the
    end; an exception it raises ends the run and reaches the caller, which is how a run is cancelled.
    Neither *chunk* nor *jit* (see ``kernel.chosen``) changes the result.

    Raises:
        BarsError: there are no bars, or equity grew beyond what float64 can hold.
    """
    if not len(bars):
        raise BarsError("there are no bars to run on")
    signals = STRATEGIES[spec.strategy].signals(bars, spec.params)
    return run_signals(bars, signals, spec, progress=progress, chunk=chunk, jit=jit)


def run_signals(
    bars: Bars,
    signals: Signals,
    spec: Spec,
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    jit: bool | None = None,
) -> Result:
    """The second stage of ``run`` alone, on signals made elsewhere; at least one bar."""
    if chunk < 1:
        raise ValueError("a chunk has at least one bar")
    count = len(bars)
    bits = np.ascontiguousarray(signals.bits, np.uint8).view()
    bits.flags.writeable = False
    entries = int(np.count_nonzero(bits & np.uint8(kernel.ENTER_LONG | kernel.ENTER_SHORT)))
    simulation = Simulation(spec, entries=entries, jit=jit)
    equity = np.empty(count)
    for start in range(0, count, chunk):
        part = slice(start, min(start + chunk, count))
        simulation.advance(bars.open[part], bars.close[part], bits[part], equity[part])
        if progress is not None:
            progress(part.stop, count)
    last = bars.open if spec.execution.finalise == "last_open" else bars.close
    equity[-1] = simulation.finish(float(last[-1]))
    if not np.isfinite(equity).all():
        raise BarsError("these prices move equity beyond the range of float64")
    trades = Trades.of(simulation.table())
    metrics = measure(
        bars=bars,
        equity=equity,
        trades=trades,
        cash=spec.cash,
        warmup=signals.warmup,
        entries_skipped=int(simulation.state(kernel.SKIPPED)),
        written_off=simulation.state(kernel.WRITTEN_OFF),
    )
    return Result(
        metrics=metrics,
        trades=trades,
        equity=equity,
        fingerprint=_fingerprint(equity, trades),
        spec_hash=spec.spec_hash,
        data_fingerprint=bars.fingerprint,
    )


def _fingerprint(equity: Floats, trades: Trades) -> str:
    digest = hashlib.sha256(f"result/1 {len(equity)} {len(trades)}\n".encode())
    digest.update(equity.astype("<f8", copy=False).data)
    for _, column in trades.columns():
        digest.update(np.ascontiguousarray(column.astype(column.dtype.newbyteorder("<"), copy=False)).data)
    return digest.hexdigest()
