"""The bars of a sweep."""

from __future__ import annotations

from apps.backtests.engine import Bars, BarsError, Spec
from apps.backtests.engine.sweep.lanes import Ground
from apps.backtests.engine.sweep.running import ground_of
from apps.backtests.sweeps.models import Sweep
from apps.candles.sources import DataSource
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import TIMEFRAMES


def ground_for(sweep: Sweep, source: DataSource | None = None) -> Ground:
    """What every combination of *sweep* runs on, from *source* (the stored candles).

    Raises BarsError, SpecError and SourceError.
    """
    source = source or stored_source()
    spec = Spec.from_dict(sweep.spec)
    frames = [sweep.timeframe] + ([spec.execution.detail] if spec.execution.detail else [])
    loaded = [{name: _bars(sweep, source, name, frame) for name in sweep.instruments} for frame in frames]
    return ground_of(loaded[0], spec, loaded[1] if len(loaded) > 1 else None)


def _bars(sweep: Sweep, source: DataSource, name: str, timeframe: str) -> Bars:
    candles = source.load(name, timeframe, sweep.start, sweep.end)
    if not len(candles):
        raise BarsError(f"there are no bars of {name} to run on")
    return Bars(
        ts=candles.ts,
        open=candles.open,
        high=candles.high,
        low=candles.low,
        close=candles.close,
        volume=candles.volume,
        step=TIMEFRAMES[timeframe].width,
    )
