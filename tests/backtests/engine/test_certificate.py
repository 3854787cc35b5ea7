"""The look-ahead certificate: honest strategies have it, one that sees the future does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import STRATEGIES
from apps.backtests.engine.bars import Floats
from apps.backtests.engine.certificate import certify
from apps.backtests.engine.indicators import INDICATORS
from apps.backtests.engine.strategies import strategy_of
from tests.backtests.engine.language.conftest import MakeBars, make_bars

MINUTE = 60_000


@pytest.fixture
def make() -> MakeBars:
    return make_bars


def next_value(values: Floats, _: int) -> Floats:
    """The mean of this bar and the next."""
    return np.append((values[:-1] + values[1:]) / 2, np.nan)


def scaled(values: Floats, _: int) -> Floats:
    """By the highest of the whole series."""
    return values / values.max()


def centred(values: Floats, window: int) -> Floats:
    """A mean whose window reaches forward."""
    return np.convolve(values, np.ones(window) / window, "same")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_built_in_has_it(make: MakeBars, name: str) -> None:
    bars = make(20_000, 2, step=15 * MINUTE, gaps=0.01)
    strategy = STRATEGIES[name]
    params = strategy.validated({"fast": 10, "slow": 30} if name == "sma_cross" else {})
    certificate = certify(bars, strategy, params, cuts=6)
    assert certificate["holds"]
    assert certificate["differs"] is None
    assert certificate["cuts"] == sorted(set(certificate["cuts"]))
    assert "bits" in certificate["compared"]
    assert json.loads(json.dumps(certificate)) == certificate


ABOVE = {"entry_long": "wma(close, 5) > close", "exit_long": "wma(close, 5) < close"}
CROSSED = {"entry_long": "crossover(close, wma(close, 5))"}
STOPPED = {"entry_long": "close > open", "risk": {"stop_loss": {"distance": "abs(close - wma(close, 5))"}}}


@pytest.mark.parametrize(
    ("cheat", "document"),
    [
        (next_value, ABOVE),
        (next_value, CROSSED),
        (next_value, STOPPED),
        (centred, ABOVE),
        (centred, CROSSED),
        (centred, STOPPED),
        (scaled, STOPPED),
    ],
)
def test_a_cheat_is_found(
    make: MakeBars, monkeypatch: pytest.MonkeyPatch, cheat: Callable[..., Floats], document: dict[str, Any]
) -> None:
    honest = certify(make(3000), strategy_of(document), {})
    assert honest["holds"]
    monkeypatch.setitem(INDICATORS, "wma", dataclasses.replace(INDICATORS["wma"], compute=cheat))
    for seed in range(5):
        certificate = certify(make(3000, seed), strategy_of(document), {})
        assert not certificate["holds"]
        assert certificate["differs"]["cut"] in certificate["cuts"]


def test_it_is_drawn_from_its_seed_and_costs_about_one_stage(make: MakeBars) -> None:
    bars = make(8000)
    strategy = STRATEGIES["ema_cross"]
    params = strategy.validated({})
    first = certify(bars, strategy, params)
    assert certify(bars, strategy, params, signals=strategy.signals(bars, params)) == first
    assert certify(bars, strategy, params, seed="other")["cuts"] != first["cuts"]
    for seed in range(40):
        cuts = certify(bars, strategy, params, seed=str(seed))["cuts"]
        assert 7000 - 1 <= cuts[-1] < 8000
        assert cuts[0] <= strategy.signals(bars, params).warmup + 1 + 256
        assert sum(cuts) <= 1.2 * len(bars)


def test_few_bars_are_enough(make: MakeBars) -> None:
    strategy = STRATEGIES["ema_cross"]
    for count in (0, 1, 2, 30, 49, 50, 60):
        certificate = certify(make(count), strategy, strategy.validated({}))
        assert certificate["holds"]
        assert certificate["bars"] == count
        assert all(0 < cut < count for cut in certificate["cuts"])


def test_it_can_be_cancelled(make: MakeBars) -> None:
    class Cancelled(Exception):
        pass

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        certify(make(100), STRATEGIES["ema_cross"], STRATEGIES["ema_cross"].validated({}), check=check)
