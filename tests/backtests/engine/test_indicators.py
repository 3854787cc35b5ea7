"""Moving averages are exact functions of their window; crossings follow their definition."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.backtests.engine.indicators import INDICATORS, MovingAverage, compiled, crosses, technical

PRICES = st.lists(st.floats(0.001, 100_000), min_size=1, max_size=60)
CENTS = st.lists(st.integers(1, 40), min_size=2, max_size=60)


@given(PRICES, st.integers(1, 20))
@settings(deadline=None)  # the first example loads the machine code
def test_an_average_is_the_correctly_rounded_sum_over_the_window(prices: list[float], window: int) -> None:
    averages = MovingAverage(np.array(prices)).over(window)
    for i, average in enumerate(averages.tolist()):
        if i < window - 1:
            assert np.isnan(average)
        else:
            total = sum(map(Fraction, prices[i - window + 1 : i + 1]), Fraction(0))
            assert average == float(total) / window


@given(PRICES, PRICES, PRICES, st.integers(1, 20))
def test_an_average_does_not_depend_on_what_lies_outside_its_window(
    before: list[float], inside: list[float], after: list[float], window: int
) -> None:
    inside = (inside * window)[:window]
    alone = MovingAverage(np.array(inside)).over(window)[-1]
    among = MovingAverage(np.array(before + inside + after)).over(window)[len(before) + window - 1]
    assert among == alone


def test_a_long_series_does_not_drift() -> None:
    prices = np.where(np.arange(300_000) % 2, 123_456.78, 0.07)
    averages = MovingAverage(prices).over(2)
    assert set(averages[1:].tolist()) == {(123_456.78 + 0.07) / 2}


def test_a_window_that_does_not_fit_has_no_averages() -> None:
    assert np.isnan(MovingAverage(np.array([1.0, 2.0])).over(3)).all()
    assert len(MovingAverage(np.array([])).over(3)) == 0
    with pytest.raises(ValueError, match="1 to 5000"):
        MovingAverage(np.array([1.0])).over(5001)


@given(CENTS, st.integers(1, 5), st.integers(1, 12), st.integers(-8, 4))
@example(
    [30, 21, 15, 13, 23, 24], 2, 4, -1
)  # (1.3 + 2.3) / 2 and (2.1 + 1.5 + 1.3 + 2.3) / 4 differ in binary
def test_crossings_are_those_of_the_decimal_prices(
    ticks: list[int], fast: int, slow: int, exponent: int
) -> None:
    """In decimal arithmetic, where ties are ties, whatever the prices' scale."""
    prices = np.array([float(f"{tick}e{exponent}") for tick in ticks])
    average = MovingAverage(prices)
    for strict in (False, True):
        up, down = crosses(average.over(fast), average.over(slow), strict=strict)
        for i in range(len(ticks)):
            above = below = False
            if i >= max(fast, slow):
                before, now = (
                    Fraction(sum(ticks[j - fast + 1 : j + 1]), fast)
                    - Fraction(sum(ticks[j - slow + 1 : j + 1]), slow)
                    for j in (i - 1, i)
                )
                above = now > 0 and (before < 0 or (before == 0 and not strict))
                below = now < 0 and (before > 0 or (before == 0 and not strict))
            assert (up[i], down[i]) == (above, below)


@pytest.mark.parametrize("jit", ["1", "0"])
def test_lines_below_zero_cross_and_touch_alike(monkeypatch: pytest.MonkeyPatch, jit: str) -> None:
    monkeypatch.setenv("CHANDLERY_JIT", jit)
    b = np.full(6, -0.3)
    # 0.1 - 0.4 is not -0.3 in binary, and the same in decimals.
    a = np.array([-0.4, 0.1 - 0.4, -0.2, 0.1 - 0.4, -0.4, -0.2])
    up, down = crosses(a, b)
    assert (up.tolist(), down.tolist()) == ([0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0])
    up, down = crosses(a, b, strict=True)
    assert (up.tolist(), down.tolist()) == ([0, 0, 0, 0, 0, 1], [0] * 6)


def test_a_tie_before_the_crossing_counts_unless_strict() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.full(5, 2.0)
    up, down = crosses(a, b)
    assert (up.tolist(), down.tolist()) == ([0, 0, 1, 0, 0], [0, 0, 0, 0, 1])
    up, down = crosses(a, b, strict=True)
    assert not up.any()
    assert not down.any()


CROSS = """
import numpy as np
from apps.backtests.engine.indicators import crosses
from apps.backtests.engine.indicators.compiled import compiled
assert compiled("crossings") is not None
print(crosses(np.array([1.0, 1.1]), np.array([1.05, 1.05]))[0].tolist())
"""


def test_machine_code_of_other_source_is_not_used(tmp_path: Path) -> None:
    """Some versions of numba look at time and size of the file only, which another one may share."""
    engine = Path(compiled.__file__).parent.parent
    copy = tmp_path / "apps" / "backtests" / "engine"
    shutil.copytree(engine, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "indicators" / "compiled.py"

    def crossed() -> str:
        environment = {
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-c", CROSS], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert crossed() == "[False, True]"
    before = file.stat()
    text = file.read_text()
    file.write_text(text.replace("TIE = 8.881784197001252e-16", "TIE = 8.881784197001252e-01"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert crossed() == "[False, False]"


@pytest.mark.parametrize("name", ["adx", "supertrend"])
def test_loops_that_are_not_compiled_look_between_whether_to_go_on(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prices = 100 + np.random.default_rng(5).normal(size=200).cumsum()
    columns = {"high": prices + 1, "low": prices - 1, "close": prices}
    indicator = INDICATORS[name]
    assert indicator.compute is not None
    arguments = [columns[column] for column in indicator.columns] + [7, 2.0][: len(indicator.arguments)]
    whole = indicator.compute(*arguments)
    assert np.isfinite(whole[20:]).all()
    monkeypatch.setenv("CHANDLERY_JIT", "0")
    monkeypatch.setattr(technical, "_STRETCH", 64)
    looks: list[int] = []
    found = indicator.compute(*arguments, check=lambda: looks.append(1))
    assert (found.tobytes(), len(looks)) == (whole.tobytes(), 4)
