"""What of a sweep is refused before anything is queued: by what all its combinations mean, not some."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.asking import InvalidBacktest
from apps.backtests.engine import jit
from apps.backtests.engine.sweep import grid, space_of
from apps.backtests.engine.sweep.weighing import Scales
from apps.backtests.models import Backtest, Sweep
from apps.backtests.strategies import resolve
from apps.backtests.sweeps import asking
from apps.backtests.sweeps.requesting import sweep_request
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import END, FEW, KEPT, START, body, brief, post

pytestmark = pytest.mark.django_db

BARS = FEW * 24
OWN: dict[str, Any] = {
    "version": 1,
    "name": "own",
    "title": "Own",
    "params": {
        "n": {"type": "integer", "default": 5, "min": 2, "max": 100},
        "stop": {"type": "number", "default": 0.01, "min": 0, "max": 0.5},
    },
    "entry_long": "crossover(close, ema(close, n))",
    "exit_long": "crossunder(close, ema(close, n))",
    "risk": {"stop_loss": {"pct": "stop"}},
}
#: Longer windows of this one cost more.
DEAR = {**OWN, "entry_long": "crossover(close, ema(close, n)) and cci(n) > 0"}
RISK = {"type": "risk", "value": 0.01}


def costs_of(space: dict[str, Any]) -> tuple[float, ...]:
    """What each combination of a grid costs for a bar."""
    scales = Scales(strategy=resolve(DEAR))
    found = space_of(space, scales.strategy.schema, most=999)
    return grid(found, {}, scales.validated, weighed=scales.weighed).costs


def test_risk_sizing_drops_combinations_without_a_stop_and_counts_them(api: Any, stored: str) -> None:
    space = {"n": [5, 10], "stop": [0, 0.01, 0.02]}
    asked = body(stored, strategy=OWN, params={}, space=space, sizing=RISK, best=1)
    answer = post(api, asked).json()
    assert (answer["combinations"], answer["refused"]) == (4, 2)
    run_pending()
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["notes"], shown["computed"]) == ("succeeded", [], 4)
    assert all(
        row["params"]["stop"] > 0 for row in api.get(answer["combinations_url"]).json()["combinations"]
    )
    by_equity = post(api, {**asked, "sizing": {"type": "equity"}}).json()
    assert (by_equity["combinations"], by_equity["refused"]) == (6, 0)


def test_risk_sizing_without_any_stop_is_refused(api: Any, bare: str) -> None:
    asked = brief(bare, sizing=RISK)
    refused = post(api, asked)
    assert refused.status_code == 400
    (error,) = refused.json()["errors"]
    assert (error["field"], "needs a stop-loss" in error["detail"]) == ("space", True)
    for name in ("space", "best"):
        del asked[name]
    single = api.post(
        "/api/v1/backtests",
        {**asked, "params": {"fast": 2, "slow": 9}},
        content_type="application/json",
    )
    assert (single.status_code, single.json()["errors"][0]["field"]) == (400, "sizing.type")
    assert not Backtest.objects.exists()
    assert not Sweep.objects.exists()


def test_the_dearest_combination_is_the_one_whose_size_is_checked(api: Any, few: str, settings: Any) -> None:
    space = {"n": [3, 4, 90, 5]}
    costs = costs_of(space)
    assert max(costs) == costs[2] > costs[0]
    asked = brief(few, strategy=DEAR, params={}, space=space)
    settings.BACKTESTS_MAX_WORK = BARS * (costs[0] + costs[2]) / 2
    refused = post(api, asked)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "start")
    settings.BACKTESTS_MAX_WORK = BARS * costs[2]
    answer = post(api, asked).json()
    assert answer["spec"]["params"]["n"] == 3


@pytest.mark.parametrize("compiled", [True, False])
def test_the_work_is_that_of_all_combinations_as_long_as_it_takes_here(
    api: Any, few: str, settings: Any, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    monkeypatch.setattr(jit, "chosen", lambda _: (lambda: None) if compiled else None)
    space = {"n": [3, *range(70, 100), 4]}
    costs = costs_of(space)
    work = BARS * (sum(costs) + (1 if compiled else 40) * 10 * len(costs))
    asked = brief(few, strategy=DEAR, params={}, space=space)
    settings.BACKTESTS_MAX_SWEEP_WORK = work * 0.999
    refused = post(api, asked).json()
    assert [error["field"] for error in refused["errors"]] == ["space"]
    settings.BACKTESTS_MAX_SWEEP_WORK = work * 1.001
    assert post(api, asked).status_code == 202


def test_more_parts_than_somebody_would_wait_for_are_refused(
    api: Any, bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_MOST_PARTS", 100)
    (error,) = post(api, brief(bare)).json()["errors"]
    assert (error["field"], "parts" in error["detail"]) == ("space", True)


def test_a_random_sweep_that_finds_fewer_says_so(api: Any, few: str) -> None:
    asked = brief(few, method="random", samples=40)
    shown = post(api, asked).json()
    assert (shown["combinations"], shown["samples"], shown["exhausted"]) == (KEPT, 40, True)
    assert post(api, {**asked, "samples": KEPT}).json()["exhausted"] is False


def test_what_fetching_would_be_needed_for_is_refused_to_python_as_well(alice: Any, bare: str) -> None:
    with pytest.raises(InvalidBacktest) as caught:
        sweep_request(
            owner_id=alice.pk,
            instruments=[bare],
            timeframe="1h",
            start=START,
            end=END,
            spec={"strategy": "sma_cross"},
            space={"fast": [2], "slow": [9]},
            missing=Backtest.Missing.FETCH,
        )
    assert caught.value.field == "missing"
