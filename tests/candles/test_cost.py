"""What requests for bars cost of rate limits."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from apps.candles.api.cost import units

DAY = "start=2026-03-01T00:00Z&end=2026-03-02T00:00Z"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("instrument=binance:BTC/USDT&timeframe=1m", 1),
        ("instrument=binance:BTC/USDT&timeframe=1m&limit=1000", 1),
        ("instrument=binance:BTC/USDT&timeframe=1m&limit=1001", 2),
        ("instrument=a:B/C&instrument=d:E/F&timeframe=1m&limit=1000", 2),
        (f"instrument=a:B/C&timeframe=1m&{DAY}", 2),
        (f"instrument=a:B/C&instrument=d:E/F&timeframe=1m&{DAY}", 3),
        (f"instrument=a:B/C&timeframe=1d&{DAY}", 1),
        # More than is ever answered costs no more than that.
        ("instrument=a:B/C&timeframe=1m&limit=999999999999999999999", 600),
        ("instrument=a:B/C&timeframe=1m&start=0", 600),
        # What the view refuses.
        ("", 1),
        ("timeframe=1y&limit=100000", 1),
        ("instrument=a:B/C&timeframe=1m&limit=-5", 1),
        ("instrument=a:B/C&timeframe=1m&start=yesterday", 1),
        ("instrument=a:B/C&timeframe=1m&start=2026-03-02T00:00Z&end=2026-03-01T00:00Z", 1),
    ],
)
def test_a_thousand_bars_are_a_unit(query, expected):
    assert units(RequestFactory().get(f"/api/v1/candles?{query}")) == expected


def test_whoever_writes_pays_one():
    query = {"instrument": "a:B/C", "timeframe": "1m", "limit": "100000"}
    assert units(RequestFactory().post("/api/v1/candles", query)) == 1
    assert units(RequestFactory().head("/api/v1/candles", query)) == 100
