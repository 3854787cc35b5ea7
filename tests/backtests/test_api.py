"""Backtests over HTTP: asked for, computed by a durable task, announced, read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.test import override_settings

from apps.backtests import services
from apps.backtests.columns import decode_curve
from apps.backtests.engine import METRICS, STRATEGIES, Bars, Spec, run
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.strategies import cost_of
from apps.candles.sources.disk import DiskSource, export_npz
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES
from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.backtests.helpers import DAYS, END, START, body, finished, post
from tests.candles.helpers import instrument

pytestmark = pytest.mark.django_db


def test_a_backtest_is_accepted_computed_announced_and_read(api, alice, stored):
    accepted = post(api, body(stored, title="first", labels=["a"]))
    assert accepted.status_code == 202, accepted.content
    answer = accepted.json()
    assert accepted["Location"] == answer["url"]
    assert (answer["state"], answer["result"], answer["progress"]) == ("scheduled", None, None)
    assert (answer["title"], answer["labels"], answer["owner"]) == ("first", ["a"], alice.pk)
    assert (answer["instrument"], answer["instruments"]) == (stored, [stored])
    assert answer["spec"]["cash"] == 10_000
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "succeeded"
    assert shown["reused"] is False
    result = shown["result"]
    assert set(result["metrics"]) == {metric.name for metric in METRICS}
    assert result["trade_count"] == result["metrics"]["n_trades"] > 3
    assert result["bars"] == DAYS * 96
    assert len(result["equity"]["ts"]) == len(result["equity"]["value"]) == result["bars"]
    assert result["equity"]["value"][-1] == result["metrics"]["final_equity"]
    parts = {"load", "signals", "simulation", "certificate", "encode", "store"}
    assert result["timings"].keys() == parts
    assert result["certificate"]["holds"] is True
    assert f"/backtests/{answer['id']}" in answer["report_url"]
    assert api.get(answer["report_url"]).status_code == 200
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert f"{settings.PUBLIC_URL}/backtests/{answer['id']}" in message.body.split()
    assert f"n trades: {result['trade_count']}" in message.body
    events = [event.type for event in read_stream(f"task:{answer['task_run']}")]
    assert events == ["task.requested", "task.started", "task.succeeded"]
    assert read_stream(f"task:{answer['task_run']}")[0].meta["actor"] == f"user:{alice.pk}"


def test_the_result_is_what_the_engine_says_of_the_same_candles(api, stored, tmp_path):
    answer = finished(api, body(stored))
    export_npz(source=TimescaleSource(), root=tmp_path, instrument=stored)
    candles = DiskSource(tmp_path).load(stored, "15m", START, END)
    bars = Bars(
        **{name: getattr(candles, name) for name in ("ts", "open", "high", "low", "close", "volume")},
        step=TIMEFRAMES["15m"].width,
    )
    direct = run(bars, Spec.from_dict(answer["spec"]))
    kept = BacktestResult.objects.get()
    assert direct.fingerprint == kept.fingerprint == answer["result"]["fingerprint"]
    assert direct.data_fingerprint == kept.data_fingerprint
    curve = decode_curve(kept.equity_data)
    assert curve.value.tobytes() == direct.equity.tobytes()
    assert curve.ts.tobytes() == bars.ts.tobytes()


def test_the_source_of_candles_can_be_changed_without_changing_the_backtester(api, stored, tmp_path):
    answer = finished(api, body(stored))
    export_npz(source=TimescaleSource(), root=tmp_path, instrument=stored)
    backtest = Backtest.objects.get(pk=answer["id"])
    first = BacktestResult.objects.get().fingerprint
    Backtest.objects.update(result=None)
    BacktestResult.objects.all().delete()
    services.backtest_run(backtest=backtest, source=DiskSource(tmp_path))
    assert BacktestResult.objects.get().fingerprint == first


def test_the_range_is_that_of_whole_bars(api, stored):
    answer = post(
        api, body(stored, start="2026-03-01T00:01Z", end="2026-03-02T00:01Z", timeframe="1h")
    ).json()
    assert answer["start"] == "2026-03-01T01:00:00Z"
    assert answer["end"] == "2026-03-02T01:00:00Z"


def test_bars_that_have_not_ended_are_left_out(api, stored, settings):
    settings.CANDLES_SETTLE_SECONDS = 600
    now = datetime.now(UTC)
    answer = post(api, body(stored, end=now.isoformat(), missing="ignore", timeframe="4h")).json()
    end = datetime.fromisoformat(answer["end"])
    assert now - timedelta(hours=5) < end <= now - timedelta(minutes=10)
    early = (now - timedelta(hours=3)).isoformat()
    refused = post(api, body(stored, start=early, end=now.isoformat(), timeframe="1d", missing="ignore"))
    assert [error["field"] for error in refused.json()["errors"]] == ["end"]


def test_null_is_refused_where_it_means_nothing(api, stored):
    content = {**body(stored), "cash": None, "maintenance_margin": None, "risk": None}
    assert [error["field"] for error in post(api, content).json()["errors"]] == ["cash"]
    del content["cash"]
    answer = post(api, content)
    assert answer.status_code == 202
    assert answer.json()["spec"]["maintenance_margin"] is None


REFUSED = [
    ({"instrument": "binance:NO/SUCH"}, "instrument"),
    ({"instrument": "nonsense"}, "instrument"),
    ({"instrument": "a\0b"}, "instrument"),
    ({"instrument": ["a"]}, "instrument"),
    ({"instruments": ["binance:BTC/USDT"]}, "instruments"),
    ({"instrument": None, "instruments": []}, "instruments"),
    ({"instrument": None, "instruments": "binance:BTC/USDT"}, "instruments"),
    ({"instrument": None, "instruments": ["binance:BTC/USDT", "binance:BTC/USDT"]}, "instruments"),
    ({"instrument": None, "instruments": ["binance:BTC/USDT", "binance:ETH/EUR"]}, "instruments"),
    ({"instrument": None, "instruments": [f"binance:T{n}/USDT" for n in range(51)]}, "instruments"),
    ({"timeframe": "7m"}, "timeframe"),
    ({"timeframe": 5}, "timeframe"),
    ({"start": END.isoformat(), "end": START.isoformat()}, "start"),
    ({"start": START.isoformat(), "end": START.isoformat()}, "start"),
    ({"start": "2026-03-01T00:00:00"}, "start"),
    ({"start": "yesterday"}, "start"),
    ({"end": {}}, "end"),
    ({"end": "2199-01-01T00:00Z"}, "end"),
    ({"start": "1980-01-01T00:00Z", "timeframe": "1m"}, "start"),
    ({"start": "2026-03-01T00:01Z", "end": "2026-03-01T00:02Z"}, "end"),
    ({"missing": "guess"}, "missing"),
    ({"title": "x" * 201}, "title"),
    ({"labels": ["x"] * 21}, "labels"),
    ({"strategy": "magic"}, "strategy"),
    ({"strategy": 1}, "strategy"),
    ({"strategy": []}, "strategy"),
    ({"strategy": "__import__('os').system('true')"}, "strategy"),
    ({"strategy": "sma_cross\0"}, "strategy"),
    ({"params": {"fast": 30, "slow": 20}}, "params.fast"),
    ({"params": {"fast": "10", "slow": 20}}, "params.fast"),
    ({"params": {"fast": 5, "slow": 20, "colour": "red"}}, "params.colour"),
    ({"params": {"fast": 5, "slow": 1e308}}, "params.slow"),
    ({"params": []}, "params"),
    ({"cash": -1}, "cash"),
    ({"cash": "lots"}, "cash"),
    ({"costs": {"taker": None}}, "costs.taker"),
    ({"costs": {"taker": 2}}, "costs.taker"),
    ({"costs": {"__class__": 2}}, "costs.__class__"),
    ({"costs": 5}, "costs"),
    ({"sizing": {"type": "equity", "value": 2}}, "sizing.value"),
    ({"leverage": 3000}, "leverage"),
    ({"execution": {"detail": "4h"}}, "execution.detail"),
    ({"execution": {"detail": "nonsense"}}, "execution.detail"),
    ({"orders": {"\0": 1}}, "orders"),
    ({"no_such_thing": 3}, "no_such_thing"),
]


def test_what_cannot_be_run_is_refused_and_the_field_is_named(api, stored):
    instrument("ETH/EUR")
    for changes, field in REFUSED:
        response = post(api, body(stored, **changes))
        assert response.status_code == 400, (changes, response.content)
        assert response["Content-Type"] == "application/problem+json", changes
        for error in response.json()["errors"]:
            assert f"{error['field']}.".startswith(f"{field}."), (changes, error)
    assert not TaskRun.objects.exists()
    assert not Backtest.objects.exists()


def test_what_would_take_too_much_is_refused(api, stored, settings):
    spec = Spec.from_dict({"strategy": "sma_cross", "params": {"fast": 5, "slow": 20}})
    limits = dict.fromkeys(("BACKTESTS_MAX_BARS", "BACKTESTS_MAX_ALL_BARS"), 1.0)
    limits["BACKTESTS_MAX_WORK"] = cost_of(STRATEGIES["sma_cross"], spec.params)
    for name, cost in limits.items():
        least = DAYS * 96 * cost
        with override_settings(**{name: least - 1}):
            refused = post(api, body(stored))
        assert [error["field"] for error in refused.json()["errors"]] == ["start"], name
        assert "384" in refused.json()["detail"], name
        assert not TaskRun.objects.exists(), name
    for name, cost in limits.items():
        setattr(settings, name, DAYS * 96 * cost)
    assert post(api, body(stored)).status_code == 202


def test_what_is_missing_is_named(api, stored):
    for missing in ("instrument", "timeframe", "start", "end", "strategy"):
        refused = post(api, body(stored, **{missing: None})).json()
        assert [error["field"] for error in refused["errors"]] == [missing]


@pytest.mark.parametrize(
    "content",
    [
        '{"\\ud800": 1}',
        '{"strategy": "\\ud800"}',
        '{"params": {"\\udfff": 1}}',
        "[]",
        '"text"',
        "5",
        "null",
        "NaN",
        '{"cash": Infinity}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_a_body_of_another_shape_is_refused(api, content):
    response = api.post("/api/v1/backtests", content, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert not TaskRun.objects.exists()


def test_a_body_that_is_too_large_is_refused(api, stored):
    response = post(api, body(stored, strategy="x" * 1_000_000))
    assert response.status_code == 413
    assert response.json()["type"] == "/problems/content-too-large"


def test_everything_of_a_backtest_is_its_owners_and_of_staff(api, bob, stored, admin_client):
    mine = finished(api, body(stored))
    assert [b["id"] for b in api.get("/api/v1/backtests").json()] == [mine["id"]]
    assert bob.get("/api/v1/backtests").json() == []
    url = mine["url"]
    reads = [url, mine["trades_url"], mine["equity_url"]]
    deeds = [("post", f"{url}/cancel"), ("post", f"{url}/share"), ("delete", f"{url}/share"), ("delete", url)]
    for method, address in [*(("get", read) for read in reads), *deeds]:
        assert getattr(bob, method)(address).status_code == 404, address
    assert bob.get(f"/api/v1/backtests/compare?ids={mine['id']},{uuid7()}").status_code == 404
    for address in reads:
        assert admin_client.get(address).status_code == 200, address
    assert [b["id"] for b in admin_client.get("/api/v1/backtests").json()] == [mine["id"]]
    assert admin_client.get(f"/api/v1/backtests/{uuid7()}").status_code == 404
    api.logout()
    for method, address in [*(("get", read) for read in reads), *deeds]:
        assert getattr(api, method)(address).status_code == 401, address


def test_an_owner_without_an_address_gets_no_email(bob, stored):
    finished(bob, body(stored))
    assert mail.outbox == []
