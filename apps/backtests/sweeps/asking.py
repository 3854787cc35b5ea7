"""From what somebody asks for to what can be computed: checked whole, before anything is queued."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.backtests import conf as backtests_conf
from apps.backtests.engine import Spec, SpecError, jit
from apps.backtests.engine.sweep import SWEPT, Combinations, Fold, draws, fixed_of, folds_of, grid, space_of
from apps.backtests.engine.sweep.signalling import cost_of, strategy_named
from apps.backtests.services import InvalidBacktest
from apps.backtests.sweeps import conf
from apps.backtests.sweeps.models import Sweep
from apps.candles.models import Instrument
from apps.candles.selectors import instrument_get
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_ms

#: Metrics that the best can be the best by.
METRICS = tuple(name for name in SWEPT if name not in ("entries_skipped", "peak_equity"))
MOST_BEST = 50
_SEEDS = 2**53
#: Work of the simulation of a bar, in the units of a strategy's cost; uncompiled, it is this much more.
_SIMULATION, _UNCOMPILED = 10.0, 40.0
_MOST_OF_A_CHUNK = 2_000
_SPAN = re.compile(r"([1-9][0-9]{0,8})([mhdw])")
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A sweep that can be computed. Times are in milliseconds."""

    instruments: tuple[str, ...]
    timeframe: str
    start: int
    end: int
    spec: Spec
    strategy: str
    combinations: Combinations
    folds: tuple[Fold, ...]
    #: Combinations of a chunk.
    size: int


def question(
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
) -> Question:
    """What is asked for, or `InvalidBacktest` that names the field. *spec* has the fixed parameters."""
    frame, bars = _range(instruments, timeframe, start, end)
    if metric not in METRICS:
        raise InvalidBacktest("metric", f"{metric!r} is not one of {', '.join(METRICS)}.")
    if not 0 <= best <= MOST_BEST:
        raise InvalidBacktest("best", f"From 0 to {MOST_BEST}, not {best}.")
    try:
        strategy = strategy_named(spec.get("strategy"))
        found = _combinations(strategy, spec.get("params", {}), space, method, samples, seed)
        complete = Spec.from_dict({**spec, "params": found.kept[0]})
        folds = folds_in(walk_forward, to_ms(start), to_ms(end))
    except SpecError as exc:
        raise InvalidBacktest(exc.field, f"{exc.message[:1].upper()}{exc.message[1:]}.") from None
    fills = _fills(complete, frame, start, end, bars)
    share = 1.0
    if folds:
        inside = sum(part[1] - part[0] for fold in folds for part in (fold.train, fold.test))
        share += inside / (to_ms(end) - to_ms(start))
    dearest = max(cost_of(strategy, params) for params in _some(found.kept))
    each = len(instruments) * (bars * dearest + fills * _SIMULATION * share)
    work = each * len(found)
    if work > conf.max_sweep_work():
        raise InvalidBacktest(
            "space",
            f"{len(found)} combinations of {bars} bars are {work:.3g} units of work;"
            f" {conf.max_sweep_work():.3g} is the limit.",
        )
    slow = 1.0 if jit.chosen(None) is not None else _UNCOMPILED
    return Question(
        instruments=tuple(instruments),
        timeframe=timeframe,
        start=to_ms(start),
        end=to_ms(end),
        spec=complete,
        strategy=strategy.name,
        combinations=found,
        folds=folds,
        size=max(1, min(int(conf.chunk_work() / (each * slow)), _MOST_OF_A_CHUNK)),
    )


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
    strategy: Any,
    params: object,
    space: object,
    method: str,
    samples: int | None,
    seed: int | None,
) -> Combinations:
    if not isinstance(params, Mapping):
        raise SpecError("params", "must be an object")
    most = conf.max_combinations()
    random = method == Sweep.Method.RANDOM
    found = space_of(space, strategy.schema, most=most, spans=random)
    fixed = fixed_of(params, found)
    if random:
        if samples is None or not 1 <= samples <= most:
            raise SpecError("samples", f"must be from 1 to {most}")
        if seed is None or not 0 <= seed < _SEEDS:
            raise SpecError("seed", f"must be from 0 to {_SEEDS - 1}")
        return draws(found, fixed, strategy.validated, samples=samples, seed=seed)
    if samples is not None or seed is not None:
        raise SpecError("samples" if samples is not None else "seed", "belongs to the method random")
    size = found.size
    assert size is not None
    # Refused combinations cost nothing later, but have to be looked at now.
    if size > 4 * most:
        raise SpecError("space", f"has {size} combinations; {4 * most} is the limit with refused ones")
    kept = grid(found, fixed, strategy.validated)
    if len(kept) > most:
        raise SpecError("space", f"has {len(kept)} combinations; {most} is the limit")
    return kept


def _some(combinations: Sequence[Any]) -> Sequence[Any]:
    """Some of the combinations, the first and the last included."""
    step = max(1, len(combinations) // 20)
    return [*combinations[::step], combinations[-1]]


def _range(
    instruments: Sequence[str], timeframe: str, start: datetime, end: datetime
) -> tuple[Timeframe, int]:
    frame = TIMEFRAMES.get(timeframe)
    if frame is None:
        raise InvalidBacktest("timeframe", f"{timeframe!r} is not one of {', '.join(TIMEFRAMES)}.")
    for text in instruments:
        try:
            instrument_get(text)
        except (ValueError, Instrument.DoesNotExist):
            raise InvalidBacktest("instrument", f"{text!r} is not a known instrument.") from None
    if start >= end:
        raise InvalidBacktest("start", "Must be before end.")
    bars = frame.count(to_ms(start), to_ms(end))
    if not bars:
        raise InvalidBacktest("end", f"No {timeframe} bar opens in this range.")
    return frame, _within_limit(bars, timeframe)


def _within_limit(bars: int, timeframe: str) -> int:
    most = backtests_conf.max_bars()
    if bars > most:
        raise InvalidBacktest("start", f"The range spans {bars} bars of {timeframe}; {most} is the limit.")
    return bars


def _fills(spec: Spec, frame: Timeframe, start: datetime, end: datetime, bars: int) -> int:
    """How many bars orders are filled on."""
    finer = spec.execution.detail
    if finer is None:
        return bars
    inside = TIMEFRAMES.get(finer)
    if inside is None or inside.width >= frame.width:
        known = ", ".join(name for name, one in TIMEFRAMES.items() if one.width < frame.width)
        raise InvalidBacktest("execution.detail", f"Must be finer than {frame.name}: one of {known}.")
    return _within_limit(inside.count(to_ms(start), to_ms(end)), finer)
