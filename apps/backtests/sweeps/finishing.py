"""The end of a sweep: what was found is judged, and the best of it is run in full."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from apps.backtests.asking import InvalidBacktest
from apps.backtests.engine import BarsError, SpecError
from apps.backtests.sweeps.announcing import announce
from apps.backtests.sweeps.asking import folds_in
from apps.backtests.sweeps.full import full_request
from apps.backtests.sweeps.judging import overfit_of, walked
from apps.backtests.sweeps.loading import ground_for
from apps.backtests.sweeps.models import Sweep, SweepChunk, SweepPick
from apps.backtests.sweeps.reading import Found, found_of, returns_of, walk_of
from apps.candles.sources import DataSource, SourceError
from apps.candles.timeframes import to_ms
from apps.tasks import Cancelled, PermanentError, current_run
from apps.tasks.models import TaskRun
from apps.tasks.states import State


def sweep_finish(*, sweep: Sweep | None, source: DataSource | None = None) -> None:
    """Judge *sweep* by what its chunks have found, and ask for backtests of the best combinations.

    The judgement, the requests, an e-mail to the owner and the success of the run are committed together.
    Of a sweep that was cancelled, what there is is judged, and nothing is run or told. Raises
    `PermanentError` when nothing was computed, and `Cancelled` when the sweep is gone.
    """
    if sweep is None:
        raise Cancelled("the sweep was deleted")
    found = found_of(sweep)
    if not len(found) and sweep.cancelled_at is None:
        raise PermanentError(_why(sweep))
    places = found.best(sweep.metric, max(sweep.best_count, 1))
    best = found.rows(places)
    summary: dict[str, Any] = {
        "computed": len(found),
        "failed": sweep.combinations - len(found),
        "mixed_data": _mixed(sweep),
        "best": best,
        "overfit": None,
        "walk_forward": None,
    }
    if len(found):
        summary["overfit"] = overfit_of(returns_of(sweep), [row["number"] for row in best], places)
        summary["walk_forward"] = _walk(sweep, found, source)
    with current_run().completing({"computed": len(found)}):
        held = Sweep.objects.select_for_update().filter(pk=sweep.pk).first()
        if held is None:
            raise Cancelled("the sweep was deleted")
        if held.finished_at is not None:
            return
        held.summary, held.finished_at = summary, timezone.now()
        held.save(update_fields=["summary", "finished_at"])
        if held.cancelled_at is None:
            _run_in_full(held, best[: held.best_count])
            announce(held, summary)


def _run_in_full(sweep: Sweep, best: list[dict[str, Any]]) -> None:
    for rank, row in enumerate(best, 1):
        try:
            backtest = full_request(sweep=sweep, params=row["params"])
        except InvalidBacktest as exc:
            raise PermanentError(f"the best cannot be run in full: {exc.field}: {exc}") from exc
        SweepPick.objects.create(sweep=sweep, backtest=backtest, rank=rank, number=row["number"])


def _walk(sweep: Sweep, found: Found, source: DataSource | None) -> dict[str, Any] | None:
    if sweep.walk_forward is None:
        return None
    try:
        folds = folds_in(sweep.walk_forward, to_ms(sweep.start), to_ms(sweep.end))
        ground = ground_for(sweep, source)
        return walked(ground, found, walk_of(sweep, len(folds)), folds, sweep.metric)
    except (BarsError, SourceError, SpecError) as exc:
        raise PermanentError(str(exc)) from exc


def _mixed(sweep: Sweep) -> bool:
    """Whether candles were changed between chunks, so that these are not of the same bars."""
    prints = SweepChunk.objects.filter(sweep=sweep, computed_at__isnull=False)
    return len(set(prints.values_list("data_fingerprint", flat=True))) > 1


def _why(sweep: Sweep) -> str:
    """The first reason why no chunk was computed."""
    dead = TaskRun.objects.filter(batch_id=sweep.batch, state=State.DEAD).order_by("batch_index").first()
    if dead is None or not dead.error:
        return "no combination was computed"
    return f"no combination was computed: {dead.error['message']}"
