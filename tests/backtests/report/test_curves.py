"""Fewer points and bars, compared with loops."""

from __future__ import annotations

import numpy as np
import pytest

from apps.backtests.report.curves import buckets, drawdown, kept
from tests.backtests.report.running import walk


@pytest.mark.parametrize(
    ("count", "points"), [(5, 4), (1_000, 10), (1_001, 100), (9_999, 5_000), (5_001, 5_000)]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_thinned_curve_keeps_its_ends_and_the_extremes_of_every_bucket(
    count: int, points: int, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=count).cumsum()
    where = kept(values, points)
    assert len(where) <= points
    assert where.tolist() == sorted(set(where.tolist()))
    assert (where[0], where[-1]) == (0, count - 1)
    chosen = set(where.tolist())
    width = -(-(count - 2) // ((points - 2) // 2))
    for begin in range(1, count - 1, width):
        bucket = values[begin : min(begin + width, count - 1)].tolist()
        assert {begin + bucket.index(min(bucket)), begin + bucket.index(max(bucket))} <= chosen


def test_a_curve_that_is_short_enough_is_kept_whole() -> None:
    assert kept(np.zeros(5_000)).tolist() == list(range(5_000))
    assert kept(np.empty(0)).tolist() == []


@pytest.mark.parametrize(
    ("count", "points"), [(7, 3), (100, 7), (5_001, 5_000), (12_345, 5_000), (30, 5_000)]
)
def test_buckets_are_what_a_loop_over_bars_makes(count: int, points: int) -> None:
    bars = walk(count)
    made = buckets(bars, points)
    width = made["width"]
    assert len(made["ts"]) <= points
    assert width == 1 or len(made["ts"]) > points / 2
    for at, begin in enumerate(range(0, count, width)):
        part = slice(begin, begin + width)
        assert made["ts"][at] == bars.ts[begin]
        assert made["open"][at] == bars.open[begin]
        assert made["high"][at] == max(bars.high[part])
        assert made["low"][at] == min(bars.low[part])
        assert made["close"][at] == bars.close[part][-1]
        assert made["volume"][at] == pytest.approx(sum(bars.volume[part]), rel=1e-12)
    assert len(made["close"]) == len(range(0, count, width))


def test_no_bars_make_no_buckets() -> None:
    assert buckets(walk(0))["ts"] == []


def test_drawdown_is_percent_below_the_highest_so_far() -> None:
    equity = [100.0, 120.0, 90.0, 120.0, 130.0, 0.0]
    highest, below = 0.0, []
    for value in equity:
        highest = max(highest, value)
        below.append((value / highest - 1) * 100)
    assert drawdown(np.array(equity)).tolist() == pytest.approx(below)
    assert drawdown(np.array([0.0, 0.0])).tolist() == [0, 0]
