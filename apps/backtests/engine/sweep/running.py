"""Many combinations of parameters over the same bars, measured without keeping their equity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from apps.backtests.engine.bars import Bars
from apps.backtests.engine.errors import BarsError
from apps.backtests.engine.run import Data
from apps.backtests.engine.spec import Spec
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.sweep.lanes import Ground, Lane, Lanes, Window, capacity
from apps.backtests.engine.sweep.measuring import SWEPT, measured, returns_of
from apps.backtests.engine.sweep.signalling import signaller
from apps.backtests.engine.sweep.table import Table, joined

#: Called often with the combinations done and in all; what it raises ends the sweep.
Progress = Callable[[int, int], None]
#: A signal stage: bars and complete parameters to signals.
Maker = Callable[[Bars, Mapping[str, Any]], Signals]


def sweep(
    data: Data,
    spec: Spec,
    combinations: Sequence[Mapping[str, Any]],
    *,
    detail: Data | None = None,
    window: Window | None = None,
    returns: bool = False,
    signals: Maker | None = None,
    progress: Progress | None = None,
    jit: bool | None = None,
) -> Table:
    """Metrics of *spec* with each of *combinations* (complete, valid parameters) in place of its own.

    They are those of a run of the same combination, to relative 1e-9. *window* is a part [start, stop) of
    the bars that orders are filled on: indicators see all bars, the account starts flat at its start. With
    *returns* period returns are kept. *signals* is a signal stage in place of the strategy's. *progress* is
    called after each part of the work, compiled or not (*jit*, see ``jit.chosen``).

    Raises:
        BarsError: there are no bars, or the finer bars do not fit.
        SpecError: the specification needs something that its strategy does not give.
    """
    ground = ground_of(data, spec, detail)
    windows = [window if window is not None else (0, len(ground.ts))]
    return sweep_windows(
        ground, combinations, windows, returns=returns, signals=signals, progress=progress, jit=jit
    )[0]


def ground_of(data: Data, spec: Spec, detail: Data | None = None) -> Ground:
    """What a sweep runs on. Raises BarsError."""
    bars = _named(data)
    fine = None if detail is None else _named(detail)
    if fine is not None and fine.keys() != bars.keys():
        raise BarsError("the finer bars are not of the same instruments")
    if not bars or not all(len(one) for one in bars.values()):
        raise BarsError("there are no bars to run on")
    return Ground.of(spec, bars, fine)


def sweep_windows(
    ground: Ground,
    combinations: Sequence[Mapping[str, Any]],
    windows: Sequence[Window],
    *,
    returns: bool | Sequence[bool] = False,
    signals: Maker | None = None,
    progress: Progress | None = None,
    jit: bool | None = None,
) -> list[Table]:
    """`sweep` over several windows, the signals of a combination made once: a table for each window."""
    total = len(combinations)
    kept = [returns] * len(windows) if isinstance(returns, bool) else list(returns)
    for start, stop in windows:
        if not 0 <= start < stop <= len(ground.ts):
            raise BarsError(f"bars {start} to {stop} are not a part of {len(ground.ts)} bars")
    parts: list[list[Table]] = [[] for _ in windows]
    done = 0

    def report() -> None:
        if progress is not None:
            progress(done, total)

    makers = makers_of(ground, signals, check=report)
    while done < total:
        lanes: list[Lane] = []
        room = 1
        while len(lanes) < room and done + len(lanes) < total:
            params = combinations[done + len(lanes)]
            lanes.append(ground.lane({name: make(params) for name, make in makers.items()}))
            room = capacity(lanes[0])
            report()
        side_by_side = Lanes(ground, lanes)
        rows = tuple(combinations[done : done + len(lanes)])
        for window, keep, part in zip(windows, kept, parts, strict=True):
            outcome = side_by_side.run(window, jit=jit, report=report)
            ts = ground.ts[slice(*window)]
            part.append(
                Table(
                    params=rows,
                    metrics=measured(ts, outcome, ground.spec.cash),
                    returns=returns_of(outcome) if keep else None,
                )
            )
        done += len(lanes)
        report()
    return [joined(part) if part else _empty() for part in parts]


def makers_of(
    ground: Ground, signals: Maker | None, *, check: Callable[[], object] | None = None
) -> dict[str, Callable[[Mapping[str, Any]], Signals]]:
    """For each instrument a function from parameters to signals, which shares what combinations share."""
    if signals is not None:
        return {name: partial(signals, bars) for name, bars in ground.bars.items()}
    share = len(ground.bars)
    return {
        name: signaller(bars, ground.spec, share=share, check=check) for name, bars in ground.bars.items()
    }


def _empty() -> Table:
    return Table(params=(), metrics={name: np.empty(0) for name in SWEPT})


def _named(data: Data) -> Mapping[str, Bars]:
    return {"": data} if isinstance(data, Bars) else data
