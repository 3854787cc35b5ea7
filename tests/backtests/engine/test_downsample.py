"""Curves for charts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.backtests.engine import downsample


@given(st.lists(st.floats(0, 1e6), max_size=300), st.integers(4, 60))
def test_extremes_and_ends_are_kept_within_the_limit(values: list[float], points: int) -> None:
    curve = np.array(values, float)
    kept = downsample(curve, points)
    assert len(kept) <= points
    assert (np.diff(kept) > 0).all()
    if len(curve) <= points:
        assert kept.tolist() == list(range(len(curve)))
    else:
        assert (kept[0], kept[-1]) == (0, len(curve) - 1)
        assert curve[kept].min() == curve.min()
        assert curve[kept].max() == curve.max()


def test_a_spike_inside_a_long_curve_survives() -> None:
    curve = np.zeros(100_000)
    curve[71_234], curve[71_236] = 5.0, -3.0
    kept = downsample(curve, 500)
    assert {71_234, 71_236} <= set(kept.tolist())
    assert 200 < len(kept) <= 500


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        downsample(np.zeros(10), 3)
