"""Asking for backtests and running them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.backtests import conf
from apps.backtests.engine import METRICS, Bars, BarsError, Result, Spec, SpecError, downsample, run
from apps.backtests.models import Backtest, BacktestResult
from apps.candles.models import Instrument
from apps.candles.selectors import instrument_get
from apps.candles.sources import DataSource, SourceError
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import TIMEFRAMES, to_ms
from apps.core.ids import uuid7
from apps.notifications.services import email_request
from apps.tasks import PermanentError, current_run

#: Points of the equity curve that are kept; the whole curve follows from running again.
_EQUITY_POINTS = 2_000

#: What the announcement tells: metrics by name.
_ANNOUNCED = ("final_equity", "return_pct", "buy_hold_return_pct", "max_drawdown_pct", "sharpe", "n_trades")


class InvalidBacktest(ValueError):
    """The request cannot be run. ``field`` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@transaction.atomic
def backtest_request(
    *,
    owner_id: int,
    instrument: str,
    timeframe: str,
    start: datetime,
    end: datetime,
    spec: Mapping[str, Any],
) -> Backtest:
    """Ask for a backtest of *spec* over the bars that open in [start, end).

    Raises `InvalidBacktest` naming the field: an unknown instrument or timeframe, an empty, reversed or
    over-long range, or a part of the specification.
    """
    from apps.backtests.tasks import run_backtest

    frame = TIMEFRAMES.get(timeframe)
    if frame is None:
        raise InvalidBacktest("timeframe", f"{timeframe!r} is not one of {', '.join(TIMEFRAMES)}.")
    try:
        instrument_get(instrument)
    except (ValueError, Instrument.DoesNotExist):
        raise InvalidBacktest("instrument", f"{instrument!r} is not a known instrument.") from None
    if start >= end:
        raise InvalidBacktest("start", "Must be before end.")
    bars = frame.count(to_ms(start), to_ms(end))
    if not bars:
        raise InvalidBacktest("end", f"No {timeframe} bar opens in this range.")
    if bars > conf.max_bars():
        raise InvalidBacktest("start", f"The range spans {bars} bars; {conf.max_bars()} is the limit.")
    try:
        complete = Spec.from_dict(spec)
    except SpecError as exc:
        raise InvalidBacktest(exc.field, f"{exc.message[:1].upper()}{exc.message[1:]}.") from None
    backtest_id = uuid7()
    requested = run_backtest.apply_async(
        kwargs={"backtest_id": str(backtest_id)},
        group_key=f"user-{owner_id}",
    )
    return Backtest.objects.create(
        id=backtest_id,
        owner_id=owner_id,
        instrument=instrument,
        timeframe=timeframe,
        start=start,
        end=end,
        spec=complete.as_dict(),
        spec_hash=complete.spec_hash,
        task_run=UUID(requested.id),
    )


def backtest_run(*, backtest: Backtest, source: DataSource | None = None) -> None:
    """Compute *backtest* from the candles of *source* (the database's), and store its result.

    The result, the success of the run and the request for the announcement are committed together.
    Raises `PermanentError` when there is nothing to compute, and the error of the run's progress report
    when it was cancelled.
    """
    this = current_run()
    try:
        candles = (source or stored_source()).load(
            backtest.instrument, backtest.timeframe, backtest.start, backtest.end
        )
        bars = Bars(
            ts=candles.ts,
            open=candles.open,
            high=candles.high,
            low=candles.low,
            close=candles.close,
            volume=candles.volume,
        )
        result = run(bars, Spec.from_dict(backtest.spec), progress=this.progress)
    except (BarsError, SourceError, SpecError) as exc:
        raise PermanentError(str(exc)) from exc
    summary = {"fingerprint": result.fingerprint, "trades": len(result.trades)}
    with this.completing(summary):
        _store(backtest, bars, result)
        _announce(backtest, result)


def _store(backtest: Backtest, bars: Bars, result: Result) -> None:
    kept = downsample(result.equity, _EQUITY_POINTS)
    BacktestResult.objects.update_or_create(
        backtest=backtest,
        defaults={
            "bars": len(bars),
            "metrics": result.metrics,
            "trades": result.trades.rows(bars.ts),
            "equity": {"ts": bars.ts[kept].tolist(), "value": result.equity[kept].tolist()},
            "fingerprint": result.fingerprint,
            "data_fingerprint": result.data_fingerprint,
            "engine_version": result.engine_version,
        },
    )


def _announce(backtest: Backtest, result: Result) -> None:
    """Tell the owner, who need not have an address."""
    recipient = backtest.owner.email
    if not recipient:
        return
    units = {metric.name: metric.unit for metric in METRICS}
    email_request(
        kind="backtest_finished",
        recipient=recipient,
        about=f"backtest:{backtest.pk}",
        context={
            "strategy": backtest.spec["strategy"],
            "instrument": backtest.instrument,
            "timeframe": backtest.timeframe,
            "start": backtest.start,
            "end": backtest.end,
            "lines": [_line(name, result.metrics[name], units[name]) for name in _ANNOUNCED],
            "url": f"{conf.public_url()}/api/v1/backtests/{backtest.pk}",
        },
    )


def _line(name: str, value: float | int | None, unit: str) -> str:
    """One metric for people to read."""
    label = name.removesuffix("_pct").replace("_", " ")
    if value is None:
        return f"{label}: not defined for this run"
    if unit == "count":
        return f"{label}: {value:,.0f}"
    return f"{label}: {value:,.2f}{' %' if unit == '%' else ''}"
