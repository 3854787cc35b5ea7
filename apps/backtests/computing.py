"""Running a backtest: load, simulate, certify, store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from apps.backtests.announcing import announce
from apps.backtests.asking import asked_again
from apps.backtests.columns import Curve
from apps.backtests.engine import Bars, BarsError, Result, Spec, SpecError, certify
from apps.backtests.engine.jit import chosen
from apps.backtests.engine.run import run_signals, signals_of
from apps.backtests.engine.strategies import Signals
from apps.backtests.identity import data_version
from apps.backtests.loading import bars_of
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.reporting import Reporter
from apps.backtests.storing import Packed, packed, result_keep
from apps.candles.api.catalogue import named
from apps.candles.models import Instrument
from apps.candles.sources import DataSource, SourceError
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import to_ms
from apps.tasks import Cancelled, PermanentError, current_run

# Bars, of all instruments together, between two looks at whether the run was cancelled. Compiled a bar takes
# a microsecond, uncompiled six, and with many instruments more: it is some ten milliseconds.
_CHUNK, _UNCOMPILED = 16_384, 1_024
# With very many instruments, so many moments at least.
_FEWEST = 16


class Timings:
    """How long each part of a run took, in milliseconds."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a part."""
        began = time.perf_counter()
        yield
        spent = 1000 * (time.perf_counter() - began)
        self.parts[name] = round(self.parts.get(name, 0.0) + spent, 3)


def backtest_run(*, backtest: Backtest | None, source: DataSource | None = None) -> None:
    """Compute *backtest* from the candles of *source* (the stored ones), and store its result.

    The result, the success of the run and the request for the announcement are committed together. A result
    of the same identity that is stored by then is taken in place of this one: they are equal.

    Raises `PermanentError` when there is nothing to compute; `Cancelled` when somebody wanted that, or
    deleted the backtest.
    """
    if backtest is None:
        raise Cancelled("the backtest was deleted")
    this = current_run()
    reporter, timings = Reporter(this), Timings()
    try:
        spec = Spec.from_dict(backtest.spec)
        with timings.measured("load"):
            instruments = _instruments(backtest)
            before = _version(backtest, instruments)
            data, detail = _loaded(backtest, spec, source or stored_source(), reporter)
            # What was changed while it was read is of no version that is known.
            known = source is None and _version(backtest, instruments) == before
        given, finer = _engines(data), None if detail is None else _engines(detail)
        with _fingerprinting([*data.values(), *(detail or {}).values()]):
            with timings.measured("signals"):
                signals = _decided(given, spec, reporter)
            with timings.measured("simulation"):
                result = _simulated(given, finer, signals, spec, reporter)
        with timings.measured("certificate"):
            certificate = _certified(given, signals, spec, reporter)
    except (BarsError, SourceError, SpecError) as exc:
        raise PermanentError(str(exc)) from exc
    curve = Curve(ts=result.ts, value=result.equity)
    reporter.phase("storing")

    def pack() -> Packed:
        with timings.measured("encode"):
            return packed(
                result,
                curve,
                bars=list(data.values()),
                cash=spec.cash,
                maker=backtest.pk,
                certificate=certificate,
                timings=timings.parts,
            )

    with this.completing({"fingerprint": result.fingerprint, "trades": len(result.trades)}):
        if not Backtest.objects.select_for_update().filter(pk=backtest.pk).exists():
            raise Cancelled("the backtest was deleted")
        began = time.perf_counter()
        kept, stored = result_keep(result=result, pack=pack)
        Backtest.objects.filter(pk=backtest.pk).update(result=kept, data_version=before if known else "")
        if stored:
            spent = 1000 * (time.perf_counter() - began) - timings.parts["encode"]
            timings.parts["store"] = round(spent, 3)
            BacktestResult.objects.filter(pk=kept.pk).update(timings=timings.parts)
        announce(backtest, result.metrics)


@contextmanager
def _fingerprinting(bars: Sequence[Bars]) -> Iterator[None]:
    """Have the bars' fingerprints made meanwhile, which takes as long as simulating them.

    Hashing keeps no other thread of Python waiting, and each is made once. A hash that is under way when the
    block ends is not waited for: whoever is cancelled ends now, and it touches nothing else.
    """

    def make() -> None:
        for one in bars:
            if ended.is_set():
                return
            _ = one.fingerprint

    ended, beside = threading.Event(), threading.Thread(target=make, name="fingerprints", daemon=True)
    beside.start()
    try:
        yield
    finally:
        ended.set()


def _instruments(backtest: Backtest) -> tuple[Instrument, ...]:
    found = named(backtest.instruments)
    if gone := [name for name in backtest.instruments if name not in found]:
        raise PermanentError(f"{', '.join(gone)} is not known any more")
    return asked_again(list(found.values()), backtest.instruments)


def _version(backtest: Backtest, instruments: Sequence[Instrument]) -> str:
    return data_version(instruments, to_ms(backtest.start), to_ms(backtest.end))


def _loaded(
    backtest: Backtest, spec: Spec, source: DataSource, reporter: Reporter
) -> tuple[dict[str, Bars], dict[str, Bars] | None]:
    """The bars of each instrument, and those of the finer timeframe where orders are filled on one."""
    finer = spec.execution.detail
    frames = [backtest.timeframe] if finer is None else [backtest.timeframe, finer]
    total, loaded = len(frames) * len(backtest.instruments), []
    reporter.phase("loading", total=total)
    for place, frame in enumerate(frames):
        of_frame = {}
        for at, name in enumerate(backtest.instruments):
            of_frame[name] = bars_of(source, name, frame, backtest.start, backtest.end)
            reporter(place * len(backtest.instruments) + at + 1, total)
        loaded.append(of_frame)
    return loaded[0], loaded[1] if finer is not None else None


def _engines(data: dict[str, Bars]) -> Bars | dict[str, Bars]:
    """What the engine is given: one instrument as such, several by their names."""
    return data if len(data) > 1 else next(iter(data.values()))


def _decided(data: Bars | dict[str, Bars], spec: Spec, reporter: Reporter) -> dict[str, Signals]:
    """The signals of each instrument, by the engine's names."""
    reporter.phase("signals")
    return signals_of(data, spec, check=lambda: reporter(0, 1))


def _simulated(
    data: Bars | dict[str, Bars],
    detail: Bars | dict[str, Bars] | None,
    signals: dict[str, Signals],
    spec: Spec,
    reporter: Reporter,
) -> Result:
    reporter.phase("simulating")
    bars = _CHUNK if chosen(None) else _UNCOMPILED
    chunk = max(_FEWEST, bars // len(signals))
    return run_signals(data, signals, spec, detail=detail, progress=reporter, chunk=chunk)


def _certified(
    data: Bars | dict[str, Bars], signals: dict[str, Signals], spec: Spec, reporter: Reporter
) -> dict[str, Any]:
    """The certificate that no signal looks ahead, of several instruments by their names."""
    several = {"": data} if isinstance(data, Bars) else data
    reporter.phase("certificate", 0, len(several))
    found = {}
    for place, (name, bars) in enumerate(several.items()):
        look = partial(reporter, place, len(several))
        found[name] = certify(bars, spec.definition, spec.params, signals=signals[name], check=look)
    return found[""] if isinstance(data, Bars) else found
