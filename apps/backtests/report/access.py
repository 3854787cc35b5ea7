"""Which backtests a page may show, how they stand, and what is kept of them: all that pages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from apps.backtests import selectors
from apps.backtests.engine import Bars
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.report import wording
from apps.backtests.report.comparison import Compared
from apps.backtests.report.document import report_document, trade_columns
from apps.backtests.report.outcome import Outcome, table_of_rows
from apps.candles.sources import SourceError
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import TIMEFRAMES
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED

_CHANGED = (
    "The candles have changed since this backtest ran. The price chart shows what is stored now; everything"
    " else is the result of what was stored then."
)
_GONE = "The candles of this backtest are not stored any more, so there is no price chart."


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a backtest without a result is. ``ended`` means that none will come by itself."""

    state: str
    ended: bool
    progress: Mapping[str, Any] | None
    error: Mapping[str, str] | None


def visible(*, user: AbstractBaseUser | AnonymousUser, backtest_id: UUID) -> Backtest | None:
    """The backtest, if *user* may see it: its owner, and staff."""
    if not user.is_authenticated:
        return None
    return selectors.backtests(user=user).filter(pk=backtest_id).first()


def shared(*, token: str) -> Backtest | None:
    """The backtest that was shared by a link with this token; None for a token that is not valid."""
    return None


def title(backtest: Backtest) -> str:
    """What a backtest is called."""
    strategy = wording.strategy(backtest.spec)
    return str(strategy.get("title") or strategy["name"])


def about(backtest: Backtest) -> str:
    """On what it runs, as the page says it before its document is there."""
    start, end = backtest.start.date().isoformat(), backtest.end.date().isoformat()
    return f"{backtest.instrument} {backtest.timeframe}, {start} to {end}"


def fingerprint(backtest: Backtest) -> str | None:
    """The fingerprint of its result; None while there is none."""
    results = BacktestResult.objects.filter(pk=backtest.pk)
    return results.values_list("fingerprint", flat=True).first()


def standing(backtest: Backtest) -> Standing:
    """How far its run is."""
    run = TaskRun.objects.only("state", "progress", "error").filter(pk=backtest.task_run).first()
    if run is None:
        return Standing(state="unknown", ended=True, progress=None, error=None)
    error = {key: str(run.error[key]) for key in ("type", "message")} if run.error else None
    return Standing(state=run.state, ended=run.state in ENDED, progress=run.progress, error=error)


def document(backtest: Backtest) -> dict[str, Any]:
    """The report of a backtest that has a result."""
    outcome = _outcome(backtest.result)
    bars, note = _bars(backtest, outcome)
    return report_document(
        bars={backtest.instrument: bars},
        outcome=outcome,
        spec=backtest.spec,
        timeframe=backtest.timeframe,
        title=title(backtest),
        notes=(note,) if note else (),
    )


def trades(backtest: Backtest, offset: int) -> dict[str, Any]:
    """Trades of a backtest that has a result, from *offset* on; see `trade_columns`."""
    return trade_columns(table_of_rows(backtest.result.trades), offset)


def compared(backtest: Backtest, url: str) -> Compared:
    """A backtest that has a result, to be compared."""
    parameters = ", ".join(f"{name} {value}" for name, value in backtest.spec["params"].items())
    return Compared(
        title=f"{title(backtest)} ({parameters}), {backtest.instrument} {backtest.timeframe}",
        url=url,
        instruments=(backtest.instrument,),
        timeframe=backtest.timeframe,
        spec=backtest.spec,
        outcome=_outcome(backtest.result),
    )


def _outcome(result: BacktestResult) -> Outcome:
    return Outcome(
        ts=np.array(result.equity["ts"], np.int64),
        equity=np.array(result.equity["value"], float),
        trades=table_of_rows(result.trades),
        metrics=result.metrics,
        fingerprint=result.fingerprint,
        spec_hash=result.backtest.spec_hash,
        data_fingerprint=result.data_fingerprint,
        engine_version=result.engine_version,
    )


def _bars(backtest: Backtest, outcome: Outcome) -> tuple[Bars, str]:
    """Its candles as they are stored now, none where they are not, and a remark on that."""
    width = TIMEFRAMES[backtest.timeframe].width
    names = ("open", "high", "low", "close", "volume")
    try:
        candles = stored_source().load(backtest.instrument, backtest.timeframe, backtest.start, backtest.end)
    except SourceError:
        nothing = np.empty(0)
        return Bars(ts=np.empty(0, np.int64), **dict.fromkeys(names, nothing), step=width), _GONE
    bars = Bars(ts=candles.ts, **{name: getattr(candles, name) for name in names}, step=width)
    if not len(bars):
        return bars, _GONE
    return bars, "" if bars.fingerprint == outcome.data_fingerprint else _CHANGED
