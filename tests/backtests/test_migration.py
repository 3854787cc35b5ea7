"""Backtests of before results were objects of their own, taken along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from apps.backtests.engine import Spec, strategy_of
from apps.backtests.models import Backtest, BacktestResult
from apps.core.ids import uuid7
from tests.backtests.helpers import END, START

SPEC = {
    "strategy": "sma_cross", "params": {"fast": 5, "slow": 20, "direction": "long"}, "cash": 5000.0,
    "commission": 0.001, "spread": 0.0, "slippage": 0.0002, "fraction": 0.5, "lot": 0.1,
    "finalise": "last_open",
}  # fmt: skip
TRADE = {
    "side": "short", "size": 2.0, "entry_time": 1000, "exit_time": 2000, "entry_bar": 1, "exit_bar": 2,
    "entry_price": 10.0, "exit_price": 9.5, "commission": 0.25, "pnl": 0.75, "return_pct": 3.75,
    "reason": "signal",
}  # fmt: skip
EQUITY = {"ts": [0, 1000, 2000], "value": [5000.0, 5000.0, 5000.75]}


@pytest.fixture
def before(committed: None) -> Iterator[None]:
    """The schema of before; whatever a test does, it is complete afterwards."""
    call_command("migrate", "backtests", "0001", verbosity=0)
    yield
    call_command("migrate", "backtests", verbosity=0)


def insert(table: str, **values: Any) -> None:
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
    given = [json.dumps(one) if isinstance(one, dict | list) else one for one in values.values()]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", given)


def former(owner: int, *, spec_hash: str, result: bool = True) -> str:
    """One backtest as it was stored."""
    pk = str(uuid7())
    insert(
        "backtests_backtest",
        id=pk, owner_id=owner, instrument="binance:BTC/USDT", timeframe="15m", start=START, end=END,
        spec=SPEC, spec_hash=spec_hash, task_run=str(uuid7()), created_at=END,
    )  # fmt: skip
    if result:
        insert(
            "backtests_result",
            backtest_id=pk, bars=3, metrics={"n_trades": 1, "sharpe": None}, trades=[TRADE], equity=EQUITY,
            fingerprint="f", data_fingerprint="d", engine_version="1", created_at=END,
        )  # fmt: skip
    return pk


def test_former_backtests_are_read_as_ever_and_equal_results_become_one(before, django_user_model):
    alice = django_user_model.objects.create_user("alice")
    one, two, other = (former(alice.pk, spec_hash=text) for text in ("a", "a", "b"))
    waiting = former(alice.pk, spec_hash="c", result=False)
    call_command("migrate", "backtests", verbosity=0)
    assert BacktestResult.objects.count() == 2
    found = {str(backtest.pk): backtest for backtest in Backtest.objects.all()}
    assert found[one].result_id == found[two].result_id != found[other].result_id
    assert found[waiting].result_id is None
    assert len({backtest.request_hash for backtest in found.values()}) == 4
    client = Client()
    client.force_login(alice)
    shown = client.get(f"/api/v1/backtests/{one}").json()
    assert (shown["state"], shown["instruments"]) == ("succeeded", ["binance:BTC/USDT"])
    assert shown["strategy"] == "sma_cross"
    assert shown["spec"]["costs"]["taker"] == shown["spec"]["costs"]["maker"] == 0.001
    assert shown["spec"]["sizing"] == {"type": "equity", "value": 0.5, "lot": 0.1}
    assert shown["spec"]["execution"]["finalise"] == "last_open"
    assert shown["result"]["metrics"] == {"n_trades": 1, "sharpe": None}
    trades = client.get(shown["trades_url"]).json()["trades"]
    assert trades == [{"instrument": "binance:BTC/USDT", **TRADE}]
    curve = client.get(shown["equity_url"], {"full": "true"}).json()
    assert (curve["ts"], curve["value"]) == (EQUITY["ts"], EQUITY["value"])
    # And back again.
    call_command("migrate", "backtests", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT spec FROM backtests_backtest")
        assert [json.loads(spec) for (spec,) in cursor.fetchall()] == [SPEC] * 4
        cursor.execute("SELECT trades, equity FROM backtests_result WHERE backtest_id = %s", [two])
        assert [json.loads(part) for part in cursor.fetchone()] == [[TRADE], EQUITY]
        cursor.execute("SELECT count(*) FROM backtests_backtest WHERE instrument = 'binance:BTC/USDT'")
        assert cursor.fetchone() == (4,)


LATER = Spec.from_dict(
    {
        "strategy": "sma_cross",
        "params": {"fast": 5, "slow": 20},
        "cash": 5000,
        "costs": {"taker": 0.001, "slippage": 0.0002},
        "sizing": {"value": 0.5, "lot": 0.1},
        "execution": {"finalise": "last_open"},
    }
).as_dict()
HOLD = strategy_of('strategy hold "Hold"\nenter long when close > 0\n').document


def test_what_was_asked_for_since_goes_back_where_that_can_be_said(before, django_user_model):
    """The flat form knows one strategy, market orders and no leverage; whatever else there is goes."""
    alice = django_user_model.objects.create_user("alice")
    call_command("migrate", "backtests", verbosity=0)
    unsayable = [
        {"strategy": HOLD, "params": {}}, {"strategy": "ema_cross"}, {"leverage": 2.0}, {"pyramiding": 1},
        {"costs": {**LATER["costs"], "fixed": 1.0}}, {"sizing": {"type": "cash", "value": 100.0, "lot": 0.0}},
        {"execution": {**LATER["execution"], "detail": "1m"}}, {"risk": {"stop_loss": {"pct": 0.1}}},
    ]  # fmt: skip
    for changes in [{}, *unsayable]:
        Backtest.objects.create(
            owner=alice, instruments=["binance:BTC/USDT"], timeframe="15m", start=START, end=END,
            strategy="s", spec={**LATER, **changes}, spec_hash="h", request_hash="r", task_run=uuid7(),
        )  # fmt: skip
    kept = Backtest.objects.order_by("id")[0].pk
    call_command("migrate", "backtests", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, spec FROM backtests_backtest")
        ((pk, spec),) = cursor.fetchall()
    assert (str(pk), json.loads(spec)) == (str(kept), SPEC)
    call_command("migrate", "backtests", verbosity=0)
    again = Backtest.objects.get()
    assert again.strategy == "sma_cross"
    assert Spec.from_dict(again.spec).as_dict() | {"maintenance_margin": 0.005} == {
        **LATER,
        "costs": {**LATER["costs"], "maker": 0.001},
    }
