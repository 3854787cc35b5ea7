"""Backtests side by side."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.core.ids import uuid7
from tests.backtests.helpers import START, body, finished, market, post

pytestmark = pytest.mark.django_db


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
    # From the first bar that both have to the last of the one that ends first.
    assert (ts[0], ts[-1]) == (one["result"]["equity"]["ts"][0], two["result"]["equity"]["ts"][-1])
    assert [values[0] for values in growth] == [1.0, 1.0]
    at = dict(zip(one["result"]["equity"]["ts"], one["result"]["equity"]["value"], strict=True))
    assert growth[1] == pytest.approx([at[moment] / 10_000 for moment in ts])
    held = dict(zip(two["result"]["equity"]["ts"], two["result"]["equity"]["value"], strict=True))
    assert growth[0] == pytest.approx([held[moment - moment % 3_600_000] / 500 for moment in ts])
    assert answer["correlation"][0][0] == answer["correlation"][1][1] == 1.0
    assert answer["correlation"][0][1] == answer["correlation"][1][0]
    assert -1 <= answer["correlation"][0][1] <= 1


def test_curves_are_drawn_with_few_points(api, stored):
    one = finished(api, body(stored, timeframe="1m"))
    two = finished(api, body(stored, timeframe="5m"))
    answer = compare(api, one, two, points=100).json()
    assert 50 < len(answer["equity"]["ts"]) <= 100
    assert all(len(values) == len(answer["equity"]["ts"]) for values in answer["equity"]["growth"])


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


@pytest.mark.parametrize("ids", ["", "nonsense", "{0}", "{0},{0}", "{0}," + ",".join(["{1}"] * 10)])
def test_ids_that_make_no_sense_are_refused(api, stored, ids):
    one = finished(api, body(stored))
    refused = api.get("/api/v1/backtests/compare", {"ids": ids.format(one["id"], uuid7())})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["ids"]


def test_others_and_the_unfinished_are_not_compared(api, bob, stored):
    one = finished(api, body(stored))
    hers = finished(bob, body(market("ETH/USDT")))
    assert compare(api, one, hers).status_code == 404
    waiting = post(api, body(stored, cash=5)).json()
    assert compare(api, one, waiting).status_code == 409
