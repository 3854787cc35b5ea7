"""Bars for tests of the language: with gaps, wicks and volume, the same on every machine."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import numpy as np
import pytest

from apps.backtests.engine import Bars

MakeBars = Callable[..., Bars]
DAY = 86_400_000


@functools.lru_cache(maxsize=64)
def make_bars(
    count: int,
    seed: int = 1,
    *,
    step: int = 3_600_000,
    start: int = 18_000 * DAY,
    gaps: float = 0.0,
    flat: float = 0.0,
) -> Bars:
    """A walk in cents; *gaps* and *flat* are the shares of bars that are missing and that do not move.

    The same bars are the same object; nobody can write to them.
    """
    draw = random.Random(seed)
    rows, cents, at = [], 10_000, start
    while len(rows) < count:
        if draw.random() >= gaps:
            opened = cents
            if draw.random() >= flat:
                cents = max(cents + draw.randint(-150, 150), 100)
                high = max(opened, cents) + draw.randint(0, 60)
                low = max(min(opened, cents) - draw.randint(0, 60), 1)
                volume = draw.randint(0, 10**6) / 1000
            else:
                high = low = cents = opened
                volume = 0.0
            rows.append((at, opened / 100, high / 100, low / 100, cents / 100, volume))
        at += step
    table = np.array(rows).reshape(-1, 6)
    names = ("open", "high", "low", "close", "volume")
    columns = {name: table[:, at] for at, name in enumerate(names, 1)}
    return Bars(ts=table[:, 0].astype(np.int64), **columns, step=step)


@pytest.fixture(scope="session")
def make() -> MakeBars:
    """``make(count, seed, step=…, start=…, gaps=…, flat=…)``."""
    return make_bars
