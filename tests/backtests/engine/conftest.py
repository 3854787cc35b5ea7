"""Bars for engine tests: by hand, and a random walk that is the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from apps.backtests.engine import Bars

MINUTE = 60_000
START = 1_700_000_040_000

BarsOf = Callable[..., Bars]


@pytest.fixture(scope="session")
def bars_of() -> BarsOf:
    """``bars_of(closes, opens=None, step=…)``: bars whose opens default to the close before."""

    def make(
        closes: Sequence[float],
        opens: Sequence[float] | None = None,
        *,
        step: int = MINUTE,
        start: int = START,
    ) -> Bars:
        close = np.array(closes, float)
        first = [opens[0] if opens else close[0]] if len(close) else []
        opened = np.array(opens, float) if opens is not None else np.concatenate([first, close[:-1]])
        return Bars(
            ts=start + step * np.arange(len(close)),
            open=opened,
            high=np.maximum(opened, close),
            low=np.minimum(opened, close),
            close=close,
            volume=np.ones(len(close)),
        )

    return make


@pytest.fixture(scope="session")
def walk(bars_of: BarsOf) -> Callable[[int, int], Bars]:
    """``walk(count, seed)``: a random walk in whole cents from integer arithmetic alone."""

    @cache
    def make(count: int, seed: int) -> Bars:
        state, cents, opens, closes = seed * 2 + 1, 1_000_000, [], []
        for _ in range(count):
            for path in (opens, closes):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                cents = max(cents + (state >> 33) % 4001 - 2000, 100_000)
                path.append(cents / 100)
        return bars_of(closes, opens)

    return make
