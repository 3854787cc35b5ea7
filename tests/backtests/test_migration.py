"""What is stored, taken along from one schema to the next and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
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


def migrate(name: str = "") -> Any:
    """Bring the tables to a migration, or to the last. Returns the models of then.

    Only models that these tables have to do with are made for it, which takes nearly all of the time.
    """
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    (last,) = graph.leaf_nodes("backtests")
    graph.leaf_nodes = lambda app=None: [last]
    return executor.migrate([("backtests", name) if name else last]).apps


@pytest.fixture
def whole(committed: None) -> Iterator[None]:
    """Whatever a test does, the schema is complete afterwards."""
    yield
    migrate()


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


def test_backtests_are_read_as_ever_and_go_back_where_that_can_be_said(whole, django_user_model):
    """Former results that are equal become one. The flat form of before knows one strategy, market orders and
    no leverage; whatever else was asked for since goes on the way back.
    """
    alice = django_user_model.objects.create_user("alice")
    migrate("0001_initial")
    one, two, other = (former(alice.pk, spec_hash=text) for text in ("a", "a", "b"))
    waiting = former(alice.pk, spec_hash="c", result=False)
    migrate()
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
    unsayable = [
        {"strategy": HOLD, "params": {}}, {"strategy": "ema_cross"}, {"leverage": 2.0}, {"pyramiding": 1},
        {"costs": {**LATER["costs"], "fixed": 1.0}}, {"sizing": {"type": "cash", "value": 100.0, "lot": 0.0}},
        {"execution": {**LATER["execution"], "detail": "1m"}}, {"risk": {"stop_loss": {"pct": 0.1}}},
    ]  # fmt: skip
    # Of ids that are made in one millisecond nobody knows which is the first.
    later, *_ = (
        Backtest.objects.create(
            owner=alice, instruments=["binance:BTC/USDT"], timeframe="15m", start=START, end=END,
            strategy="s", spec={**LATER, **changes}, spec_hash="h", request_hash="r", task_run=uuid7(),
        ).pk
        for changes in [{}, *unsayable]
    )  # fmt: skip
    migrate("0001_initial")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text, spec FROM backtests_backtest")
        kept = {pk: json.loads(spec) for pk, spec in cursor.fetchall()}
        assert kept == dict.fromkeys([one, two, other, waiting, str(later)], SPEC)
        cursor.execute("SELECT trades, equity FROM backtests_result WHERE backtest_id = %s", [two])
        assert [json.loads(part) for part in cursor.fetchone()] == [[TRADE], EQUITY]
        cursor.execute("SELECT count(*) FROM backtests_backtest WHERE instrument = 'binance:BTC/USDT'")
        assert cursor.fetchone() == (5,)
    migrate()
    again = Backtest.objects.get(pk=later)
    assert again.strategy == "sma_cross"
    assert Spec.from_dict(again.spec).as_dict() | {"maintenance_margin": 0.005} == {
        **LATER,
        "costs": {**LATER["costs"], "maker": 0.001},
    }


MINE = HOLD | {"title": "Mine"}


def test_a_document_becomes_that_of_who_asked_for_it_in_these_words(whole, django_user_model):
    """A result had the document of whose run made it, which the others may have worded otherwise."""
    users = [django_user_model.objects.create_user(name).pk for name in ("alice", "bob")]
    then = migrate("0005_sweep_fingerprint")

    def made(number: int, document: Any, *asked: tuple[int, Any, Any], gone: bool = False) -> list[Any]:
        """A result with this document, and backtests with it: owner, strategy, risk. The first made it."""
        pks = [uuid7() for _ in asked]
        result = then.get_model("backtests", "BacktestResult").objects.create(
            spec_hash=f"{number}", data_fingerprint="d", engine_version="1", fingerprint="f", bars=1,
            trade_count=0, metrics={}, equity={"ts": [], "value": []}, trades_data=b"",
            definition=document and json.dumps(document), maker=uuid7() if gone else pks[0],
        )  # fmt: skip
        for pk, (owner, strategy, risk) in zip(pks, asked, strict=True):
            then.get_model("backtests", "Backtest").objects.create(
                pk=pk, owner_id=users[owner], instruments=["binance:BTC/USDT"], timeframe="15m", start=START,
                end=END, strategy="s", spec={**LATER, "strategy": strategy, "risk": risk}, spec_hash="h",
                request_hash="r", result=result,
            )  # fmt: skip
        return pks

    stop = {"stop_loss": {"pct": 0.1}}
    worded = made(1, MINE, (0, MINE, None), (1, HOLD, None), (1, MINE, None), (0, HOLD, None))
    built_in = made(2, HOLD, (0, "hold", stop), (1, "hold", stop), (1, HOLD | {"risk": stop}, None))
    gone = made(3, MINE, (0, HOLD, None), (1, MINE, None), (0, MINE, stop), gone=True)
    unknown = made(4, "", (0, MINE, None))
    migrate()
    found = {one.pk: json.loads(one.definition or "null") for one in Backtest.objects.all()}
    assert [found[pk] for pk in worded] == [MINE, None, MINE, None]
    assert [found[pk] for pk in built_in] == [HOLD, HOLD, None]
    assert [found[pk] for pk in gone] == [None, MINE, None]
    assert [found[pk] for pk in unknown] == [None]
    # Where the maker has none, the oldest that has one gives it.
    Backtest.objects.filter(pk=worded[1]).update(definition=json.dumps(HOLD))
    Backtest.objects.filter(pk=built_in[0]).update(definition="")
    then = migrate("0005_sweep_fingerprint")
    kept = then.get_model("backtests", "BacktestResult").objects.order_by("spec_hash")
    assert [json.loads(one.definition or "null") for one in kept] == [MINE, HOLD, MINE, None]
