"""Fewer points for a chart, with every peak and trough kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats


def downsample(values: Floats, points: int) -> NDArray[np.int64]:
    """Indices of at most *points* of *values*, increasing: what to draw of a long curve.

    The first and the last value are kept; between them equal buckets give their lowest and their highest
    value each, so the extremes of the whole curve are always in. A curve of at most *points* values
    is kept whole. *points* is at least 4.
    """
    if points < 4:
        raise ValueError(f"a curve needs at least 4 points, not {points}")
    count = len(values)
    if count <= points:
        return np.arange(count, dtype=np.int64)
    edges = np.linspace(1, count - 1, (points - 2) // 2 + 1).astype(np.int64)
    kept = {0, count - 1}
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        bucket = values[start:stop]
        kept.add(start + int(bucket.argmin()))
        kept.add(start + int(bucket.argmax()))
    return np.array(sorted(kept), np.int64)
