"""Returns by month and year, compared with pandas."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.backtests.report.periods import calendar

DAY = 86_400_000


@given(
    st.integers(1, 400),
    st.integers(0, 2**32),
    st.sampled_from([60_000, 7 * 3_600_000, DAY, 9 * DAY, 40 * DAY]),
    st.integers(-(10**12), 2 * 10**12),
)
def test_months_and_years_agree_with_pandas(count: int, seed: int, step: int, start: int) -> None:
    rng = np.random.default_rng(seed)
    ts = start + step * np.cumsum(rng.integers(1, 4, count))
    equity = 100 * np.exp(np.cumsum(rng.normal(0, 0.1, count)))
    series = pd.Series(equity, index=pd.to_datetime(ts, unit="ms", utc=True).tz_localize(None))
    rows = calendar(ts, equity, 90.0)
    months = {(row["year"], at): value for row in rows for at, value in enumerate(row["months"], 1)}
    for unit, ours in (("M", months), ("Y", {(row["year"], 1): row["total"] for row in rows})):
        last = series.groupby(series.index.to_period(unit)).last()
        expected = 100 * (last / last.shift(fill_value=90.0) - 1)
        there = {name: value for name, value in ours.items() if value is not None}
        assert list(there) == [(p.year, p.month if unit == "M" else 1) for p in last.index]
        assert list(there.values()) == pytest.approx(expected.tolist(), rel=1e-10, abs=1e-13)
    assert [row["year"] for row in rows] == list(range(rows[0]["year"], rows[-1]["year"] + 1))
    assert {len(row["months"]) for row in rows} == {12}


def test_a_month_ends_at_its_last_millisecond_and_a_bankruptcy_ends_the_table() -> None:
    ends = [datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4, 6)]
    ts = np.array([moment for end in ends for moment in (int(end.timestamp() * 1000) + at for at in (-1, 0))])
    (row,) = calendar(ts, np.array([110.0, 100, 90, 0, 0, 0, 0, 0]), 100.0)
    assert row["year"] == 2024
    assert row["months"][:3] == pytest.approx([10, 100 * (90 / 110 - 1), -100])
    assert row["months"][3:] == [None] * 9
    assert row["total"] == -100
