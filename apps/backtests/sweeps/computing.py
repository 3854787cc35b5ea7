"""Computing one chunk: all of it is stored, with the success of its run, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils import timezone

from apps.backtests.engine import BarsError, SpecError
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.sweep import Table, sweep_windows
from apps.backtests.engine.sweep.walk import kept_of, windows_of, with_bars
from apps.backtests.reporting import Reporter
from apps.backtests.sweeps.asking import folds_in
from apps.backtests.sweeps.columns import pack, pack_matrix, unpack_params
from apps.backtests.sweeps.loading import ground_for
from apps.backtests.sweeps.models import Sweep, SweepChunk
from apps.candles.sources import DataSource, SourceError
from apps.candles.timeframes import to_ms
from apps.tasks import Cancelled, PermanentError, current_run

#: Period returns that all combinations of a sweep together keep, and the least that each does.
_KEPT, _LEAST, _MOST = 16_000_000, 64, 2_000


def chunk_run(*, chunk: SweepChunk | None, source: DataSource | None = None) -> None:
    """Compute the combinations of *chunk* from the candles of *source* (the stored ones).

    Doing it again gives the same bytes. Raises `PermanentError` when there is nothing to compute, and
    `Cancelled` when somebody wanted that, or deleted the sweep.
    """
    if chunk is None or chunk.sweep.cancelled_at is not None:
        raise Cancelled("the sweep is gone")
    sweep, this = chunk.sweep, current_run()
    params = unpack_params(bytes(chunk.params))
    reporter = Reporter(this)
    reporter.phase("combinations", total=len(params))
    try:
        ground, fingerprint = ground_for(sweep, source)
        windows = [(0, len(ground.ts))]
        # What has no bars is left out; the judgement says so.
        folds = with_bars(ground.ts, folds_in(sweep.walk_forward, to_ms(sweep.start), to_ms(sweep.end)))
        windows += windows_of(ground.ts, folds)
        keep = [True, *[False] * (len(windows) - 1)]
        whole, *parts = sweep_windows(ground, params, windows, returns=keep, progress=reporter)
    except (BarsError, SourceError, SpecError) as exc:
        raise PermanentError(str(exc)) from exc
    values: dict[str, Any] = {
        "table": pack(whole.metrics),
        "returns": _returns(sweep, whole),
        "walk": None if not folds else pack(_flat(kept_of(parts, sweep.metric))),
        "data_fingerprint": fingerprint,
        "computed_at": timezone.now(),
    }
    with this.completing({"combinations": len(whole)}):
        if not SweepChunk.objects.filter(pk=chunk.pk).update(**values):
            raise Cancelled("the sweep was deleted")


def _returns(sweep: Sweep, table: Table) -> bytes | None:
    """Period returns of each combination, made coarser where there are too many; None for less than two."""
    assert table.returns is not None
    most = max(_LEAST, min(_KEPT // sweep.combinations, _MOST))
    kept = thinned(table.returns, most)
    return pack_matrix(kept.astype(np.float32)) if kept.shape[1] > 1 else None


def thinned(returns: Floats, most: int) -> Floats:
    """Returns ``(rows, periods)`` over periods that are so much longer that there are at most *most*."""
    periods = returns.shape[1]
    if periods <= most:
        return returns
    edges = np.arange(0, periods, -(-periods // most))
    found: Floats = np.multiply.reduceat(1 + returns, edges, axis=1) - 1
    return found


def _flat(kept: dict[str, Floats]) -> dict[str, Floats]:
    """A column for each fold."""
    return {
        f"{name}_{at}": np.ascontiguousarray(values[:, at])
        for name, values in kept.items()
        for at in range(values.shape[1])
    }
