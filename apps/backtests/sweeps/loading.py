"""The bars of a sweep."""

from __future__ import annotations

from apps.backtests.asking import asked_again
from apps.backtests.engine import BarsError, Spec
from apps.backtests.engine.sweep.lanes import Ground
from apps.backtests.engine.sweep.running import ground_of
from apps.backtests.identity import data_version
from apps.backtests.loading import bars_of
from apps.backtests.sweeps.models import Sweep
from apps.candles.api.catalogue import named
from apps.candles.sources import DataSource
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import to_ms


def ground_for(sweep: Sweep, source: DataSource | None = None) -> Ground:
    """What every combination of *sweep* runs on, from *source* (the stored candles).

    Raises BarsError, also where the stored candles are not those any more that were there when the sweep was
    asked for, SpecError and SourceError.
    """
    reading = source or stored_source()
    spec = Spec.from_dict(sweep.spec)
    frames = [sweep.timeframe] + ([spec.execution.detail] if spec.execution.detail else [])
    loaded = [
        {name: bars_of(reading, name, frame, sweep.start, sweep.end) for name in sweep.instruments}
        for frame in frames
    ]
    # A version never comes back: what has it afterwards had it all the time.
    if source is None and _version(sweep) != sweep.data_version:
        raise BarsError("candles were changed since the sweep was asked for")
    return ground_of(loaded[0], spec, loaded[1] if len(loaded) > 1 else None)


def _version(sweep: Sweep) -> str:
    """The version that the stored candles have now."""
    found = named(sweep.instruments)
    if gone := [name for name in sweep.instruments if name not in found]:
        raise BarsError(f"{', '.join(gone)} is not known any more")
    instruments = asked_again(list(found.values()), sweep.instruments)
    return data_version(instruments, to_ms(sweep.start), to_ms(sweep.end))
