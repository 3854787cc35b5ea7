"""Backtests over HTTP: asked for, computed by a durable task, announced, read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from apps.backtests import services
from apps.backtests.engine import METRICS, Bars, Spec, run
from apps.backtests.models import Backtest, BacktestResult
from apps.candles.sources.disk import DiskSource, export_npz
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.writer import write_candles
from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.candles.helpers import instrument, walk

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 4
END = START + timedelta(days=DAYS)


@pytest.fixture
def stored() -> str:
    """Four days of minutes of a random walk."""
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(DAYS * 1440, start=int(START.timestamp() * 1000), seed=7))
    return market.text


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", "alice@example.com", "x")


@pytest.fixture
def api(client, alice):
    client.force_login(alice)
    return client


def body(market: str, **changes) -> dict:
    return {
        "instrument": market,
        "timeframe": "15m",
        "start": START.isoformat(),
        "end": END.isoformat(),
        "strategy": "sma_cross",
        "params": {"fast": 5, "slow": 20},
        "commission": 0.001,
        **changes,
    }


def post(api, content) -> object:
    return api.post("/api/v1/backtests", content, content_type="application/json")


def test_a_backtest_is_accepted_computed_announced_and_read(api, alice, stored):
    accepted = post(api, body(stored))
    assert accepted.status_code == 202
    answer = accepted.json()
    assert accepted["Location"] == answer["url"]
    assert (answer["state"], answer["result"]) == ("scheduled", None)
    assert answer["spec"]["cash"] == 10_000
    run_pending()
    finished = api.get(answer["url"]).json()
    assert finished["state"] == "succeeded"
    result = finished["result"]
    assert set(result["metrics"]) == {metric.name for metric in METRICS}
    assert result["trade_count"] == result["metrics"]["n_trades"] > 3
    assert len(result["trades"]) == result["trade_count"]
    assert result["bars"] == DAYS * 96
    assert len(result["equity"]["ts"]) == len(result["equity"]["value"]) == result["bars"]
    assert result["equity"]["value"][-1] == result["metrics"]["final_equity"]
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert answer["id"] in message.body
    assert f"n trades: {result['trade_count']}" in message.body
    events = [event.type for event in read_stream(f"task:{answer['task_run']}")]
    assert events == ["task.requested", "task.started", "task.succeeded"]
    assert read_stream(f"task:{answer['task_run']}")[0].meta["actor"] == f"user:{alice.pk}"


def test_the_result_is_what_the_engine_says_of_the_same_candles(api, stored, tmp_path):
    first, second = post(api, body(stored)).json(), post(api, body(stored)).json()
    run_pending()
    results = [BacktestResult.objects.get(pk=answer["id"]) for answer in (first, second)]
    assert results[0].fingerprint == results[1].fingerprint
    export_npz(source=TimescaleSource(), root=tmp_path, instrument=stored)
    candles = DiskSource(tmp_path).load(stored, "15m", START, END)
    bars = Bars(**{name: getattr(candles, name) for name in ("ts", "open", "high", "low", "close", "volume")})
    direct = run(bars, Spec.from_dict(first["spec"]))
    assert direct.fingerprint == results[0].fingerprint
    assert direct.data_fingerprint == results[0].data_fingerprint


def test_the_source_of_candles_can_be_changed_without_changing_the_backtester(api, stored, tmp_path):
    answer = post(api, body(stored)).json()
    run_pending()
    expected = BacktestResult.objects.get(pk=answer["id"]).fingerprint
    export_npz(source=TimescaleSource(), root=tmp_path, instrument=stored)
    services.backtest_run(backtest=Backtest.objects.get(pk=answer["id"]), source=DiskSource(tmp_path))
    assert BacktestResult.objects.get(pk=answer["id"]).fingerprint == expected


def test_trades_come_in_pages(api, stored):
    answer = post(api, body(stored)).json()
    assert api.get(answer["trades_url"]).status_code == 409
    run_pending()
    whole = api.get(answer["trades_url"]).json()
    page = api.get(f"{answer['trades_url']}?offset=1&limit=2").json()
    assert page["count"] == whole["count"] == len(whole["trades"])
    assert page["trades"] == whole["trades"][1:3]
    assert api.get(f"{answer['trades_url']}?limit=5000").json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"instrument": "binance:NO/SUCH"}, "instrument"),
        ({"instrument": "nonsense"}, "instrument"),
        ({"instrument": None}, "instrument"),
        ({"instrument": ["a"]}, "instrument"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"timeframe": 5}, "timeframe"),
        ({"start": END.isoformat(), "end": START.isoformat()}, "start"),
        ({"start": START.isoformat(), "end": START.isoformat()}, "start"),
        ({"start": "2026-03-01T00:00:00"}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"end": {}}, "end"),
        ({"start": "1980-01-01T00:00Z", "timeframe": "1m"}, "start"),
        ({"start": "2026-03-01T00:01Z", "end": "2026-03-01T00:02Z"}, "end"),
        ({"strategy": "magic"}, "strategy"),
        ({"strategy": 1}, "strategy"),
        ({"params": {"fast": 30, "slow": 20}}, "params.fast"),
        ({"params": {"fast": "10", "slow": 20}}, "params.fast"),
        ({"params": {"fast": 5, "slow": 20, "colour": "red"}}, "params.colour"),
        ({"params": []}, "params"),
        ({"cash": -1}, "cash"),
        ({"cash": "lots"}, "cash"),
        ({"commission": 2}, "commission"),
        ({"fraction": 0}, "fraction"),
        ({"leverage": 3}, "leverage"),
    ],
)
def test_what_cannot_be_run_is_refused_and_the_field_is_named(api, stored, changes, field):
    response = post(api, body(stored, **changes))
    assert response.status_code == 400, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert not TaskRun.objects.exists()
    assert not Backtest.objects.exists()


@pytest.mark.parametrize("missing", ["instrument", "timeframe", "start", "end", "strategy"])
def test_what_is_missing_is_named(api, stored, missing):
    content = body(stored)
    del content[missing]
    assert [error["field"] for error in post(api, content).json()["errors"]] == [missing]


@pytest.mark.parametrize("content", [[], "text", 5, None])
def test_a_body_of_another_shape_is_refused(api, content):
    response = post(api, content if isinstance(content, list) else repr(content).replace("'", '"'))
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_a_range_without_candles_is_dead_with_its_reason(api, stored):
    answer = post(api, body(stored, start="2025-01-01T00:00Z", end="2025-01-02T00:00Z")).json()
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == State.DEAD
    assert "no bars" in shown["error"]["message"]
    assert "trace" not in shown["error"]
    assert mail.outbox == []


def test_people_see_their_own_backtests_and_staff_see_all(api, client, stored, django_user_model, admin_user):
    mine = post(api, body(stored)).json()
    assert [b["id"] for b in api.get("/api/v1/backtests").json()] == [mine["id"]]
    client.force_login(django_user_model.objects.create_user("bob"))
    assert client.get("/api/v1/backtests").json() == []
    assert client.get(mine["url"]).status_code == 404
    assert client.get(mine["trades_url"]).status_code == 404
    client.force_login(admin_user)
    assert client.get(mine["url"]).status_code == 200
    assert client.get(f"/api/v1/backtests/{uuid7()}").status_code == 404


def test_a_list_reads_no_results(api, stored, django_assert_num_queries):
    for _ in range(3):
        post(api, body(stored))
    run_pending()
    # Session, user, backtests, their runs: however many there are.
    with django_assert_num_queries(4) as captured:
        assert len(api.get("/api/v1/backtests").json()) == 3
    assert not any("backtests_result" in query["sql"] for query in captured.captured_queries)


def test_an_owner_without_an_address_gets_no_email(client, stored, django_user_model):
    client.force_login(django_user_model.objects.create_user("carol"))
    answer = post(client, body(stored)).json()
    run_pending()
    assert client.get(answer["url"]).json()["state"] == "succeeded"
    assert mail.outbox == []


def test_the_admin_lists_backtests(admin_client, stored, api, alice):
    post(api, body(stored))
    admin_client.force_login(type(alice).objects.get(username="admin"))
    page = admin_client.get("/admin/backtests/backtest/")
    assert "sma_cross on binance:BTC/USDT 15m" in page.content.decode()
