"""The benchmark of rate limits works, from its command to its table."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.test_figures import bench
from tests.ratelimits.limiter.windows import worst_window


def test_the_worst_window_has_its_ends_in_it() -> None:
    assert worst_window([], 10) == 0
    assert worst_window([30, 0, 10], 10) == 2
    assert worst_window([0, 11, 22, 33], 10) == 1
    assert worst_window([5, 5, 5, 16, 16], 10) == 3


@pytest.mark.timeout(200)
def test_a_quick_run_measures_every_figure_of_rate_limits() -> None:
    """What comes out is not looked at, except for what is no matter of time."""
    answer = bench("ratelimits", "--quick", "--repeat", "1", "--json", timeout=180)
    assert answer.returncode in (0, 1), answer.stderr
    document = json.loads(answer.stdout)
    assert (document["area"], document["quick"], document["repeat"]) == ("ratelimits", True, 1)
    rows = {row["name"]: row for row in document["rows"]}
    assert set(rows) == {
        *(
            f"decision-{peer}"
            for peer in ("3-ping", "3-limits", "3-limits-stats", "3-django-ratelimit", "drf")
        ),
        *("async-32", "memory-1000h", "memory-ticks"),
        *("middleware-view", "middleware-view-all", "denial-cached"),
        *("stalled-first", "stalled-later"),
        *("admitted-8-processes", "admitted-8-drf"),
    }
    for measured in rows.values():
        assert [len(samples) for samples in measured["samples"].values()] == [1, 1]
        assert min(measured["ours"], measured["peer"]) > 0
    assert document["missed"] == [name for name, measured in rows.items() if measured["holds"] is False]
    for name in ("memory-1000h", "memory-ticks", "admitted-8-processes"):
        assert rows[name]["holds"] is True
