"""The benchmark of trading works, from its command to its table."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.test_figures import bench

FIGURES = {
    *("webhook-p50", "webhook-p99", "webhook-bare", "webhooks-accepted", "webhooks-p50", "webhooks-p99"),
    *("audit-within", "audit-alone", "audit-chained"),
}


@pytest.mark.timeout(200)
def test_a_quick_run_measures_every_figure_of_trading() -> None:
    """What comes out is not looked at: small numbers on a busy machine say nothing."""
    answer = bench("trading", "--quick", "--repeat", "1", "--json", timeout=180)
    assert answer.returncode in (0, 1), answer.stderr
    rows = {row["name"]: row for row in json.loads(answer.stdout)["rows"]}
    assert set(rows) == FIGURES
    assert all(min(row["ours"], row["peer"]) > 0 for row in rows.values())
