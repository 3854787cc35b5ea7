"""Trades and equity curves over HTTP: pages, orders, forms, tags."""

from __future__ import annotations

import io
from operator import itemgetter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from apps.backtests import selectors
from apps.backtests.columns import Curve, decode_curve, encode_curve
from apps.backtests.models import BacktestResult
from tests.backtests.helpers import DAYS, MS, body, finished, nothing_heavy, post, trades

pytestmark = pytest.mark.django_db

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def done(api, stored):
    return finished(api, body(stored, params={"fast": 2, "slow": 5, "direction": "long_short"}))


def test_trades_come_in_pages(api, stored, done):
    whole = api.get(done["trades_url"]).json()
    assert whole["count"] == done["result"]["trade_count"]
    assert (whole["offset"], whole["next"], len(whole["trades"])) == (0, None, whole["count"])
    found, offset = [], 0
    while offset is not None:
        page = api.get(done["trades_url"], {"offset": offset, "limit": 7}).json()
        found += page["trades"]
        offset = page["next"]
    assert found == whole["trades"]
    first = whole["trades"][0]
    assert first["instrument"] == stored
    assert first["entry_time"] == MS + first["entry_bar"] * 900_000
    assert {one["side"] for one in found} == {"long", "short"}
    assert all(one["size"] > 0 for one in found)
    past = api.get(done["trades_url"], {"offset": 10_000}).json()
    assert (past["trades"], past["next"]) == ([], None)


def test_trades_are_sorted_by_a_column_and_then_by_their_exits(api, done):
    whole = trades(api, done, limit=1000)
    for column in ("pnl", "entry_time", "side", "reason", "instrument", "size"):
        rising = trades(api, done, limit=1000, sort=column)
        assert rising == sorted(whole, key=itemgetter(column)), column
        falling = trades(api, done, limit=1000, sort=f"-{column}")
        assert falling == sorted(whole, key=itemgetter(column), reverse=True), column
        assert trades(api, done, limit=3, offset=2, sort=column) == rising[2:5], column


def test_trades_as_csv_and_arrow_are_all_of_them(api, done):
    whole = trades(api, done, limit=1000)
    text = api.get(done["trades_url"], {"format": "csv"})
    assert text["Content-Type"] == "text/csv"
    assert text["Content-Disposition"].startswith('attachment; filename="trades-')
    frame = pd.read_csv(io.BytesIO(text.content), parse_dates=["entry_time", "exit_time"])
    assert frame["pnl"].tolist() == [one["pnl"] for one in whole]
    assert frame["entry_time"].iloc[0] == pd.Timestamp(whole[0]["entry_time"], unit="ms", tz="UTC")
    packed = api.get(done["trades_url"], headers={"Accept": ARROW})
    assert packed["Content-Type"] == ARROW
    table = pa.ipc.open_stream(packed.content).read_all()
    assert table["pnl"].to_pylist() == [one["pnl"] for one in whole]
    assert table.schema.field("exit_time").type == pa.timestamp("ms", tz="UTC")
    part = api.get(done["trades_url"], {"format": "arrow", "limit": 2, "offset": 1, "sort": "-pnl"})
    best = sorted((one["pnl"] for one in whole), reverse=True)
    assert pa.ipc.open_stream(part.content).read_all()["pnl"].to_pylist() == best[1:3]


def test_equity_is_whole_or_drawn_with_its_peaks_and_troughs(api, done):
    whole = api.get(done["equity_url"], {"full": "true"}).json()
    assert whole["count"] == whole["bars"] == len(whole["ts"]) == DAYS * 96
    assert np.diff(whole["ts"]).tolist() == [900_000] * (DAYS * 96 - 1)
    assert whole["value"][-1] == done["result"]["metrics"]["final_equity"]
    drawn = api.get(done["equity_url"], {"points": 40}).json()
    assert drawn["count"] <= 40
    assert drawn["bars"] == DAYS * 96
    assert (min(drawn["value"]), max(drawn["value"])) == (min(whole["value"]), max(whole["value"]))
    assert set(zip(drawn["ts"], drawn["value"], strict=True)) <= set(
        zip(whole["ts"], whole["value"], strict=True)
    )


def test_equity_as_csv_and_arrow_is_whole_to_the_bit(api, done):
    whole = api.get(done["equity_url"], {"full": "true"}).json()
    frame = pd.read_csv(io.BytesIO(api.get(done["equity_url"], {"format": "csv"}).content))
    assert frame["value"].tolist() == whole["value"]
    table = pa.ipc.open_stream(api.get(done["equity_url"], {"format": "arrow"}).content).read_all()
    assert table["value"].to_pylist() == whole["value"]
    assert table["ts"].cast(pa.int64()).to_pylist() == whole["ts"]
    few = pa.ipc.open_stream(api.get(done["equity_url"], {"format": "arrow", "points": 10}).content)
    assert len(few.read_all()) <= 10


def test_who_has_an_answer_is_told_so_and_reads_nothing(api, done, django_assert_num_queries, monkeypatch):
    for name in ("trades_url", "equity_url"):
        first = api.get(done[name])
        assert first["Cache-Control"] == "private, no-cache"
        assert "Accept" in first["Vary"]
        # Session, user, backtest with its light result; the heavy columns are read past what counts queries.
        with monkeypatch.context() as patch, django_assert_num_queries(3):
            patch.setattr(selectors, "read_heavy", nothing_heavy)
            again = api.get(done[name], headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
        other = api.get(done[name], {"format": "csv"}, headers={"If-None-Match": first["ETag"]})
        assert other.status_code == 200
        assert other["ETag"] != first["ETag"]


def test_without_a_result_there_is_neither(api, stored):
    answer = post(api, body(stored)).json()
    for name in ("trades_url", "equity_url"):
        response = api.get(answer[name])
        assert response.status_code == 409
        assert response.json()["type"] == "/problems/conflict"


def test_a_query_that_makes_no_sense_is_refused(api, done):
    cases = [
        ("trades_url", {"limit": 0}, "limit"),
        ("trades_url", {"limit": 10_001}, "limit"),
        ("trades_url", {"offset": -1}, "offset"),
        ("trades_url", {"sort": "colour"}, "sort"),
        ("trades_url", {"sort": "--pnl"}, "sort"),
        ("trades_url", {"format": "xml"}, "format"),
        ("trades_url", {"page": 2}, "page"),
        ("equity_url", {"points": 3}, "points"),
        ("equity_url", {"points": 10, "full": "true"}, "points"),
        ("equity_url", {"format": "npz"}, "format"),
    ]
    for name, query, field in cases:
        refused = api.get(done[name], query)
        assert refused.status_code == 400, query
        assert [error["field"] for error in refused.json()["errors"]] == [field], query


def test_a_form_that_there_is_not_is_not_acceptable(api, done):
    assert api.get(done["equity_url"], headers={"Accept": "image/png"}).status_code == 406


def test_a_run_without_trades_has_none(api, stored):
    answer = finished(api, body(stored, params={"fast": 300, "slow": 383}))
    assert answer["result"]["trade_count"] == 0
    assert trades(api, answer) == []
    assert trades(api, answer, sort="-pnl") == []
    table = pa.ipc.open_stream(api.get(answer["trades_url"], {"format": "arrow"}).content).read_all()
    assert len(table) == 0
    assert "pnl" in table.column_names


def test_heavy_columns_are_read_by_nobody_who_does_not_ask(done, django_assert_num_queries):
    with django_assert_num_queries(1) as captured:
        found = BacktestResult.objects.get()
    assert "equity_data" not in captured.captured_queries[0]["sql"]
    with django_assert_num_queries(1):
        assert found.equity_data


def test_a_curve_comes_back_to_the_bit_whatever_gaps_it_has():
    ts = np.cumsum(np.random.default_rng(1).integers(1, 10**9, 1000)).astype(np.int64)
    curve = Curve(ts=ts, value=np.random.default_rng(2).normal(size=1000))
    again = decode_curve(encode_curve(curve))
    assert again.ts.tobytes() == curve.ts.tobytes()
    assert again.value.tobytes() == curve.value.tobytes()
