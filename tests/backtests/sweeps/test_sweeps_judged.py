"""The end of a sweep where something has happened meanwhile: what is left out is said, the rest is judged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.db import connection

from apps.backtests.engine import Bars, Spec
from apps.backtests.engine.sweep import folds_of, ground_of
from apps.backtests.engine.sweep.walk import KEPT as KEPT_OF_FOLDS
from apps.backtests.models import Backtest, BacktestResult, Sweep, SweepChunk
from apps.backtests.sweeps import reading
from apps.backtests.sweeps.judging import walked
from apps.backtests.sweeps.reading import Decoded, Found, found_of, returns_of, walk_of
from apps.candles.selectors import instrument_get
from apps.candles.storage.writer import write_candles
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import END, KEPT, START, body, post, run_some
from tests.candles.helpers import walk

pytestmark = pytest.mark.django_db

WALK = {"train": "6d", "test": "3d"}
HOUR = 3_600_000


def change_candles(start: datetime) -> None:
    """Another day of minutes in place of one that is there."""
    begin = int(start.timestamp() * 1000)
    write_candles(instrument=instrument_get("binance:BTC/USDT"), minutes=walk(1440, start=begin, seed=99))


@pytest.mark.usefixtures("small_chunks")
def test_candles_that_change_end_the_chunks_that_are_left_and_never_mix(api: Any, stored: str) -> None:
    answer = post(api, body(stored, walk_forward=WALK, best=0)).json()
    run_some(1)
    before = found_of(Sweep.objects.get()).table
    change_candles(START + timedelta(days=3))
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded", shown["error"]
    assert (shown["computed"], shown["progress"]["chunks_done"]) == (len(before), 1)
    assert found_of(Sweep.objects.get()).table.equals(before)
    errors = TaskRun.objects.filter(batch_id=answer["batch"], state=State.DEAD).values_list(
        "error", flat=True
    )
    assert len(errors) == shown["progress"]["chunks_failed"] == SweepChunk.objects.count() - 1 > 1
    assert all("candles were changed" in error["message"] for error in errors)
    why = "candles were changed since the sweep was begun"
    assert shown["notes"] == [
        f"{KEPT - len(before)} combinations were not computed: {why}",
        f"the walk-forward cannot be followed: {why}",
    ]
    assert shown["overfit"]["trials"] == len(before)
    assert shown["walked"] is None


@pytest.mark.usefixtures("small_chunks")
def test_what_chunks_under_way_have_done_counts(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    runs = [TaskRun.objects.filter(pk=chunk.task_run) for chunk in SweepChunk.objects.all()]
    for run, state, progress in zip(
        runs,
        (State.RUNNING, State.RUNNING, State.RUNNING, State.DEAD),
        ({"done": 2, "total": 4}, {"done": 1, "total": 4}, None, {"done": 3, "total": 4}),
        strict=False,
    ):
        run.update(state=state, progress=progress)
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["progress"]["done"]) == ("running", 3)
    assert (shown["progress"]["chunks_done"], shown["progress"]["chunks_failed"]) == (0, 1)


@pytest.mark.usefixtures("small_chunks")
def test_candles_that_come_after_the_range_change_nothing(api: Any, stored: str) -> None:
    """Of the same month, as those of an instrument that is followed."""
    answer = post(api, body(stored, walk_forward=WALK)).json()
    run_some(1)
    change_candles(END)
    run_pending()
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["computed"], shown["notes"]) == ("succeeded", KEPT, [])
    assert shown["walked"] is not None
    results = BacktestResult.objects.values_list("data_fingerprint", flat=True)
    assert set(results) == {Sweep.objects.get().data_fingerprint} != {""}


@pytest.mark.parametrize("detail", [None, "30m"])
def test_runs_in_full_on_other_candles_are_noted(api: Any, stored: str, detail: str | None) -> None:
    execution = {} if detail is None else {"detail": detail}
    answer = post(api, body(stored, best=2, execution=execution)).json()
    # The one chunk and the judgement; then the first of the best.
    run_some(3)
    assert api.get(answer["url"]).json()["notes"] == []
    change_candles(START + timedelta(days=3))
    run_pending()
    shown = api.get(answer["url"]).json()
    other = shown["best_so_far"][1]["number"]
    said = [f"number {other} was run in full on other candles: they were changed meanwhile"]
    assert shown["notes"] == said
    page = api.get(f"/backtests/sweeps/{answer['id']}/report.json").json()
    assert (page["notes"], page["ended"]) == (said, True)


def test_a_walk_that_leaves_the_range_of_numbers_has_no_result() -> None:
    """A price that is 1e30 times the one before in every other pair of bars, and always bought low."""
    prices = np.tile([1e-15, 1e-15, 1e15, 1e15], 40)
    opens = np.roll(prices, 1)
    bars = Bars(
        ts=3 * HOUR * np.arange(len(prices)),
        open=opens,
        high=np.maximum(opens, prices),
        low=np.minimum(opens, prices),
        close=prices,
        volume=np.ones(len(prices)),
    )
    document = {"name": "cheap", "title": "Cheap", "entry_long": "close < 1", "exit_long": "close > 1"}
    ground = ground_of(bars, Spec.from_dict({"strategy": document, "params": {}}))
    folds = folds_of(0, int(bars.ts[-1]), train=24 * HOUR, test=96 * HOUR, most=9)
    found = Found(table=pa.table({"number": [0], "sharpe": [1.0]}), params=())
    kept = {name: np.ones((1, len(folds))) for name in KEPT_OF_FOLDS}
    assert len(folds) > 1
    assert walked(ground, found, kept, folds, "sharpe") is None
    assert walked(ground, found, {**kept, "inside": kept["inside"] * np.nan}, folds, "sharpe") is not None


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_without_returns_does_not_move_those_of_others(api: Any, stored: str) -> None:
    post(api, body(stored, walk_forward=WALK, best=0))
    run_pending()
    sweep = Sweep.objects.get()
    found = found_of(sweep)
    whole, walked = returns_of(found), walk_of(found, 2)
    assert whole is not None
    second = SweepChunk.objects.get(number=1)
    SweepChunk.objects.filter(pk=second.pk).update(returns=None, walk=None)
    gone = np.arange(second.first, second.first + second.count)
    for before, after in ((whole, returns_of(found)), (walked["inside"].T, walk_of(found, 2)["inside"].T)):
        assert after is not None
        assert np.isnan(after[:, gone]).all()
        assert np.array_equal(np.delete(after, gone, 1), np.delete(before, gone, 1))
    SweepChunk.objects.update(returns=None)
    assert returns_of(found) is None


def test_the_best_that_cannot_be_run_in_full_is_noted_and_the_rest_stays(
    api: Any, stored: str, settings: Any
) -> None:
    answer = post(api, body(stored, best=3)).json()
    settings.BACKTESTS_MAX_WORK = 1
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded", shown["error"]
    assert len(shown["best_so_far"]) == 3
    assert [row["backtest"] for row in shown["best_so_far"]] == [None] * 3
    assert shown["overfit"]["trials"] == KEPT
    assert [note.split(":")[0] for note in shown["notes"]] == [
        f"number {row['number']} cannot be run in full" for row in shown["best_so_far"]
    ]
    assert not Backtest.objects.exists()


def test_folds_without_bars_are_left_out_and_that_is_said(api: Any, stored: str) -> None:
    early = body(stored, start=(START - timedelta(days=8)).isoformat(), missing="ignore", best=0)
    some, none = (
        post(api, {**early, "walk_forward": walk}).json()
        for walk in ({"train": "4d", "test": "4d"}, {"train": "2d", "test": "2d", "step": "18d"})
    )
    run_pending()
    shown = api.get(some["url"]).json()
    assert shown["state"] == "succeeded", shown["error"]
    first = int(START.timestamp() * 1000)
    day = timedelta(days=1) // timedelta(milliseconds=1)
    assert [fold["train"] for fold in shown["walked"]["folds"]] == [
        [first, first + 4 * day],
        [first + 4 * day, first + 8 * day],
    ]
    assert shown["notes"] == ["2 of 4 folds have no bars to train or to test on and are left out"]
    shown = api.get(none["url"]).json()
    assert (shown["state"], shown["walked"], len(shown["notes"])) == ("succeeded", None, 1)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_are_decoded_once(api: Any, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    post(api, body(stored, best=0))
    run_some(2)
    sweep = Sweep.objects.get()
    calls: list[int] = []
    unpack = reading.unpack

    def counted(data: Any) -> Any:
        calls.append(1)
        return unpack(data)

    monkeypatch.setattr(reading, "unpack", counted)
    first = found_of(sweep)
    assert len(calls) == 4
    assert found_of(sweep).table.equals(first.table)
    assert len(calls) == 4
    run_pending()
    after = found_of(sweep)
    assert len(calls) == 2 * SweepChunk.objects.count() > 4
    assert len(after) == KEPT
    assert after.rows([3, 0]) == [after.row(3), after.row(0)]
    SweepChunk.objects.all().delete()
    assert len(found_of(sweep)) == 0


def test_what_was_not_used_for_longest_is_let_go() -> None:
    tables = {name: pa.table({"x": np.zeros(1000)}) for name in "abc"}
    held = Decoded(limit=2 * tables["a"].nbytes)
    for name in "ab":
        held.put(name, tables[name])
    assert held.get("a") is tables["a"]
    held.put("c", tables["c"])
    assert [held.get(name) is not None for name in "abc"] == [True, False, True]


def test_a_dead_sweep_cannot_be_cancelled(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM candle_1m")
    run_pending()
    assert api.get(answer["url"]).json()["state"] == "dead"
    refused = api.post(f"{answer['url']}/cancel")
    assert (refused.status_code, api.get(answer["url"]).json()["state"]) == (409, "dead")
