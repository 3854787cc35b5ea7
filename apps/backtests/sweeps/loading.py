"""The bars of a sweep."""

from __future__ import annotations

from apps.backtests.engine import Bars, BarsError, Spec
from apps.backtests.engine.run import Data, fingerprint_of
from apps.backtests.engine.sweep.lanes import Ground
from apps.backtests.engine.sweep.running import ground_of
from apps.backtests.loading import bars_of
from apps.backtests.sweeps.models import Sweep
from apps.candles.sources import DataSource
from apps.candles.sources.stored import stored_source
from apps.tasks import Cancelled


def ground_for(sweep: Sweep, source: DataSource | None = None) -> tuple[Ground, str]:
    """What every combination of *sweep* runs on, from *source* (the stored candles), and its fingerprint.

    The first bars that are loaded are those of the sweep. Raises BarsError, also where others come later,
    SpecError, SourceError, and `Cancelled` where the sweep was deleted.
    """
    reading = source or stored_source()
    spec = Spec.from_dict(sweep.spec)
    frames = [sweep.timeframe] + ([spec.execution.detail] if spec.execution.detail else [])
    bars, *finer = (
        {name: bars_of(reading, name, frame, sweep.start, sweep.end) for name in sweep.instruments}
        for frame in frames
    )
    detail = finer[0] if finer else None
    # As a single run has it, so that runs in full can be compared.
    fingerprint = fingerprint_of(_given(bars), None if detail is None else _given(detail))
    _pin(sweep, fingerprint)
    return ground_of(bars, spec, detail), fingerprint


def _given(bars: dict[str, Bars]) -> Data:
    return bars if len(bars) > 1 else next(iter(bars.values()))


def _pin(sweep: Sweep, fingerprint: str) -> None:
    """Make these bars the sweep's, or see that they are. Of several who come first, one is."""
    if sweep.data_fingerprint == fingerprint:
        return
    kept = Sweep.objects.filter(pk=sweep.pk, data_fingerprint__in=("", fingerprint))
    if kept.update(data_fingerprint=fingerprint):
        sweep.data_fingerprint = fingerprint
        return
    if not Sweep.objects.filter(pk=sweep.pk).exists():
        raise Cancelled("the sweep was deleted")
    raise BarsError("candles were changed since the sweep was begun")
