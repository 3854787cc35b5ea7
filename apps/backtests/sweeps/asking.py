"""From what somebody asks for to what can be computed: checked whole, before anything is queued."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from apps.backtests import strategies
from apps.backtests.asking import InvalidBacktest, Question, question
from apps.backtests.engine import Spec, SpecError, jit
from apps.backtests.engine.sweep import SWEPT, Combinations, Fold, draws, fixed_of, folds_of, grid, space_of
from apps.backtests.engine.sweep.weighing import Scales, TooMuchToWeigh
from apps.backtests.sweeps import conf
from apps.backtests.sweeps.models import Sweep
from apps.candles.timeframes import TIMEFRAMES

#: Metrics that the best can be the best by.
METRICS = tuple(name for name in SWEPT if name not in ("entries_skipped", "peak_equity"))
MOST_BEST = 50
_SEEDS = 2**53
#: Work of the simulation of a bar, in the units of a strategy's cost; uncompiled, it is this much more.
_SIMULATION, _UNCOMPILED = 10.0, 40.0
#: Parts of the strategy over all combinations, which are looked at while somebody waits: some 4 µs each.
_MOST_PARTS = 2_000_000
_MOST_OF_A_CHUNK = 2_000
_SPAN = re.compile(r"([1-9][0-9]{0,8})([mhdw])")
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, kw_only=True)
class SweepQuestion:
    """A sweep that can be computed."""

    #: The backtest of the first combination.
    base: Question
    combinations: Combinations
    #: Combinations of a chunk.
    size: int


def sweep_question(
    *,
    instruments: Sequence[str],
    timeframe: str,
    start: datetime,
    end: datetime,
    spec: Mapping[str, Any],
    space: object,
    method: str,
    samples: int | None,
    seed: int | None,
    metric: str,
    best: int,
    walk_forward: object,
) -> SweepQuestion:
    """What is asked for, or `InvalidBacktest` that names the field. *spec* has the fixed parameters."""
    if metric not in METRICS:
        raise InvalidBacktest("metric", f"{metric!r} is not one of {', '.join(METRICS)}.")
    if not 0 <= best <= MOST_BEST:
        raise InvalidBacktest("best", f"From 0 to {MOST_BEST}, not {best}.")
    try:
        strategy = strategies.resolve(spec.get("strategy"))
        strategy = strategy.replaced(orders=spec.get("orders"), risk=spec.get("risk"))
        sizing = spec.get("sizing")
        by_risk = isinstance(sizing, Mapping) and sizing.get("type") == "risk"
        scales = Scales(strategy=strategy, needs_stop=by_risk, most=_MOST_PARTS)
        found = _combinations(scales, spec.get("params", {}), space, method, samples, seed)
    except TooMuchToWeigh:
        raise InvalidBacktest(
            "space",
            f"To check all combinations, more than {_MOST_PARTS} parts of the strategy have to be looked at:"
            " try fewer of them.",
        ) from None
    except SpecError as exc:
        raise InvalidBacktest.of(exc) from None
    # Whatever can be the best can then be run in full.
    dearest = max(range(len(found)), key=found.costs.__getitem__)
    base = question(
        instruments=instruments,
        timeframe=timeframe,
        start=start,
        end=end,
        spec={**spec, "params": found.kept[dearest]},
    )
    base = replace(base, spec=Spec.from_dict({**spec, "params": found.kept[0]}))
    try:
        folds = folds_in(walk_forward, base.start, base.end)
    except SpecError as exc:
        raise InvalidBacktest.of(exc) from None
    each, work = _work(base, found, folds)
    if work > conf.max_sweep_work():
        raise InvalidBacktest(
            "space",
            f"{len(found)} combinations are {work:.3g} units of work;"
            f" {conf.max_sweep_work():.3g} is the limit.",
        )
    size = max(1, min(int(conf.chunk_work() / each), _MOST_OF_A_CHUNK))
    return SweepQuestion(base=base, combinations=found, size=size)


def _work(base: Question, found: Combinations, folds: Sequence[Fold]) -> tuple[float, float]:
    """Work of the dearest combination and of all, as long as they take here."""
    bars, finer = base.frame.count(base.start, base.end), base.spec.execution.detail
    fills = bars if finer is None else TIMEFRAMES[finer].count(base.start, base.end)
    inside = sum(part[1] - part[0] for fold in folds for part in (fold.train, fold.test))
    slow = 1.0 if jit.chosen(None) is not None else _UNCOMPILED
    filling = slow * _SIMULATION * fills * (1 + inside / (base.end - base.start))
    number = len(base.instruments)
    dearest = number * (bars * max(found.costs) + filling)
    return dearest, number * (bars * sum(found.costs) + filling * len(found))


def folds_in(given: object, start: int, end: int) -> tuple[Fold, ...]:
    """The folds of a range (ms) that ``walk_forward`` asks for; none for null. Raises SpecError."""
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise SpecError("walk_forward", "must be an object with train and test")
    for key in given:
        if key not in ("train", "test", "step", "anchored"):
            raise SpecError(f"walk_forward.{key}", "is unknown; known are train, test, step, anchored")
    for key in ("train", "test"):
        if key not in given:
            raise SpecError(f"walk_forward.{key}", "is required")
    anchored = given.get("anchored", False)
    if not isinstance(anchored, bool):
        raise SpecError("walk_forward.anchored", "must be true or false")
    step = given.get("step")
    return folds_of(
        start,
        end,
        train=_span(given["train"], "train"),
        test=_span(given["test"], "test"),
        step=None if step is None else _span(step, "step"),
        anchored=anchored,
        most=conf.max_folds(),
    )


def _span(given: object, name: str) -> int:
    found = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise SpecError(f"walk_forward.{name}", "must be a length of time as 90m, 12h, 30d or 4w")
    return int(found[1]) * _UNITS[found[2]]


def _combinations(
    scales: Scales,
    params: object,
    space: object,
    method: str,
    samples: int | None,
    seed: int | None,
) -> Combinations:
    if not isinstance(params, Mapping):
        raise SpecError("params", "must be an object")
    most = conf.max_combinations()
    # Refused combinations cost nothing later, but have to be looked at now.
    looks = 4 * most
    random = method == Sweep.Method.RANDOM
    found = space_of(space, scales.strategy.schema, most=most, spans=random)
    fixed = fixed_of(params, found)
    if random:
        if samples is None or not 1 <= samples <= most:
            raise SpecError("samples", f"must be from 1 to {most}")
        if seed is None or not 0 <= seed < _SEEDS:
            raise SpecError("seed", f"must be from 0 to {_SEEDS - 1}")
        return draws(
            found, fixed, scales.validated, samples=samples, seed=seed, weighed=scales.weighed, most=looks
        )
    if samples is not None or seed is not None:
        raise SpecError("samples" if samples is not None else "seed", "belongs to the method random")
    size = found.size
    assert size is not None
    if size > looks:
        raise SpecError("space", f"has {size} combinations; {looks} is the limit with refused ones")
    return grid(found, fixed, scales.validated, weighed=scales.weighed, most=most)
