"""The benchmark of leases works, from its command to its table."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.test_figures import bench


@pytest.mark.timeout(200)
def test_a_quick_run_measures_every_figure_of_liveness() -> None:
    """What comes out is not looked at: small numbers on a busy machine say nothing."""
    answer = bench("liveness", "--quick", "--repeat", "2", "--json", timeout=180)
    assert answer.returncode in (0, 1), answer.stderr
    document = json.loads(answer.stdout)
    assert (document["area"], document["quick"], document["repeat"]) == ("liveness", True, 2)
    rows = {row["name"]: row for row in document["rows"]}
    assert set(rows) == {
        *(f"find-stale-{size}" for size in ("1k", "10k", "100k", "1k-among")),
        *("first-100-of-1m", "reap-none-1m", "beat", "beat-100"),
    }
    for measured in rows.values():
        assert [len(samples) for samples in measured["samples"].values()] == [2, 2]
        assert min(measured["ours"], measured["peer"]) > 0
    assert document["missed"] == [name for name, measured in rows.items() if measured["holds"] is False]
