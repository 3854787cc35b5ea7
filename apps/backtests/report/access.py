"""Which backtests a page may show, how they stand, and what is kept of them: all that pages read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from apps.backtests import comparing, identity, selectors, sharing
from apps.backtests.models import Backtest
from apps.backtests.report import wording
from apps.backtests.report.comparison import POINTS, Compared, comparison_document
from apps.backtests.report.document import drawn_document, trade_columns
from apps.backtests.report.drawing import nothing_drawn
from apps.backtests.report.outcome import Outcome, TradeTable, table_of_stored
from apps.candles.api.catalogue import named
from apps.candles.timeframes import TIMEFRAMES, to_ms
from apps.tasks.states import ENDED

_GONE = "gone"
#: Everything is shown as it was; looking closer at the chart asks for the candles of now.
_THEN = " Everything here is of those that it ran on, except for the finer candles of a closer look."
_CHANGED = (
    "The candles may have changed since this backtest ran: the stored months have a newer version." + _THEN
)
_UNVERSIONED = (
    "The candles may have changed since this backtest ran: it is not known which version it ran on." + _THEN
)
_UNKNOWN = "An instrument of this backtest is not known any more, so there are no finer candles to look at."
_UNDRAWN = "The candles of this backtest were not kept with its result, so there is no price chart."


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
    strategy = _strategy(backtest)
    return backtest.title or str(strategy.get("title") or strategy["name"])


def about(backtest: Backtest) -> str:
    """On what it runs, as the page says it before its document is there."""
    start, end = (moment.date().isoformat() for moment in (backtest.start, _last(backtest)))
    return f"{', '.join(backtest.instruments)} {backtest.timeframe}, {start} to {end}"


def fingerprint(backtest: Backtest) -> str | None:
    """The fingerprint of its result. While there is none it is None, and each call looks again."""
    if backtest.result is None:
        now = selectors.with_results(Backtest.objects.filter(pk=backtest.pk, result__isnull=False)).first()
        if now is not None:
            # What it ran on is known since then, too.
            backtest.result, backtest.data_version = now.result, now.data_version
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
    result = backtest.result
    assert result is not None
    drawing = selectors.drawing_of(result)
    notes = _notes(backtest, drawing is not None)
    if drawing is None:
        step = TIMEFRAMES[backtest.timeframe].width
        drawing = nothing_drawn(len(backtest.instruments), result.bars, step)
    return drawn_document(
        instruments=backtest.instruments,
        drawing=drawing,
        outcome=_outcome(backtest),
        spec=backtest.spec,
        timeframe=backtest.timeframe,
        title=title(backtest),
        strategy=_strategy(backtest),
        notes=notes,
    )


def trades(backtest: Backtest, offset: int) -> dict[str, Any]:
    """Trades of a backtest that has a result, from *offset* on; see `trade_columns`."""
    return trade_columns(_trades(backtest), offset)


def comparison(backtests: Mapping[str, Backtest]) -> dict[str, Any]:
    """The comparison of backtests that have results, by the addresses of their reports."""
    runs = []
    for url, backtest in backtests.items():
        parameters = ", ".join(f"{name} {value}" for name, value in backtest.spec["params"].items())
        of = f" ({parameters})" if parameters else ""
        runs.append(
            Compared(
                title=f"{title(backtest)}{of}, {backtest.where} {backtest.timeframe}",
                url=url,
                instruments=tuple(backtest.instruments),
                timeframe=backtest.timeframe,
                start=to_ms(backtest.start),
                end=to_ms(_last(backtest)),
            )
        )
    return comparison_document(runs, comparing.compared(list(backtests.values()), points=POINTS))


def _strategy(backtest: Backtest) -> dict[str, Any]:
    """The strategy in the words of who asked, as it was then; where those are not known, as it is now."""
    known = {"strategy": json.loads(backtest.definition)} if backtest.definition else backtest.spec
    return wording.strategy(known)


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


def data_version(backtest: Backtest) -> str:
    """The version of the stored months of its candles as they are now; ``gone`` where an instrument is."""
    found = named(backtest.instruments)
    if len(found) < len(backtest.instruments):
        return _GONE
    instruments = [found[name] for name in backtest.instruments]
    return identity.data_version(instruments, to_ms(backtest.start), to_ms(backtest.end))


def _notes(backtest: Backtest, drawn: bool) -> tuple[str, ...]:
    """What is to be said of the candles."""
    notes = () if drawn else (_UNDRAWN,)
    version = data_version(backtest)
    if version == _GONE:
        return (*notes, _UNKNOWN)
    if not backtest.data_version:
        return (*notes, _UNVERSIONED)
    return notes if version == backtest.data_version else (*notes, _CHANGED)
