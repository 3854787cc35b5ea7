"""One run: signals, simulation in chunks, metrics, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from apps.backtests.engine import kernel
from apps.backtests.engine.bars import Bars, Floats, Times
from apps.backtests.engine.errors import BarsError
from apps.backtests.engine.feed import Feed, feed_of, joined
from apps.backtests.engine.metrics import Value, measure
from apps.backtests.engine.simulation import Simulation
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.trades import Trades

# Part of a result's identity: raised with every change that can move a byte of equity or trades.
ENGINE_VERSION = "3"

CHUNK = 65_536

#: Metrics that are reported for both ways to read ambiguous bars.
BOUNDED = ("final_equity", "return_pct", "max_drawdown_pct", "sharpe", "n_trades", "win_rate_pct")

Progress = Callable[[int, int], None]
Data = Bars | Mapping[str, Bars]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The outcome of a run.

    ``(spec_hash, data_fingerprint, engine_version)`` identifies it: running again gives the same
    ``fingerprint``, on any machine, compiled or not.

    Attributes:
        metrics: by name, JSON types; ``metrics.METRICS`` has their definitions.
        trades: closed trades, which are all trades.
        ts: open times of the bars that orders were filled on, of all instruments together, shape ``(n,)``.
        equity: worth of the account at each of these bars' closes, float64, shape ``(n,)``.
        instruments: names, in the order in which ``trades.instrument`` counts them.
        ambiguous: bars that do not tell whether a stop or a target came first, or whether before an entry.
        bounds: the ``BOUNDED`` metrics with every such bar read as ``pessimistic`` and as ``optimistic``.
        fingerprint: sha256 (hex) of the number of bars and trades and the little-endian bytes of equity and
            of each trade column.
    """

    metrics: dict[str, Value]
    trades: Trades
    ts: Times
    equity: Floats
    instruments: tuple[str, ...]
    ambiguous: int
    bounds: dict[str, dict[str, Value]]
    fingerprint: str
    spec_hash: str
    data_fingerprint: str
    engine_version: str = ENGINE_VERSION


def run(
    data: Data,
    spec: Spec,
    *,
    detail: Data | None = None,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    jit: bool | None = None,
) -> Result:
    """Run *spec* over *data*: the bars of one instrument, or of several by name, sharing one account.

    Orders are filled on the finer bars *detail*, of the same instruments, where these are given.
    *progress* is called with the bars done and the bars in all, those of ``Result.ts``, after every *chunk*
    bars and at the end, and between the parts of the signal stage with none done; an exception it raises
    ends the run and reaches the caller, which is how a run is cancelled. Neither *chunk* nor *jit* (see
    ``jit.chosen``) changes the result.

    Raises:
        BarsError: there are no bars, the finer bars do not fit, or equity grew beyond what float64 can hold.
        SpecError: the specification needs something that its strategy does not give.
    """
    check = None
    if progress is not None:
        filled_on = list(_named(data if detail is None else detail).values())
        _demand_some(filled_on)
        check = partial(progress, 0, len(joined(filled_on)[0]))
    signals = signals_of(data, spec, check=check)
    return run_signals(data, signals, spec, detail=detail, progress=progress, chunk=chunk, jit=jit)


def signals_of(data: Data, spec: Spec, *, check: Callable[[], object] | None = None) -> dict[str, Signals]:
    """The first stage of ``run`` alone, by instrument.

    *check* is called between computations; what it raises ends the stage.
    """
    strategy, params = spec.definition, spec.params
    return {name: strategy.signals(bars, params, check=check) for name, bars in _named(data).items()}


def run_signals(
    data: Data,
    signals: Signals | Mapping[str, Signals],
    spec: Spec,
    *,
    detail: Data | None = None,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    jit: bool | None = None,
) -> Result:
    """The second stage of ``run`` alone, on signals made elsewhere."""
    if chunk < 1:
        raise ValueError("a chunk has at least one bar")
    bars = _named(data)
    fine = None if detail is None else _named(detail)
    if fine is not None and fine.keys() != bars.keys():
        raise BarsError("the finer bars are not of the same instruments")
    given = {"": signals} if isinstance(signals, Signals) else signals
    feeds = [
        feed_of(one, given[name], detail=None if fine is None else fine[name], funding=spec.costs.funding)
        for name, one in bars.items()
    ]
    _demand_some([feed.bars for feed in feeds])
    result = _simulated(feeds, spec, progress=progress, chunk=chunk, jit=jit)
    equity, trades, metrics, ambiguous = result[1:]
    bounds = dict.fromkeys(("pessimistic", "optimistic"), _bounded(metrics))
    if ambiguous:
        other = "pessimistic" if spec.execution.same_bar == "optimistic" else "optimistic"
        again = None if progress is None else partial(_again, progress)
        otherwise = _simulated(
            feeds, spec, progress=again, chunk=chunk, jit=jit, optimistic=other == "optimistic"
        )
        bounds[other] = _bounded(otherwise[3])
    return Result(
        metrics=metrics,
        trades=trades,
        ts=result[0],
        equity=equity,
        instruments=tuple(bars),
        ambiguous=ambiguous,
        bounds=bounds,
        fingerprint=_fingerprint(equity, trades),
        spec_hash=spec.spec_hash,
        data_fingerprint=fingerprint_of(data, detail),
    )


def _demand_some(bars: Sequence[Bars]) -> None:
    if not all(map(len, bars)):
        raise BarsError("there are no bars to run on")


def _again(progress: Progress, done: int, total: int) -> None:
    """Report nothing new, and hear whether the run is to end."""
    progress(total, total)


def fingerprint_of(data: Data, detail: Data | None = None) -> str:
    """sha256 (hex) that identifies all bars of a run: their values, steps, names, and which are the finer."""
    digest = hashlib.sha256(b"data/1\n")
    for part in (data, detail):
        for name, bars in _named(part).items() if part is not None else ():
            digest.update(f"{name} {bars.step} {bars.fingerprint}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _simulated(
    feeds: Sequence[Feed],
    spec: Spec,
    *,
    progress: Progress | None,
    chunk: int,
    jit: bool | None,
    optimistic: bool | None = None,
) -> tuple[Times, Floats, Trades, dict[str, Value], int]:
    """Times, equity, trades, metrics and the number of ambiguous bars."""
    simulation = Simulation(spec, feeds, jit=jit, optimistic=optimistic)
    count = len(simulation.ts)
    equity = np.empty(count)
    for start in range(0, count, chunk):
        stop = min(start + chunk, count)
        simulation.advance(stop, equity[start:stop])
        if progress is not None:
            progress(stop, count)
    equity[-1] = simulation.finish()
    table = simulation.table()
    if not (np.isfinite(equity).all() and np.isfinite(table).all()):
        raise BarsError("these prices move equity beyond the range of float64")
    trades = Trades.of(table)
    one = len(feeds) == 1
    metrics = measure(
        bars=feeds[0].bars if one else None,
        ts=None if one else simulation.ts,
        closes=() if one else simulation.closes(),
        equity=equity,
        trades=trades,
        cash=spec.cash,
        warmup=simulation.warmup,
        entries_skipped=int(simulation.account(kernel.SKIPPED)),
        written_off=simulation.account(kernel.WRITTEN_OFF),
        funding_paid=simulation.account(kernel.FUNDING),
    )
    return simulation.ts, equity, trades, metrics, int(simulation.account(kernel.AMBIGUOUS))


def _named(data: Data) -> Mapping[str, Bars]:
    return {"": data} if isinstance(data, Bars) else data


def _bounded(metrics: dict[str, Value]) -> dict[str, Value]:
    return {name: metrics[name] for name in BOUNDED}


def _fingerprint(equity: Floats, trades: Trades) -> str:
    digest = hashlib.sha256(f"result/2 {len(equity)} {len(trades)}\n".encode())
    digest.update(equity.astype("<f8", copy=False).data)
    for _, column in trades.columns():
        digest.update(np.ascontiguousarray(column.astype(column.dtype.newbyteorder("<"), copy=False)).data)
    return digest.hexdigest()
