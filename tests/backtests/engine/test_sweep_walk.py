"""Walk-forward: what was chosen by the past of each fold, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, Spec, SpecError
from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.kernel import ENTER_LONG, EXIT_LONG
from apps.backtests.engine.run import Data, run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.sweep import Choice, Fold, folds_of, ground_of, sweep_windows
from apps.backtests.engine.sweep.walk import chained, choices_of, kept_of, windows_of, with_bars
from tests.backtests.engine.conftest import MINUTE
from tests.backtests.engine.specs import spec_of
from tests.backtests.engine.sweeping import crossing

Walk = Callable[[int, int], Bars]
DAY = 1440 * MINUTE
COMBINATIONS: list[dict[str, Any]] = [
    {"fast": fast, "slow": slow, "both": True} for fast in (3, 10, 30) for slow in (40, 120)
]


def test_folds_roll_or_grow_and_follow_each_other() -> None:
    rolling = folds_of(0, 100, train=40, test=20, most=9)
    assert [(fold.train, fold.test) for fold in rolling] == [
        ((0, 40), (40, 60)),
        ((20, 60), (60, 80)),
        ((40, 80), (80, 100)),
    ]
    anchored = folds_of(0, 99, train=40, test=20, step=25, anchored=True, most=9)
    assert [(fold.train, fold.test) for fold in anchored] == [((0, 40), (40, 60)), ((0, 65), (65, 85))]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"train": 0}, "walk_forward.train"),
        ({"test": -1}, "walk_forward.test"),
        ({"step": 0}, "walk_forward.step"),
        ({"step": 5}, "walk_forward.step"),
        ({"train": 95}, "walk_forward"),
        ({"most": 2}, "walk_forward"),
    ],
)
def test_folds_that_make_no_sense_are_refused(changes: dict[str, int], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        folds_of(0, 100, **{"train": 40, "test": 10, "most": 9, **changes})
    assert caught.value.field == field


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What was chosen in each fold, and the test windows in a row."""

    choices: tuple[Choice, ...]
    ts: Times
    equity: Floats


def followed(
    data: Data,
    spec: Spec,
    folds: Sequence[Fold],
    metric: str = "sharpe",
    combinations: Sequence[dict[str, Any]] = COMBINATIONS,
) -> Followed:
    """A walk as chunks and the end of a sweep make it."""
    ground = ground_of(data, spec)
    tables = sweep_windows(ground, combinations, windows_of(ground.ts, folds), signals=crossing)
    choices = choices_of(folds, kept_of(tables, metric), metric)
    ts, equity = chained(ground, dict(enumerate(combinations)), choices, signals=crossing)
    return Followed(choices=choices, ts=ts, equity=equity)


def part_of(bars: Bars, whole: Signals, low: int, high: int) -> tuple[Bars, Signals]:
    """The bars that open in [low, high), with signals that were made on all bars."""
    start, stop = np.searchsorted(bars.ts, (low, high))
    return bars.part(int(start), int(stop)), Signals(bits=whole.bits[start:stop], warmup=0)


@pytest.mark.parametrize(
    ("anchored", "metrics"),
    [(False, ("sharpe", "volatility_ann_pct", "return_pct")), (True, ("return_pct",))],
)
def test_a_walk_is_what_naive_runs_say(walk: Walk, anchored: bool, metrics: tuple[str, ...]) -> None:
    bars = walk(14 * 1440, 9)
    spec = spec_of(commission=0.0003)
    start = int(bars.ts[0])
    folds = folds_of(start, int(bars.ts[-1]) + MINUTE, train=5 * DAY, test=2 * DAY, anchored=anchored, most=9)
    assert len(folds) == 4
    signals = [crossing(bars, params) for params in COMBINATIONS]
    past = [
        [run_signals(*part_of(bars, one, *fold.train), spec).metrics for one in signals] for fold in folds
    ]
    for metric in metrics:
        found = followed(bars, spec, folds, metric)
        cash, curve, times = spec.cash, [], []
        for choice, fold, rows in zip(found.choices, folds, past, strict=True):
            sign = 1 if metric == "volatility_ann_pct" else -1
            values = [row[metric] for row in rows]
            best = min(range(len(values)), key=lambda at, values=values, sign=sign: (sign * values[at], at))
            future = run_signals(*part_of(bars, signals[best], *fold.test), spec)
            assert (choice.number, choice.fold) == (best, fold)
            assert choice.inside == pytest.approx(values[best], rel=1e-9)
            assert choice.outside == pytest.approx(future.metrics[metric], rel=1e-9)
            assert choice.return_pct == future.metrics["return_pct"]
            curve.append(future.equity * (cash / spec.cash))
            times.append(future.ts)
            cash *= future.equity[-1] / spec.cash
        assert found.equity == pytest.approx(np.concatenate(curve), rel=1e-12)
        assert found.ts.tolist() == np.concatenate(times).tolist()
        assert found.equity[-1] == pytest.approx(cash, rel=1e-9)
        assert len({choice.number for choice in found.choices}) > 1 or metric == "volatility_ann_pct"


def test_the_future_of_a_fold_moves_nothing_that_was_chosen_before(walk: Walk) -> None:
    bars, spec = walk(10 * 1440, 4), spec_of()
    start = int(bars.ts[0])
    folds = folds_of(start, start + 10 * DAY, train=4 * DAY, test=2 * DAY, most=9)
    changed = np.arange(len(bars)) >= np.searchsorted(bars.ts, folds[1].test[0])
    other = Bars(
        ts=bars.ts,
        **{
            name: getattr(bars, name) * np.where(changed, 3.0, 1.0)
            for name in ("open", "high", "low", "close")
        },
        volume=bars.volume,
    )
    one, two = (followed(data, spec, folds) for data in (bars, other))
    assert one.choices[0] == two.choices[0]
    assert (one.choices[1].number, one.choices[1].inside) == (two.choices[1].number, two.choices[1].inside)
    assert one.choices[1].outside != two.choices[1].outside


def test_a_fold_in_which_nothing_has_the_metric_stays_flat(walk: Walk) -> None:
    bars, spec = walk(3 * 1440, 4), spec_of()
    start = int(bars.ts[0])
    folds = (Fold(train=(start, start + DAY), test=(start + DAY, start + 2 * DAY)),)
    found = followed(bars, spec, folds, "sqn", [{"fast": 2000, "slow": 4000}])
    assert (found.choices[0].number, found.choices[0].return_pct) == (None, 0.0)
    assert set(found.equity) == {spec.cash}
    with pytest.raises(SpecError, match="has no bars"):
        windows_of(bars.ts, [Fold(train=(0, 5), test=(5, 9))])


def test_an_instrument_without_a_bar_in_a_test_window_is_left_out_of_it(walk: Walk) -> None:
    one, other = walk(6 * 1440, 3), walk(6 * 1440, 4)
    start = int(one.ts[0])
    folds = folds_of(start, start + 6 * DAY, train=2 * DAY, test=DAY, most=9)
    gone = (other.ts >= folds[1].test[0]) & (other.ts < folds[1].test[1])
    names = ("ts", "open", "high", "low", "close", "volume")
    holed = Bars(**{name: getattr(other, name)[~gone] for name in names}, step=MINUTE)
    spec = spec_of(fraction=0.4, commission=0.0003, maintenance_margin=0.005)
    found = followed({"a": one, "b": holed}, spec, folds, "return_pct")
    assert len(found.choices) == 4
    growth = np.cumprod([1 + choice.return_pct / 100 for choice in found.choices])
    assert found.equity[-1] == pytest.approx(spec.cash * growth[-1], rel=1e-12)
    assert found.choices[1].return_pct != 0


def test_folds_without_bars_can_be_told_from_others(walk: Walk) -> None:
    bars = walk(3 * 1440, 3)
    start = int(bars.ts[0])
    folds = folds_of(start, start + 6 * DAY, train=DAY, test=DAY, most=9)
    assert with_bars(bars.ts, folds) == folds[:2]


def test_what_leaves_the_range_of_numbers_is_said_and_not_hidden(bars_of: Callable[..., Bars]) -> None:
    """A price that is 1e30 times the one before in every other pair of bars, and always bought low."""
    bars = bars_of(np.tile([1e-15, 1e-15, 1e15, 1e15], 40).tolist(), step=DAY // 8)
    spec = spec_of(lot=0.0)

    def rising(of: Bars, params: Any) -> Signals:
        place = np.arange(len(of)) % 4
        bits = (place == 0) * np.uint8(ENTER_LONG) + (place == 2) * np.uint8(EXIT_LONG)
        return Signals(bits=bits.astype(np.uint8), warmup=0)

    start = int(bars.ts[0])
    folds = folds_of(start, int(bars.ts[-1]), train=DAY, test=4 * DAY, most=9)
    choices = [Choice(fold=fold, number=0, inside=1.0, outside=None, return_pct=0.0) for fold in folds]
    _, equity = chained(ground_of(bars, spec), {0: {}}, choices, signals=rising)
    assert len(equity) == 4 * 8 * len(folds)
    assert np.isfinite(equity[0])
    assert not np.isfinite(equity[-1])
