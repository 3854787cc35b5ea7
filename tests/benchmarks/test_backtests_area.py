"""The benchmark of backtests works, from its command to its table."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from apps.backtests.engine import Bars
from tests.benchmarks.backtests import plan
from tests.benchmarks.test_figures import bench

#: What is measured of the engine and the service alone, and what needs vectorbt.
OWN = {
    *("single-backtesting", "five-years", "sweep-rate", "sweep-memory", "spec", "jit-first", "jit-without"),
    *("portfolio", "finer", "certificate", "service"),
}
VECTORBT = {"single-vectorbt", "sweep-vectorbt"}


@pytest.mark.timeout(300)
def test_a_quick_run_measures_every_figure_of_backtests_or_says_why_not() -> None:
    """What comes out is not looked at: small numbers on a busy machine say nothing.

    Peers that are not here are not installed for it, as they are large.
    """
    answer = bench("backtests", "--quick", "--no-install", "--repeat", "1", "--json", timeout=280)
    assert answer.returncode in (0, 1), answer.stderr
    document = json.loads(answer.stdout)
    assert (document["area"], document["quick"], document["repeat"]) == ("backtests", True, 1)
    rows = {row["name"]: row for row in document["rows"]}
    absent = set() if find_spec("vectorbt") else VECTORBT
    assert set(document["left_out"]) == absent
    assert all("vectorbt" in reason for reason in document["left_out"].values())
    assert set(rows) == (OWN | VECTORBT) - absent
    for measured in rows.values():
        assert [len(samples) for samples in measured["samples"].values()] == [1, 1]
        assert min(measured["ours"], measured["peer"]) > 0
        assert measured["remark"]
    assert document["missed"] == [name for name, measured in rows.items() if measured["holds"] is False]
    # The time of the service is told by its parts.
    assert "until published" in rows["service"]["remark"]


def test_a_sweep_has_1024_combinations_and_any_part_of_it_is_spread_over_them() -> None:
    everything = plan.combinations(1024)
    assert len(set(everything)) == 1024
    assert all(fast < slow for fast, slow in everything)
    few = plan.combinations(40)
    assert len(set(few)) == 40
    assert set(few) < set(everything)
    assert {few[0], few[-1]} == {everything[0], everything[-1]}


def test_bars_are_rolled_up_whole() -> None:
    close = np.array([2.0, 5.0, 1.0, 3.0])
    minutes = Bars(
        ts=np.arange(4) * 60_000,
        open=close - 0.5,
        high=close + 1,
        low=close - 1 + 1e-9,
        close=close,
        volume=np.ones(4),
    )
    rolled = plan.rolled(minutes, 2)
    assert rolled.ts.tolist() == [0, 120_000]
    assert (rolled.open.tolist(), rolled.close.tolist()) == ([1.5, 0.5], [5.0, 3.0])
    assert (rolled.high.tolist(), rolled.step) == ([6.0, 4.0], 120_000)
    assert rolled.low.tolist() == [1.0 + 1e-9, 1e-9]
    assert rolled.volume.tolist() == [2.0, 2.0]
