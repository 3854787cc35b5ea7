"""Sweeps over HTTP: asked for, computed in chunks, judged, read while they run and afterwards."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.core import mail
from django.db import connection
from pyarrow import csv

from apps.backtests.engine import Bars, Result, Spec, run
from apps.backtests.engine.metrics.periods import changes, period_equity
from apps.backtests.engine.overfit import Moments, deflated_sharpe, overfitting
from apps.backtests.engine.sweep import SWEPT
from apps.backtests.models import Backtest, Sweep, SweepChunk, SweepPick
from apps.candles.sources.timescale import TimescaleSource
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import (
    DAYS,
    END,
    KEPT,
    REFUSED,
    START,
    body,
    brief,
    post,
    run_some,
    store,
)

pytestmark = pytest.mark.django_db


def bars_of(market: str) -> Bars:
    candles = TimescaleSource().load(market, "1h", START, END)
    names = ("ts", "open", "high", "low", "close", "volume")
    return Bars(**{name: getattr(candles, name) for name in names})


def run_of(bars: Bars, answer: dict[str, Any], params: dict[str, Any]) -> Result:
    """A run of its own."""
    return run(bars, Spec.from_dict({**answer["spec"], "params": params}))


@pytest.mark.usefixtures("small_chunks")
def test_a_sweep_is_accepted_computed_in_chunks_judged_and_its_best_are_run_in_full(
    api: Any, stored: str
) -> None:
    accepted = post(api, body(stored))
    assert accepted.status_code == 202, accepted.content
    answer = accepted.json()
    assert accepted["Location"] == answer["url"]
    assert (answer["state"], answer["combinations"], answer["refused"]) == ("scheduled", KEPT, REFUSED)
    chunks = SweepChunk.objects.count()
    assert chunks >= 5
    assert answer["progress"] == {
        "done": 0, "total": KEPT, "chunks": chunks, "chunks_done": 0, "chunks_failed": 0,
    }  # fmt: skip
    assert (answer["best_so_far"], answer["overfit"]) == ([], None)
    run_pending()
    finished = api.get(answer["url"]).json()
    assert (finished["state"], finished["progress"]["done"]) == ("succeeded", KEPT)
    assert (finished["computed"], finished["notes"], finished["exhausted"]) == (KEPT, [], False)
    page = api.get(answer["combinations_url"]).json()
    assert [row["number"] for row in page["combinations"]] == list(range(KEPT))
    bars = bars_of(stored)
    for row in page["combinations"]:
        expected = run_of(bars, answer, row["params"]).metrics
        assert set(row["metrics"]) == set(SWEPT)
        assert row["metrics"]["final_equity"] == expected["final_equity"]
        assert row["metrics"]["n_trades"] == expected["n_trades"]
        assert row["metrics"]["sharpe"] == pytest.approx(expected["sharpe"], rel=1e-9)
    ranked = sorted(page["combinations"], key=lambda row: (-row["metrics"]["sharpe"], row["number"]))
    assert [row["number"] for row in finished["best_so_far"]] == [row["number"] for row in ranked[:3]]
    picked = list(SweepPick.objects.select_related("backtest"))
    assert [(pick.rank, pick.number) for pick in picked] == [
        (rank, row["number"]) for rank, row in enumerate(ranked[:3], 1)
    ]
    for row, pick in zip(finished["best_so_far"], picked, strict=True):
        assert row["backtest"] == str(pick.backtest_id)
        full = api.get(row["backtest_url"]).json()
        assert full["reused"] is False
        assert full["state"] == "succeeded"
        assert full["spec"]["params"] == row["params"]
        assert full["result"]["metrics"]["final_equity"] == row["metrics"]["final_equity"]
    # The owner is told of the sweep, and not of each of them.
    assert [message.subject.split(":")[0] for message in mail.outbox] == ["Sweep finished"]


@pytest.mark.usefixtures("small_chunks")
def test_what_was_found_is_seen_before_the_end(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    run_some(2)
    half = api.get(answer["url"]).json()
    assert half["state"] == "running"
    assert half["progress"]["chunks_done"] == 2
    done = half["progress"]["done"]
    assert 0 < done < KEPT
    assert len(half["best_so_far"]) == 3
    assert half["best_so_far"][0]["backtest"] is None
    assert api.get(answer["combinations_url"]).json()["computed"] == done
    drawn = api.get(f"{answer['heatmap_url']}?x=fast&y=slow").json()
    assert drawn["computed"] == done == sum(v is not None for row in drawn["values"] for v in row)
    run_pending()
    assert api.get(answer["url"]).json()["state"] == "succeeded"


def test_combinations_are_sorted_filtered_and_come_as_files(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    url = answer["combinations_url"]
    assert api.get(url).json()["combinations"] == []
    assert api.get(f"{url}?format=csv&sort=sharpe").status_code == 200
    run_pending()
    rows = api.get(url).json()["combinations"]
    by_return = api.get(f"{url}?sort=-return_pct&limit=5").json()
    assert by_return["next"] == 5
    assert [row["number"] for row in by_return["combinations"]] == [
        row["number"] for row in sorted(rows, key=lambda row: -row["metrics"]["return_pct"])[:5]
    ]
    second = api.get(f"{url}?sort=-return_pct&limit=5&offset=5").json()
    assert not {row["number"] for row in second["combinations"]} & {
        row["number"] for row in by_return["combinations"]
    }
    some = api.get(f"{url}?where=params.fast<=3&where=n_trades>=10").json()
    expected = [row for row in rows if row["params"]["fast"] <= 3 and row["metrics"]["n_trades"] >= 10]
    assert some["combinations"] == expected
    assert 0 < some["count"] < KEPT
    assert api.get(f"{url}?where=params.direction=long").json()["count"] == 0
    text = api.get(f"{url}?format=csv&where=params.slow=20")
    assert text["Content-Type"] == "text/csv"
    table = csv.read_csv(io.BytesIO(text.content))
    assert table["params.fast"].to_pylist() == [2, 3, 5, 8, 13]
    stream = pa.ipc.open_stream(api.get(f"{url}?format=arrow").content).read_all()
    assert api.get(url, headers={"accept": "text/csv"}).content.startswith(b'"number","params.fast"')
    assert api.get(url, headers={"accept": "image/png"}).status_code == 406
    assert stream["sharpe"].to_pylist() == [row["metrics"]["sharpe"] for row in rows]
    for query, field in (
        ("sort=magic", "sort"), ("where=magic>1", "where"), ("where=sharpe", "where"),
        ("where=sharpe>x", "where"), ("limit=0", "limit"), ("format=xml", "format"), ("no=1", "no"),
    ):  # fmt: skip
        refused = api.get(f"{url}?{query}")
        assert refused.status_code == 400, query
        assert [error["field"].split(".")[0] for error in refused.json()["errors"]] == [field]


def test_a_heatmap_reduces_the_other_parameters(api: Any, stored: str) -> None:
    space = {"fast": [2, 5], "slow": [10, 20], "direction": ["long", "long_short"]}
    answer = post(api, body(stored, params={}, space=space, best=0)).json()
    url = answer["heatmap_url"]
    assert api.get(f"{url}?x=fast&y=slow").json()["values"] == []
    run_pending()
    rows = api.get(answer["combinations_url"]).json()["combinations"]
    for reduce, pick in (("max", max), ("mean", lambda values: sum(values) / len(values))):
        drawn = api.get(f"{url}?x=fast&y=slow&metric=return_pct&reduce={reduce}").json()
        assert (drawn["x"], drawn["y"]) == ([2, 5], [10, 20])
        for y, line in zip(drawn["y"], drawn["values"], strict=True):
            for x, value in zip(drawn["x"], line, strict=True):
                those = [
                    row["metrics"]["return_pct"]
                    for row in rows
                    if (row["params"]["fast"], row["params"]["slow"]) == (x, y)
                ]
                assert len(those) == 2
                assert value == pytest.approx(pick(those), rel=1e-12)
    cheap = api.get(f"{url}?x=direction&y=fast&metric=commissions").json()
    least = min(row["metrics"]["commissions"] for row in rows if row["params"]["direction"] == "long")
    assert (cheap["x"], cheap["low_is_good"]) == (["long", "long_short"], True)
    assert min(line[0] for line in cheap["values"]) == least
    for query, field in (
        ("y=fast", "x"), ("x=no&y=fast", "x"), ("x=fast&y=fast", "y"), ("x=fast&y=slow&metric=no", "metric"),
        ("x=fast&y=slow&reduce=sum", "reduce"),
    ):  # fmt: skip
        refused = api.get(f"{url}?{query}")
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert not Backtest.objects.exists()


def test_random_draws_are_repeatable_and_different(api: Any, few: str) -> None:
    drawn = {"fast": {"from": 2, "to": 60}, "slow": {"from": 10, "to": 200}}
    asked = brief(few, space=drawn, method="random", samples=40, seed=5, best=0)
    answers = [post(api, asked).json(), post(api, {**asked, "seed": 6}).json(), post(api, asked).json()]
    assert [answer["combinations"] for answer in answers] == [40] * 3
    run_pending()
    params = [
        [tuple(row["params"].items()) for row in api.get(answer["combinations_url"]).json()["combinations"]]
        for answer in answers
    ]
    assert all(len(set(rows)) == 40 for rows in params)
    assert params[0] == params[2] != params[1]


def test_a_strategy_of_ones_own_is_swept_with_its_stops_over_several_instruments(
    api: Any, stored: str
) -> None:
    document = {
        "version": 1,
        "name": "mine",
        "title": "Mine",
        "params": {
            "n": {"type": "integer", "default": 10, "min": 2, "max": 100},
            "stop": {"type": "number", "default": 0.01, "min": 0.001, "max": 0.5},
        },
        "entry_long": "crossover(close, ema(close, n))",
        "exit_long": "crossunder(close, ema(close, n))",
        "risk": {"stop_loss": {"pct": "stop"}, "trailing": {"distance": "2 * atr(14)"}},
    }
    space = {"n": [5, 20], "stop": {"from": 0.005, "to": 0.02, "step": 0.005}}
    other = store("ETH/USDT", seed=9)
    asked = body("", instrument=None, instruments=[stored, other], strategy=document, params={}, space=space)
    answer = post(api, {**asked, "execution": {"detail": "5m"}, "best": 2}).json()
    assert (answer["combinations"], answer["strategy"]) == (8, "mine")
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded", shown["error"]
    for row in shown["best_so_far"]:
        full = api.get(row["backtest_url"]).json()["result"]["metrics"]
        assert full["n_trades"] == row["metrics"]["n_trades"] > 10
        assert full["final_equity"] == row["metrics"]["final_equity"]
        assert full["sortino"] == pytest.approx(row["metrics"]["sortino"], rel=1e-9)
        assert full["exposure_pct"] == row["metrics"]["exposure_pct"]


def test_the_judgement_says_how_much_may_be_luck(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    run_pending()
    found = api.get(answer["url"]).json()["overfit"]
    assert (found["trials"], found["periods"]) == (KEPT, DAYS - 1)
    assert 1 < found["effective_trials"] < KEPT
    bars, returns = bars_of(stored), []
    for row in api.get(answer["combinations_url"]).json()["combinations"]:
        result = run_of(bars, answer, row["params"])
        returns.append(changes(period_equity(result.ts, result.equity)))
    sharpes = [one.mean() / one.std(ddof=1) for one in returns]
    variance = float(np.var(sharpes, ddof=1))
    assert found["sharpe_variance"] == pytest.approx(variance, rel=1e-4)
    for row in found["best"]:
        moments = Moments.of(returns[row["number"]])
        assert moments is not None
        expected = deflated_sharpe(moments, trials=KEPT, variance=variance)
        assert row["deflated"] == pytest.approx(expected, rel=1e-3)
        assert row["sharpe"] == pytest.approx(sharpes[row["number"]], rel=1e-4)
        assert row["deflated"] < row["probabilistic"]
    blocks = found["pbo"]["blocks"]
    expected = overfitting(np.array(returns).T, blocks=blocks)
    assert found["pbo"]["probability"] == pytest.approx(expected.probability, abs=0.05)


def test_the_best_can_be_the_lowest(api: Any, stored: str) -> None:
    answer = post(api, body(stored, metric="volatility_ann_pct", best=1)).json()
    run_pending()
    rows = api.get(answer["combinations_url"]).json()["combinations"]
    (best,) = api.get(answer["url"]).json()["best_so_far"]
    assert best["metrics"]["volatility_ann_pct"] == min(row["metrics"]["volatility_ann_pct"] for row in rows)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"instrument": "binance:NO/SUCH"}, "instrument"),
        ({"instrument": None}, "instrument"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"start": END.isoformat(), "end": START.isoformat()}, "start"),
        ({"start": "1980-01-01T00:00Z", "timeframe": "1m"}, "start"),
        ({"start": "2026-03-01T00:01Z", "end": "2026-03-01T00:02Z"}, "end"),
        ({"strategy": "magic"}, "strategy"),
        ({"strategy": None}, "strategy"),
        ({"costs": {"taker": 2}}, "costs.taker"),
        ({"leverage": 0}, "leverage"),
        ({"commission": 0.1}, "commission"),
        ({"params": []}, "params"),
        ({"params": {"fast": 3}}, "space.fast"),
        ({"params": {"colour": "red"}}, "space"),
        ({"risk": {"stop_loss": {"pct": 2}}}, "space"),
        ({"missing": "fetch"}, "missing"),
        (
            {"params": {}, "space": {"fast": [2], "slow": [9], "direction": ["long", "\0"]}},
            "space.direction.1",
        ),
        ({"space": {"fast": [2, 10**400], "slow": [9]}}, "space.fast.1"),
        ({"params": {}, "space": {"fast": [2], "slow": [9], "\0": [1]}}, "space"),
        ({"title": "x"}, "title"),
        ({"space": None}, "space"),
        ({"space": []}, "space"),
        ({"space": {"fast": [3]}}, "space"),
        ({"space": {"fast": [30], "slow": [20]}}, "space"),
        ({"space": {"speed": [3], "slow": [20]}}, "space.speed"),
        ({"space": {"fast": {"from": 3}, "slow": [20]}}, "space.fast.to"),
        ({"space": {"fast": {"from": 1, "to": 900}, "slow": {"from": 1000, "to": 4000}}}, "space"),
        ({"method": "genetic"}, "method"),
        ({"method": "random"}, "samples"),
        ({"method": "random", "samples": 0}, "samples"),
        ({"method": "random", "samples": 50_001}, "samples"),
        ({"method": "random", "samples": 5, "seed": -1}, "seed"),
        ({"samples": 5}, "samples"),
        ({"metric": "luck"}, "metric"),
        ({"best": 51}, "best"),
        ({"best": -1}, "best"),
        ({"walk_forward": []}, "walk_forward"),
        ({"walk_forward": {"train": "5d"}}, "walk_forward.test"),
        ({"walk_forward": {"train": "5d", "test": "x"}}, "walk_forward.test"),
        ({"walk_forward": {"train": "5d", "test": "2d", "step": "1d"}}, "walk_forward.step"),
        ({"walk_forward": {"train": "5d", "test": "2d", "anchored": 1}}, "walk_forward.anchored"),
        ({"walk_forward": {"train": "11d", "test": "2d"}}, "walk_forward"),
        ({"walk_forward": {"train": "5d", "test": "1h"}}, "walk_forward"),
        ({"walk_forward": {"train": "5d", "test": "1d", "by": 1}}, "walk_forward.by"),
        ({"execution": {"detail": "1d"}}, "execution.detail"),
    ],
)
def test_what_cannot_be_swept_is_refused_and_the_field_is_named(
    api: Any, bare: str, changes: dict[str, Any], field: str
) -> None:
    response = post(api, body(bare, **changes))
    assert response.status_code == 400, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field], response.json()
    assert not TaskRun.objects.exists()
    assert not Sweep.objects.exists()


def test_more_than_the_limits_is_refused(api: Any, few: str, settings: Any) -> None:
    settings.BACKTESTS_MAX_COMBINATIONS = KEPT - 1
    assert "limit" in post(api, brief(few)).json()["errors"][0]["detail"]
    settings.BACKTESTS_MAX_COMBINATIONS = KEPT
    settings.BACKTESTS_MAX_SWEEP_WORK = 1000
    refused = post(api, brief(few)).json()["errors"][0]
    assert (refused["field"], "units of work" in refused["detail"]) == ("space", True)
    del settings.BACKTESTS_MAX_SWEEP_WORK
    assert post(api, brief(few)).status_code == 202


def test_an_idempotency_key_gives_the_same_sweep_again(api: Any, few: str) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "k-1"}
    first, second = (post(api, brief(few), **key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert ["Idempotency-Replayed" in one for one in (first, second)] == [False, True]
    other = post(api, brief(few, best=1), **key)
    assert other.status_code == 409
    assert post(api, brief(few), HTTP_IDEMPOTENCY_KEY="no spaces").status_code == 400
    assert Sweep.objects.count() == 1
    assert TaskRun.objects.count() == SweepChunk.objects.count()


@pytest.mark.usefixtures("small_chunks")
def test_cancelling_ends_what_is_left_and_keeps_what_was_found(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    run_some(2)
    cancelled = api.post(f"{answer['url']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    done = cancelled.json()["progress"]["done"]
    assert api.post(f"{answer['url']}/cancel").status_code == 409
    run_pending()
    after = api.get(answer["url"]).json()
    assert (after["state"], after["progress"]["done"]) == ("cancelled", done)
    assert after["finished_at"] is not None
    assert len(after["best_so_far"]) == 3
    states = TaskRun.objects.filter(batch_id=answer["batch"]).values_list("state", flat=True)
    chunks = SweepChunk.objects.count()
    assert sorted(states) == ["cancelled"] * (chunks - 2) + ["succeeded"] * 2
    assert not Backtest.objects.exists()


def test_a_finished_sweep_cannot_be_cancelled(api: Any, few: str) -> None:
    answer = post(api, brief(few)).json()
    run_pending()
    assert api.post(f"{answer['url']}/cancel").status_code == 409


@pytest.mark.usefixtures("small_chunks")
def test_deleting_leaves_the_backtests_and_nothing_else(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    run_pending()
    running = post(api, body(stored)).json()
    run_some(1)
    for one in (answer, running):
        assert api.delete(one["url"]).status_code == 204
        assert api.get(one["url"]).status_code == 404
    run_pending()
    assert not Sweep.objects.exists()
    assert not SweepChunk.objects.exists()
    assert Backtest.objects.count() == 3
    assert not TaskRun.objects.filter(state__in=(State.SCHEDULED, State.RUNNING, State.DEAD)).exists()


def test_a_list_comes_in_pages(api: Any, few: str, django_assert_num_queries: Any) -> None:
    ids = [post(api, brief(few)).json()["id"] for _ in range(5)][::-1]
    # Session, user, sweeps, and three about how they stand: however many there are.
    with django_assert_num_queries(6):
        page = api.get("/api/v1/sweeps?limit=2")
    seen = [one["id"] for one in page.json()]
    while "Link" in page:
        page = api.get(page["Link"].split(">")[0][1:])
        seen += [one["id"] for one in page.json()]
    assert seen == ids
    assert api.get("/api/v1/sweeps?cursor=x").status_code == 400


def test_missing_candles_are_refused_unless_they_are_ignored(api: Any, stored: str) -> None:
    early = body(stored, start=(START - timedelta(days=1)).isoformat())
    refused = post(api, early)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/missing-candles")
    assert refused.json()["missing_minutes"] == 1440
    # What a sweep cannot do is not offered.
    assert "fetch" not in refused.json()["detail"]
    assert "ignored" in refused.json()["detail"]
    answer = post(api, {**early, "missing": "ignore", "best": 1}).json()
    nothing = post(api, body(stored, start="2025-01-01T00:00Z", end="2025-01-02T00:00Z", missing="ignore"))
    assert [error["field"] for error in nothing.json()["errors"]] == ["start"]
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded"
    assert api.get(shown["best_so_far"][0]["backtest_url"]).json()["state"] == "succeeded"


def test_candles_that_are_gone_meanwhile_come_to_nothing_and_it_says_why(api: Any, stored: str) -> None:
    answer = post(api, body(stored)).json()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM candle_1m")
    run_pending()
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["progress"]["chunks_failed"]) == ("dead", 1)
    assert "no bars" in shown["error"]["message"]


def test_a_walk_forward_chooses_by_the_past_of_each_fold(api: Any, stored: str) -> None:
    walk = {"train": "6d", "test": "2d"}
    answer = post(api, body(stored, walk_forward=walk, metric="return_pct")).json()
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded", shown["error"]
    found = shown["walked"]
    day = timedelta(days=1) // timedelta(milliseconds=1)
    first = int(START.timestamp() * 1000)
    assert [fold["test"] for fold in found["folds"]] == [
        [first + 6 * day, first + 8 * day],
        [first + 8 * day, first + 10 * day],
        [first + 10 * day, first + 12 * day],
    ]
    growth = 1.0
    for fold in found["folds"]:
        assert fold["params"]["direction"] == "long_short"
        assert fold["outside"] == pytest.approx(fold["return_pct"])
        growth *= 1 + fold["return_pct"] / 100
    assert found["return_pct"] == pytest.approx((growth - 1) * 100)
    assert found["equity"]["value"][-1] == pytest.approx(10_000 * growth)
    assert found["equity"]["ts"][0] == first + 6 * day
    assert found["decay"]["pairs"] == 3
    inside = [fold["inside"] for fold in found["folds"]]
    assert found["decay"]["inside"] == pytest.approx(sum(inside) / 3)
