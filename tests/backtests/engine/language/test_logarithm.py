"""The logarithm of the language: right to the last place, and the same on every processor."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.backtests.engine.language.logarithm import logarithm
from apps.backtests.engine.strategies import strategy_of
from tests.backtests.engine.language.conftest import MakeBars

POSITIVE = st.floats(0, exclude_min=True, allow_infinity=False) | st.floats(0.5, 2) | st.floats(0.999, 1.001)

DIGEST = """
import hashlib
import numpy as np
from apps.backtests.engine.language.logarithm import logarithm
values = np.random.default_rng(7).random(100_000) * 100.0
print(hashlib.sha256(logarithm(values).tobytes()).hexdigest())
"""


@given(st.lists(POSITIVE, min_size=1, max_size=50))
def test_it_is_right_to_one_unit_in_the_last_place(values: list[float]) -> None:
    for value, found in zip(values, logarithm(np.array(values)).tolist(), strict=True):
        exact = math.log(value)
        assert abs(found - exact) <= math.ulp(exact)


def test_it_is_unknown_where_there_is_none() -> None:
    found = logarithm(np.array([0.0, -0.0, -1.0, -math.inf, math.nan, math.inf, 1.0]))
    assert np.isnan(found[:5]).all()
    assert found[5:].tolist() == [math.inf, 0.0]
    assert len(logarithm(np.array([]))) == 0


def test_numbers_have_the_logarithm_of_series(make: MakeBars) -> None:
    """Whatever is computed once for all bars has the bits of what is computed per bar."""
    bars = make(40)
    for number in (0.7, 3.0, 12_345.678):
        text = f"log(close - close + {number}) == log({number})"
        assert strategy_of({"entry_long": text}).signals(bars, {}).bits.all()


def test_the_instructions_of_the_processor_do_not_matter() -> None:
    """Without those that numpy has other logarithms for; where they are missing, both runs are alike."""

    def digest(**environ: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DIGEST],
            cwd=Path(__file__).parents[4],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert digest() == digest(NPY_DISABLE_CPU_FEATURES="X86_V4")
