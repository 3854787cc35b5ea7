"""The end of a sweep: what was found is judged, and the best of it is run in full."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from apps.backtests.asking import InvalidBacktest
from apps.backtests.engine import BarsError, SpecError
from apps.backtests.engine.sweep.walk import with_bars
from apps.backtests.sweeps.announcing import announce
from apps.backtests.sweeps.asking import folds_in
from apps.backtests.sweeps.full import full_request
from apps.backtests.sweeps.judging import overfit_of, walked
from apps.backtests.sweeps.loading import ground_for
from apps.backtests.sweeps.models import Sweep, SweepPick
from apps.backtests.sweeps.reading import Found, found_of, returns_of, walk_of
from apps.candles.sources import DataSource, SourceError
from apps.candles.timeframes import to_ms
from apps.tasks import Cancelled, PermanentError, current_run
from apps.tasks.models import TaskRun
from apps.tasks.states import State


def sweep_finish(*, sweep: Sweep | None, source: DataSource | None = None) -> None:
    """Judge *sweep* by what its chunks have found, and ask for backtests of the best combinations.

    The judgement, the requests, an e-mail to the owner and the success of the run are committed together.
    What is left out of the judgement is noted in it. Of a sweep that was cancelled, what there is is judged,
    and nothing is run or told. Raises `PermanentError` when nothing was computed, and `Cancelled` when the
    sweep is gone.
    """
    if sweep is None:
        raise Cancelled("the sweep was deleted")
    found = found_of(sweep)
    if not len(found) and sweep.cancelled_at is None:
        raise PermanentError(f"no combination was computed: {_reason(sweep)}")
    places = found.best(sweep.metric, max(sweep.best_count, 1))
    best, notes = found.rows(places), []
    failed = sweep.combinations - len(found)
    if failed and sweep.cancelled_at is None:
        notes.append(f"{failed} combinations were not computed: {_reason(sweep)}")
    summary: dict[str, Any] = {
        "computed": len(found),
        "best": best,
        "overfit": None,
        "walk_forward": None,
        "notes": notes,
    }
    if len(found):
        summary["overfit"] = overfit_of(returns_of(found), [row["number"] for row in best], places)
        summary["walk_forward"] = _walk(sweep, found, source, notes)
    with current_run().completing({"computed": len(found)}):
        held = Sweep.objects.select_for_update().filter(pk=sweep.pk).first()
        if held is None:
            raise Cancelled("the sweep was deleted")
        if held.finished_at is not None:
            return
        if held.cancelled_at is None:
            _run_in_full(held, best[: held.best_count], notes)
            announce(held, summary)
        held.summary, held.finished_at = summary, timezone.now()
        held.save(update_fields=["summary", "finished_at"])


def _run_in_full(sweep: Sweep, best: list[dict[str, Any]], notes: list[str]) -> None:
    """Ask for the backtest of each; *notes* say which are refused."""
    for rank, row in enumerate(best, 1):
        try:
            backtest = full_request(sweep=sweep, params=row["params"])
        except InvalidBacktest as exc:
            notes.append(f"number {row['number']} cannot be run in full: {exc.field}: {exc}")
            continue
        SweepPick.objects.create(sweep=sweep, backtest=backtest, rank=rank, number=row["number"])


def _walk(sweep: Sweep, found: Found, source: DataSource | None, notes: list[str]) -> dict[str, Any] | None:
    """The walk-forward of what was found; None where there is none, and *notes* say why."""
    if sweep.walk_forward is None:
        return None
    try:
        asked = folds_in(sweep.walk_forward, to_ms(sweep.start), to_ms(sweep.end))
        ground, _ = ground_for(sweep, source)
    except (BarsError, SourceError, SpecError) as exc:
        notes.append(f"the walk-forward cannot be followed: {exc}")
        return None
    folds = with_bars(ground.ts, asked)
    if len(folds) < len(asked):
        left = len(asked) - len(folds)
        notes.append(f"{left} of {len(asked)} folds have no bars to train or to test on and are left out")
    if not folds:
        return None
    made = walked(ground, found, walk_of(found, len(folds)), folds, sweep.metric)
    if made is None:
        notes.append("the walk-forward cannot be followed: its equity leaves the range of numbers")
    return made


def _reason(sweep: Sweep) -> str:
    """The first reason why a chunk was not computed."""
    dead = TaskRun.objects.filter(batch_id=sweep.batch, state=State.DEAD).order_by("batch_index").first()
    return dead.error["message"] if dead is not None and dead.error else "their runs were cancelled"
