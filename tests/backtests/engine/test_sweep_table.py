"""Tables of sweeps: the best rows, and maps of a metric."""

from __future__ import annotations

import numpy as np
import pytest

from apps.backtests.engine.sweep import Table, best, heatmap, joined

NAN = float("nan")


def test_the_best_come_first_equals_in_order_and_the_undefined_never() -> None:
    values = np.array([1.0, NAN, 3.0, 3.0, -2.0])
    assert best(values, "sharpe", 9) == [2, 3, 0, 4]
    assert best(values, "sharpe", 2) == [2, 3]
    assert best(values, "commissions", 2) == [4, 0]
    assert best(np.array([NAN]), "sharpe", 1) == []


def test_a_map_reduces_what_it_does_not_show() -> None:
    x, y = [5, 10, 5, 5], ["b", "a", "a", "a"]
    values = np.array([1.0, 2.0, 3.0, 6.0])
    most = heatmap(x, y, values)
    assert (most.x, most.y) == ((5, 10), ("a", "b"))
    assert most.values.tolist()[0] == [6.0, 2.0]
    assert np.isnan(most.values[1, 1])
    assert heatmap(x, y, values, reduce="mean").values[0, 0] == 4.5
    assert heatmap(x, y, values, low=True).values[0, 0] == 3.0
    holes = np.array([NAN, NAN, NAN, 6.0])
    assert heatmap(x, y, holes, reduce="mean").values[0, 0] == 6.0
    assert np.isnan(heatmap(x, y, holes, reduce="mean").values[1, 0])


def test_tables_are_joined_in_order() -> None:
    one = Table(params=({"n": 1},), metrics={"sharpe": np.array([1.0])}, returns=np.ones((1, 3)))
    two = Table(params=({"n": 2},), metrics={"sharpe": np.array([NAN])}, returns=np.zeros((1, 3)))
    both = joined([one, two])
    assert [row["n"] for row in both.params] == [1, 2]
    assert (both.row(0), both.row(1)) == ({"sharpe": 1.0}, {"sharpe": None})
    assert both.returns == pytest.approx(np.array([[1.0] * 3, [0.0] * 3]))


def test_a_map_of_too_many_cells_has_bins_on_its_long_axes() -> None:
    rng = np.random.default_rng(1)
    x, y, values = rng.uniform(2, 3, 5000), rng.uniform(-1, 1, 5000), rng.normal(size=5000)
    drawn = heatmap(x.tolist(), y.tolist(), values)
    assert (drawn.x_binned, drawn.y_binned, drawn.values.shape) == (True, True, (200, 200))
    width = (x.max() - x.min()) / 200
    assert drawn.x[0] == pytest.approx(x.min() + width / 2)
    assert drawn.x[-1] == pytest.approx(x.max() - width / 2)
    # Every value is in the cell whose middle is the nearest.
    for number in (int(x.argmin()), int(x.argmax()), *range(50)):
        column = np.abs(np.array(drawn.x) - x[number]).argmin()
        row = np.abs(np.array(drawn.y) - y[number]).argmin()
        assert drawn.values[row, column] >= values[number]
    assert np.nanmax(drawn.values) == values.max()
    one = heatmap(x.tolist(), [1, 2, 3, 4] * 1250, values)
    assert (one.x_binned, one.values.shape) == (False, (4, 5000))
    few = heatmap(x.tolist(), list(range(100)) * 50, values)
    assert (few.x_binned, few.y_binned, few.values.shape) == (True, False, (100, 200))
