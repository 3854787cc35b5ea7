"""Which backtests a page may show, how they stand, and what is kept of them: all that pages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from apps.backtests import comparing, selectors, sharing
from apps.backtests.engine import Bars
from apps.backtests.engine.run import fingerprint_of
from apps.backtests.identity import data_version
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.report import wording
from apps.backtests.report.comparison import POINTS, Compared, comparison_document
from apps.backtests.report.document import report_document, trade_columns
from apps.backtests.report.outcome import Outcome, TradeTable, table_of_stored
from apps.candles.api.catalogue import named
from apps.candles.sources import VALUES, SourceError
from apps.candles.sources.stored import stored_source
from apps.candles.timeframes import TIMEFRAMES, to_ms
from apps.tasks.states import ENDED

_CHANGED = (
    "The candles have changed since this backtest ran. The price chart shows what is stored now; everything"
    " else is the result of what was stored then."
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a backtest without a result is. ``ended`` means that none will come by itself."""

    state: str
    ended: bool
    #: ``phase``, ``done`` and ``total``; None where nothing is under way.
    progress: Mapping[str, Any] | None
    #: ``type`` and ``message`` of the last failed attempt.
    error: Mapping[str, str] | None


def visible(*, user: AbstractBaseUser | AnonymousUser, backtest_id: UUID) -> Backtest | None:
    """The backtest with its light result, if *user* may see it: its owner, and staff."""
    if not user.is_authenticated:
        return None
    found = selectors.with_results(selectors.backtests(user=user))
    return found.filter(pk=backtest_id).first()


def shared(*, token: str) -> Backtest | None:
    """The backtest that this token opens, without its owner's words; None for a token that is not valid."""
    found = sharing.shared(token)
    if found is not None:
        found.title, found.labels = "", []
    return found


def title(backtest: Backtest) -> str:
    """What a backtest is called: by its owner, or as its strategy."""
    strategy = wording.strategy(backtest.spec)
    return backtest.title or str(strategy.get("title") or strategy["name"])


def about(backtest: Backtest) -> str:
    """On what it runs, as the page says it before its document is there."""
    start, end = (moment.date().isoformat() for moment in (backtest.start, _last(backtest)))
    return f"{', '.join(backtest.instruments)} {backtest.timeframe}, {start} to {end}"


def fingerprint(backtest: Backtest) -> str | None:
    """The fingerprint of its result. While there is none it is None, and each call looks again."""
    if backtest.result is None:
        backtest.result = BacktestResult.objects.filter(backtests=backtest.pk).first()
    return None if backtest.result is None else backtest.result.fingerprint


def standing(backtest: Backtest) -> Standing:
    """How far it is."""
    status = selectors.statuses([backtest])[backtest.pk]
    progress = {"phase": status.phase, "done": status.done, "total": status.total} if status.phase else None
    return Standing(
        state=str(status.state), ended=status.state in ENDED, progress=progress, error=status.error
    )


def document(backtest: Backtest) -> dict[str, Any]:
    """The report of a backtest that has a result."""
    bars = {name: _bars(backtest, name, backtest.timeframe) for name in backtest.instruments}
    return report_document(
        bars=bars,
        outcome=_outcome(backtest),
        spec=backtest.spec,
        timeframe=backtest.timeframe,
        title=title(backtest),
        notes=_notes(backtest, bars),
    )


def trades(backtest: Backtest, offset: int) -> dict[str, Any]:
    """Trades of a backtest that has a result, from *offset* on; see `trade_columns`."""
    return trade_columns(_trades(backtest), offset)


def comparison(backtests: Mapping[str, Backtest]) -> dict[str, Any]:
    """The comparison of backtests that have results, by the addresses of their reports."""
    runs = []
    for url, backtest in backtests.items():
        parameters = ", ".join(f"{name} {value}" for name, value in backtest.spec["params"].items())
        runs.append(
            Compared(
                title=f"{title(backtest)} ({parameters}), {backtest.where} {backtest.timeframe}",
                url=url,
                instruments=tuple(backtest.instruments),
                timeframe=backtest.timeframe,
                start=to_ms(backtest.start),
                end=to_ms(_last(backtest)),
            )
        )
    return comparison_document(runs, comparing.compared(list(backtests.values()), points=POINTS))


def _last(backtest: Backtest) -> datetime:
    """When its last bar opens, if there is one."""
    return backtest.end - timedelta(milliseconds=TIMEFRAMES[backtest.timeframe].width)


def _outcome(backtest: Backtest) -> Outcome:
    result = backtest.result
    assert result is not None
    curve = selectors.curve_of(result)
    return Outcome(
        ts=curve.ts,
        equity=curve.value,
        trades=_trades(backtest),
        metrics=result.metrics,
        fingerprint=result.fingerprint,
        spec_hash=result.spec_hash,
        data_fingerprint=result.data_fingerprint,
        engine_version=result.engine_version,
        ambiguous=result.ambiguous,
        bounds=result.bounds,
        certificate=result.certificate,
    )


def _trades(backtest: Backtest) -> TradeTable:
    return table_of_stored(selectors.trades_of(backtest), backtest.instruments)


def _bars(backtest: Backtest, name: str, timeframe: str) -> Bars:
    """Candles as they are stored now; none where the instrument is not known any more."""
    width = TIMEFRAMES[timeframe].width
    try:
        candles = stored_source().load(name, timeframe, backtest.start, backtest.end)
    except SourceError:
        nothing = np.empty(0)
        return Bars(ts=np.empty(0, np.int64), **dict.fromkeys(VALUES, nothing), step=width)
    return Bars(ts=candles.ts, **{column: getattr(candles, column) for column in VALUES}, step=width)


def _notes(backtest: Backtest, bars: Mapping[str, Bars]) -> tuple[str, ...]:
    """What is to be said of the candles that are stored now."""
    gone = [name for name, one in bars.items() if not len(one)]
    if len(gone) == len(bars):
        return ("The candles of this backtest are not stored any more, so there is no price chart.",)
    if gone:
        return (_CHANGED, f"There are no candles of {', '.join(gone)} any more, so no price chart of that.")
    return () if _unchanged(backtest, bars) else (_CHANGED,)


def _unchanged(backtest: Backtest, bars: Mapping[str, Bars]) -> bool:
    """Whether the result is of what is stored now. *bars* are of the backtest's timeframe."""
    assert backtest.result is not None
    found = named(backtest.instruments)
    instruments = [found[name] for name in backtest.instruments]
    version = data_version(instruments, to_ms(backtest.start), to_ms(backtest.end))
    if backtest.data_version == version:
        return True
    # Something in these months is another, which need not be in the range.
    timeframe = backtest.spec["execution"]["detail"]
    fine = None if timeframe is None else {name: _bars(backtest, name, timeframe) for name in bars}
    several = len(bars) > 1
    data = bars if several else next(iter(bars.values()))
    detail = fine if several or fine is None else next(iter(fine.values()))
    return fingerprint_of(data, detail) == backtest.result.data_fingerprint
