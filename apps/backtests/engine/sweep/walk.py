"""Walk-forward: choose by the past of each fold alone, and look what the choice does in what follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.backtests.engine.bars import Floats, Times
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.feed import Feed, feed_of
from apps.backtests.engine.simulation import Simulation
from apps.backtests.engine.sweep.lanes import Ground, Window
from apps.backtests.engine.sweep.running import Maker, makers_of
from apps.backtests.engine.sweep.table import Table, best

#: What is kept of every combination and fold, by name: shape ``(combinations, folds)``.
KEPT = ("inside", "outside", "outside_return_pct")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One step of a walk: two ranges of time, in milliseconds, half-open; the second follows the first."""

    train: tuple[int, int]
    test: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen in one fold.

    Attributes:
        number: of the combination with the best metric in the train window; None: none had any.
        inside: the metric there.
        outside: the metric in the test window; None where undefined.
        return_pct: return in the test window; 0 where nothing was chosen.
    """

    fold: Fold
    number: int | None
    inside: float | None
    outside: float | None
    return_pct: float


def folds_of(
    start: int, end: int, *, train: int, test: int, step: int | None = None, anchored: bool = False, most: int
) -> tuple[Fold, ...]:
    """The folds of [start, end): *train* milliseconds, then *test* that lie wholly inside, every *step*.

    *step* is *test* unless given, and not shorter, so that no time is tested twice. *anchored* folds train
    on everything from *start* on.

    Raises:
        SpecError: naming ``walk_forward`` or a field of it: no fold fits, or more than *most* do.
    """
    step = test if step is None else step
    for name, value in (("train", train), ("test", test), ("step", step)):
        if value <= 0:
            raise SpecError(f"walk_forward.{name}", "must be longer than nothing")
    if step < test:
        raise SpecError("walk_forward.step", "must not be shorter than test")
    count = (end - start - train - test) // step + 1
    if count < 1:
        raise SpecError("walk_forward", "has no fold that fits in the range")
    if count > most:
        raise SpecError("walk_forward", f"has {count} folds; {most} is the limit")
    found = []
    for at in range(count):
        middle = start + at * step + train
        found.append(
            Fold(train=(start if anchored else middle - train, middle), test=(middle, middle + test))
        )
    return tuple(found)


def windows_of(ts: Times, folds: Sequence[Fold]) -> list[Window]:
    """The bars of each fold's train and test ranges, one after the other.

    Raises:
        SpecError: naming ``walk_forward``: a range has no bars.
    """
    found = []
    for fold in folds:
        for part in (fold.train, fold.test):
            start, stop = (int(at) for at in np.searchsorted(ts, part))
            if start == stop:
                raise SpecError("walk_forward", f"has no bars from {part[0]} to {part[1]} ms")
            found.append((start, stop))
    return found


def with_bars(ts: Times, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """The folds that have bars both to train and to test on."""
    return tuple(
        fold
        for fold in folds
        if all(
            np.searchsorted(ts, part[0]) < np.searchsorted(ts, part[1]) for part in (fold.train, fold.test)
        )
    )


def kept_of(tables: Sequence[Table], metric: str) -> dict[str, Floats]:
    """What the tables of the windows of folds say, as `KEPT`."""
    train, test = tables[::2], tables[1::2]
    return {
        "inside": np.stack([one.metrics[metric] for one in train], axis=1),
        "outside": np.stack([one.metrics[metric] for one in test], axis=1),
        "outside_return_pct": np.stack([one.metrics["return_pct"] for one in test], axis=1),
    }


def choices_of(folds: Sequence[Fold], kept: Mapping[str, Floats], metric: str) -> tuple[Choice, ...]:
    """What each fold chooses by its train window alone; the lower number among equals."""
    made = []
    for at, fold in enumerate(folds):
        found = best(kept["inside"][:, at], metric, 1)
        if not found:
            made.append(Choice(fold=fold, number=None, inside=None, outside=None, return_pct=0.0))
            continue
        (number,) = found
        made.append(
            Choice(
                fold=fold,
                number=number,
                inside=float(kept["inside"][number, at]),
                outside=_known(kept["outside"][number, at]),
                return_pct=_known(kept["outside_return_pct"][number, at]) or 0.0,
            )
        )
    return tuple(made)


def chained(
    ground: Ground,
    combinations: Mapping[int, Mapping[str, Any]],
    choices: Sequence[Choice],
    *,
    signals: Maker | None = None,
    jit: bool | None = None,
) -> tuple[Times, Floats]:
    """Times and equity of the test windows in a row, each begun with what the one before left.

    *combinations* are parameters by number, of all that were chosen. Indicators see the bars before a window.
    Equity that leaves the range of float64 is infinite or NaN from there on.
    """
    cash = ground.spec.cash
    worth, times, curves = 1.0, [], []
    makers = makers_of(ground, signals)
    for choice in choices:
        start, stop = (int(at) for at in np.searchsorted(ground.ts, choice.fold.test))
        curve = np.full(stop - start, cash)
        if choice.number is not None:
            curve = _traced(ground, makers, combinations[choice.number], (start, stop), jit)
        times.append(ground.ts[start:stop])
        with np.errstate(all="ignore"):
            curves.append(worth * curve)
        worth *= float(curve[-1]) / cash
    return np.concatenate(times), np.concatenate(curves)


def _traced(
    ground: Ground, makers: Mapping[str, Any], params: Mapping[str, Any], window: Window, jit: bool | None
) -> Floats:
    """Equity at each bar of *window* of an account that begins flat there."""
    feeds = []
    for at, (name, bars) in enumerate(ground.bars.items()):
        start, stop = window if ground.width == 1 else np.searchsorted(ground.places[at], window)
        if start == stop:
            # No bar of it, so nothing happens to it; others have some.
            continue
        detail = None if ground.detail is None else ground.detail[name]
        feed = feed_of(bars, makers[name](params), detail=detail, funding=ground.spec.costs.funding)
        feeds.append(_part(feed, int(start), int(stop)))
    simulation = Simulation(ground.spec, feeds, jit=jit, record=False)
    equity = np.empty(len(simulation.ts))
    simulation.advance(len(equity), equity)
    equity[-1] = simulation.finish()
    return equity


def _part(feed: Feed, start: int, stop: int) -> Feed:
    columns = [column[start:stop] if len(column) else column for column in feed.columns]
    return Feed(bars=feed.bars.part(start, stop), signals=feed.signals, warmup=feed.warmup, columns=columns)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
