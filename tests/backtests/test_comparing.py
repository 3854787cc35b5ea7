"""Backtests side by side."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import numpy as np
import pytest

from apps.backtests.columns import Curve, encode_curve
from apps.backtests.comparing import compared
from apps.backtests.models import Backtest, BacktestResult
from apps.core.ids import uuid7
from tests.backtests.helpers import DAYS, MS, START, body, finished, market, post

pytestmark = pytest.mark.django_db


HOUR = 3_600_000
HOLD = 'strategy hold "Hold"\nenter long when close > 0\n'


def closes(answer, width: int) -> dict[int, float]:
    """Equity by the moments at which bars of this width close."""
    curve = answer["result"]["equity"]
    return {ts + width: value for ts, value in zip(curve["ts"], curve["value"], strict=True)}


def compare(api, *answers, **query):
    ids = ",".join(one["id"] for one in answers)
    return api.get("/api/v1/backtests/compare", {"ids": ids, **query})


def test_metrics_settings_and_curves_stand_side_by_side(api, stored):
    one = finished(api, body(stored))
    two = finished(api, body(stored, params={"fast": 3, "slow": 20}, cash=500, timeframe="1h"))
    response = compare(api, two, one, points=5000)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert [b["id"] for b in answer["backtests"]] == [two["id"], one["id"]]
    assert answer["metrics"]["return_pct"] == [
        two["result"]["metrics"]["return_pct"], one["result"]["metrics"]["return_pct"]
    ]  # fmt: skip
    assert answer["differences"] == {
        "timeframe": ["1h", "15m"],
        "params.fast": [3, 5],
        "cash": [500.0, 10_000.0],
    }
    ts, growth = answer["equity"]["ts"], answer["equity"]["growth"]
    # From the first close that both have to the last.
    assert ts == list(range(MS + HOUR, MS + DAYS * 24 * HOUR + 1, HOUR // 4))
    quarters, hours = closes(one, HOUR // 4), closes(two, HOUR)
    assert growth[1] == pytest.approx([quarters[moment] / quarters[ts[0]] for moment in ts])
    # Between two closes what is known is the last one.
    known = [hours[moment - moment % HOUR] / hours[ts[0]] for moment in ts]
    assert growth[0] == pytest.approx(known)
    assert answer["correlation"][0][0] == answer["correlation"][1][1] == 1.0
    assert answer["correlation"][0][1] == answer["correlation"][1][0]
    assert -1 <= answer["correlation"][0][1] <= 1


def test_curves_are_drawn_with_few_points(api, stored):
    one = finished(api, body(stored, timeframe="1m"))
    two = finished(api, body(stored, timeframe="5m"))
    answer = compare(api, one, two, points=100).json()
    assert 50 < len(answer["equity"]["ts"]) <= 100
    assert all(len(values) == len(answer["equity"]["ts"]) for values in answer["equity"]["growth"])


def test_no_more_moments_are_drawn_than_were_asked_for(api, stored):
    runs = [finished(api, body(stored, params={"fast": 3 + at, "slow": 20})) for at in range(5)]
    ts = compare(api, *runs, points=6).json()["equity"]["ts"]
    assert len(ts) == 6
    assert (ts[0], ts[-1]) == (MS + HOUR // 4, MS + DAYS * 24 * HOUR)


def test_the_same_account_seen_at_two_timeframes_moves_together(api, stored):
    """Held from the beginning to the end: a day's close is known at its end, and not before."""
    held = {"strategy": HOLD, "params": {}, "costs": {}}
    one = finished(api, body(stored, timeframe="1m", **held))
    two = finished(api, body(stored, timeframe="4h", **held))
    answer = compare(api, one, two, points=20_000).json()
    ts, growth = answer["equity"]["ts"], answer["equity"]["growth"]
    at = [place for place, moment in enumerate(ts) if moment % (4 * HOUR) == 0]
    ratio = [growth[1][place] / growth[0][place] for place in at]
    # Bought a few minutes or hours apart, which is one factor ever after.
    assert ratio == pytest.approx([ratio[0]] * len(at), rel=1e-6)
    assert answer["correlation"][0][1] > 0.999


def test_the_widest_bars_are_the_coarsest_however_long_a_run_is(api, stored):
    wide = finished(api, body(stored, timeframe="1h", strategy=HOLD, params={}))
    short = {"end": (START + timedelta(hours=20)).isoformat(), "params": {"fast": 2, "slow": 5}}
    narrow = finished(api, body(stored, **short))
    assert narrow["result"]["bars"] < wide["result"]["bars"]
    curves = [closes(wide, HOUR), closes(narrow, HOUR // 4)]
    moments = [MS + HOUR * at for at in range(1, 21)]
    changes = [np.diff([one[at] for at in moments]) / [one[at] for at in moments[:-1]] for one in curves]
    expected = np.corrcoef(changes)[0, 1]
    answer = compare(api, wide, narrow).json()
    assert answer["correlation"][0][1] == pytest.approx(expected, abs=1e-6)


def test_values_of_finer_bars_are_of_their_closes(api, stored):
    fine = finished(api, body(stored, timeframe="1h", execution={"detail": "15m"}))
    other = finished(api, body(stored, timeframe="1h"))
    ts = compare(api, fine, other).json()["equity"]["ts"]
    assert ts == list(range(MS + HOUR, MS + DAYS * 24 * HOUR + 1, HOUR // 4))


def test_a_strategy_without_parameters_is_called_by_its_title_alone(api, stored):
    """Where it has some they are what tells its runs apart."""
    runs = [finished(api, body(stored, strategy=HOLD, params={})), finished(api, body(stored))]
    ids = ",".join(one["id"] for one in runs)
    shown = api.get("/backtests/compare.json", {"ids": ids}).json()["runs"]
    assert [one["title"] for one in shown] == [
        "Hold, binance:BTC/USDT 15m",
        "Moving-average crossover (fast 5, slow 20, direction long), binance:BTC/USDT 15m",
    ]


def test_ranges_apart_have_no_curve_in_common(api, stored):
    middle = (START + timedelta(days=2)).isoformat()
    one = finished(api, body(stored, end=middle))
    two = finished(api, body(stored, start=middle))
    answer = compare(api, one, two).json()
    assert answer["equity"] == {"ts": [], "growth": [[], []]}
    assert answer["correlation"] == [[None, None], [None, None]]


def test_a_curve_that_does_not_move_has_no_correlation(api, stored):
    flat = finished(api, body(stored, params={"fast": 300, "slow": 383}))
    other = finished(api, body(stored))
    answer = compare(api, flat, other).json()
    assert answer["correlation"][0] == [None, None]
    assert answer["correlation"][1][1] == 1.0


def test_many_long_curves_are_never_in_memory_twice(alice):
    count, runs, backtests = 100_000, 10, []
    for seed in range(runs):
        moves = np.random.default_rng(seed).normal(0, 1e-4, count)
        curve = Curve(ts=MS + 60_000 * np.arange(count, dtype=np.int64), value=np.exp(np.cumsum(moves)))
        result = BacktestResult.objects.create(
            spec_hash=str(seed), data_fingerprint="d", engine_version="1", fingerprint="f", bars=count,
            trade_count=0, metrics={}, equity={}, trades_data=b"", equity_data=encode_curve(curve),
        )  # fmt: skip
        backtest = Backtest(
            owner=alice, instruments=["binance:BTC/USDT"], timeframe="1m", start=START, end=START,
            spec={"execution": {"detail": None}}, result=result,
        )  # fmt: skip
        backtests.append(backtest)
    tracemalloc.start()
    found = compared(backtests, points=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["equity"]["ts"]) > 900
    # Beside the values their moments, once, and what is made of them at a time.
    assert peak < 2 * runs * count * 8


def test_ids_that_make_no_sense_are_refused(api, stored):
    one = finished(api, body(stored))
    for ids in ("", "nonsense", "{0}", "{0},{0}", "{0}," + ",".join(["{1}"] * 10)):
        refused = api.get("/api/v1/backtests/compare", {"ids": ids.format(one["id"], uuid7())})
        assert refused.status_code == 400, ids
        assert [error["field"] for error in refused.json()["errors"]] == ["ids"], ids


def test_others_and_the_unfinished_are_not_compared(api, bob, stored):
    one = finished(api, body(stored))
    hers = finished(bob, body(market("ETH/USDT")))
    assert compare(api, one, hers).status_code == 404
    waiting = post(api, body(stored, cash=5)).json()
    assert compare(api, one, waiting).status_code == 409
