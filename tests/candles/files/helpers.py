"""Files of candles, and what reading them gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from apps.candles.files import Batch, read_minutes
from apps.candles.quality import CheckedMinutes, sift_minutes
from apps.candles.sources.base import VALUES, Candles

MINUTE = 60_000
#: 2023-03-01T00:00Z
MARCH = 1_677_628_800_000
NOW = 2_000_000_000_000

HEADER = "open_time,open,high,low,close,volume"
VALUES_TEXT = "23140.48,23150.77,23128.52,23142.31,2.131777"
VALUES_ROW = tuple(VALUES_TEXT.split(","))


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def batches(path: Path, **options: Any) -> list[Batch]:
    return list(read_minutes(path, **options))


def rows(path: Path, **options: Any) -> list[Any]:
    return [row for batch in read_minutes(path, **options) for row in batch.rows]


def times(path: Path, **options: Any) -> list[Any]:
    return [row[0] for row in rows(path, **options)]


def sound(path: Path, **options: Any) -> CheckedMinutes:
    """All of a file, of which the gate rejects nothing."""
    sifted = sift_minutes(
        rows(path, **options), start_ms=None, end_ms=None, now_ms=NOW, price_scale=0, volume_scale=0
    )
    assert sifted.rejected == []
    return sifted.minutes


def as_candles(minutes: CheckedMinutes, instrument: str = "binance:BTC/USDT") -> Candles:
    """Minutes as the store gives them: floats, each the one that is nearest to the decimal."""
    prices = {
        name: getattr(minutes, name) / 10.0**minutes.price_scale for name in ("open", "high", "low", "close")
    }
    return Candles(
        source="test",
        instrument=instrument,
        timeframe="1m",
        ts=minutes.ts.copy(),
        volume=minutes.volume / 10.0**minutes.volume_scale,
        **prices,
    )


def walk(
    count: int,
    *,
    seed: int = 1,
    start: float = 23_140.48,
    price_decimals: int = 2,
    volume_decimals: int = 8,
    instrument: str = "binance:BTC/USDT",
) -> Candles:
    """A random walk with holes; every value is a decimal of so many places."""
    random = np.random.default_rng(seed)
    tick = 10.0**-price_decimals
    steps = np.cumsum(random.integers(-50, 51, count))
    close = np.maximum(round(start / tick) + steps, 60)
    opening = np.maximum(close + random.integers(-20, 21, count), 1)
    high = np.maximum(opening, close) + random.integers(0, 30, count)
    low = np.maximum(np.minimum(opening, close) - random.integers(0, 30, count), 1)
    volume = random.integers(0, 10**7, count) * random.choice([0, 1, 100_000], count)
    minutes = np.flatnonzero(random.random(2 * count) < 0.9)[:count]
    return Candles(
        source="test",
        instrument=instrument,
        timeframe="1m",
        ts=MARCH + MINUTE * minutes.astype(np.int64),
        open=opening / 10.0**price_decimals,
        high=high / 10.0**price_decimals,
        low=low / 10.0**price_decimals,
        close=close / 10.0**price_decimals,
        volume=volume / 10.0**volume_decimals,
    )


def assert_same(found: Candles, expected: Candles) -> None:
    """Every array is equal to the bit."""
    for name in ("ts", *VALUES):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
    assert found.fingerprint == expected.fingerprint
