"""The benchmark of candles works, from its command to its table."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from apps.stack.extensions import VARIABLE
from tests.benchmarks.candles import data
from tests.benchmarks.test_figures import bench

#: What is measured on any server, and what needs TimescaleDB.
PORTABLE = {
    *(f"write-{what}" for what in ("new", "upsert", "same", "bulk", "refreshed")),
    *("read-copy", "read-pandas", "read-cache", "http-last-500", "http-arrow"),
    *("roll-up-1d", "roll-up-1h", "refresh", "late-1", "late-50", "late-500", "live-500", "gaps"),
}
TIMESCALE = {
    *(f"write-{what}-timescale" for what in ("new", "upsert", "same", "bulk")),
    *("write-hypertable-incremental", "write-hypertable-aggregates"),
    *("read-copy-timescale", "read-pandas-timescale", "roll-up-1d-timescale", "roll-up-1h-timescale"),
    *(f"late-{n}-{how}" for n in (1, 50, 500) for how in ("aggregates", "incremental", "compressed")),
    "gaps-timescale",
    *("live-500-incremental", "live-500-aggregates", "aggregate-refresh"),
    *(f"compress-{what}{how}" for what in ("store", "worst") for how in ("", "-incremental")),
}


@pytest.mark.timeout(400)
def test_a_quick_run_measures_every_figure_of_candles_or_says_why_not() -> None:
    """What comes out is not looked at: small numbers on a busy machine say nothing."""
    answer = bench("candles", "--quick", "--repeat", "1", "--json", timeout=380)
    assert answer.returncode in (0, 1), answer.stderr
    document = json.loads(answer.stdout)
    assert (document["area"], document["quick"], document["repeat"]) == ("candles", True, 1)
    rows = {row["name"]: row for row in document["rows"]}
    left_out = document["left_out"]
    # Without the extension these are left out, each with the reason.
    absent = set() if os.environ.get(VARIABLE) else TIMESCALE
    assert set(left_out) - {"http-arrow"} == absent
    assert all("timescaledb" in left_out[name] for name in absent)
    # A server that answers with JSON alone says so.
    assert left_out.get("http-arrow", "Arrow").endswith("Arrow")
    assert set(rows) == (PORTABLE | TIMESCALE) - set(left_out)
    for measured in rows.values():
        assert [len(samples) for samples in measured["samples"].values()] == [1, 1]
        assert min(measured["ours"], measured["peer"]) > 0
        assert measured["remark"]
    assert document["missed"] == [name for name, measured in rows.items() if measured["holds"] is False]


@pytest.mark.parametrize("market", data.MARKETS, ids=lambda market: market.base)
def test_made_minutes_are_minutes(market: data.Market) -> None:
    minutes = data.minutes(market, 40)
    assert len(minutes) == 40 * 1440
    assert set(np.diff(minutes.ts)) == {60_000}
    assert (minutes.low > 0).all()
    assert (minutes.low <= np.minimum(minutes.open, minutes.close)).all()
    assert (minutes.high >= np.maximum(minutes.open, minutes.close)).all()
    assert (minutes.volume >= 0).all()
    # About what such a market trades at, and no day is there twice.
    assert 0.5 < np.median(minutes.close) / (market.price * 10**market.price_scale) < 2
    assert len({day.tobytes() for day in minutes.close.reshape(40, -1)}) == 40


def test_without_recorded_minutes_a_random_walk_takes_their_place() -> None:
    walk = data.random_walk(2)
    opens, highs, lows, closes, volumes = walk.T
    assert walk.shape == (2 * 1440, 5)
    assert (lows <= np.minimum(opens, closes)).all()
    assert (highs >= np.maximum(opens, closes)).all()
    assert (volumes > 0).all()
    # Most minutes open where the one before closed.
    assert 0.4 < np.isclose(opens[1:], closes[:-1], rtol=1e-12).mean() < 0.9
