"""The addresses of reports: who may see what, and how it is sent."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from apps.backtests import conf
from apps.backtests.engine import STRATEGIES, strategy_of
from apps.backtests.models import Backtest, BacktestResult
from apps.candles.selectors import instrument_get
from apps.candles.services import write_candles
from apps.candles.storage.writer import delete_candles
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.backtests.report.running import finished, requested, trade_rows
from tests.candles.helpers import instrument, walk

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=1)
PARTS = ("", "/report.json", "/trades.json", "/report.html")


@pytest.fixture
def market() -> str:
    made = instrument("BTC/USDT")
    write_candles(instrument=made, minutes=walk(1440, start=int(START.timestamp() * 1000), seed=7))
    return made.text


@pytest.fixture
def alice(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice")


@pytest.fixture
def browser(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def backtest(alice: Any, market: str) -> Backtest:
    return finished(alice.pk, market, START, END)


def test_the_owner_and_staff_see_a_report_and_nobody_else_does(
    browser: Client, backtest: Backtest, django_user_model: Any
) -> None:
    addresses = [f"/backtests/{backtest.pk}{part}" for part in PARTS]
    assert [browser.get(one).status_code for one in addresses] == [200] * 4
    for name, staff in (("bob", False), ("operator", True)):
        other = Client()
        other.force_login(django_user_model.objects.create_user(name, is_staff=staff))
        assert [other.get(one).status_code for one in addresses] == [200 if staff else 404] * 4
    assert [Client().get(one).status_code for one in addresses] == [404] * 4
    assert browser.post(addresses[0]).status_code == 405


def test_the_page_loads_from_here_only_and_names_its_document(browser: Client, backtest: Backtest) -> None:
    page = browser.get(f"/backtests/{backtest.pk}")
    policy = page["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "form-action 'none'"} <= set(policy)
    text = page.content.decode()
    assert f'data-source="/backtests/{backtest.pk}/report.json"' in text
    assert "<script>" not in text
    assert "style=" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_document_is_compressed_if_asked_for_and_not_sent_twice(
    browser: Client, backtest: Backtest
) -> None:
    address = f"/backtests/{backtest.pk}/report.json"
    plain = browser.get(address)
    document = plain.json()
    assert (document["kind"], document["bars"]) == ("report", 1440)
    assert document["identity"]["fingerprint"] == backtest.result.fingerprint
    assert document["trades"]["total"] == backtest.result.trade_count > 10
    assert backtest.result.fingerprint in plain["ETag"]
    packed = browser.get(address, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert "Accept-Encoding" in packed["Vary"]
    for refused in ("identity", "gzip;q=0", "br, gzip; q=0.0"):
        assert "Content-Encoding" not in browser.get(address, headers={"Accept-Encoding": refused})
    again = browser.get(address, headers={"If-None-Match": plain["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.get(address, headers={"If-None-Match": 'W/"another"'}).status_code == 200


def test_trades_come_in_pages(browser: Client, backtest: Backtest) -> None:
    address = f"/backtests/{backtest.pk}/trades.json"
    page = browser.get(address, {"offset": "3"}).json()
    assert page["offset"] == 3
    assert page["pnl"] == [row["pnl"] for row in trade_rows(backtest)[3:]]
    for bad in ("-1", "x", "1" * 10, ""):
        answer = browser.get(address, {"offset": bad})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "offset")


def test_while_it_runs_there_is_its_state_and_then_the_document(
    browser: Client, alice: Any, market: str
) -> None:
    backtest = requested(alice.pk, market, START, END)
    address = f"/backtests/{backtest.pk}"
    assert browser.get(address).status_code == 200
    waiting = browser.get(f"{address}/report.json")
    assert waiting.status_code == 202
    assert waiting.json() == {"state": "scheduled", "ended": False, "progress": None, "error": None}
    assert [browser.get(address + part).status_code for part in PARTS[2:]] == [404, 404]
    run_pending()
    assert browser.get(f"{address}/report.json").status_code == 200


def test_a_run_that_failed_says_why(browser: Client, alice: Any, market: str) -> None:
    backtest = requested(alice.pk, market, START, END)
    delete_candles(instrument=instrument_get(market), start=START, end=END)
    run_pending()
    answer = browser.get(f"/backtests/{backtest.pk}/report.json")
    assert (answer.status_code, answer.json()["state"], answer.json()["ended"]) == (202, "dead", True)
    assert "no bars" in answer.json()["error"]["message"]
    link = browser.post(f"/api/v1/backtests/{backtest.pk}/share").json()["report_url"]
    told = Client().get(f"{link}/report.json").json()
    assert (told["state"], told["error"]) == ("dead", None)
    TaskRun.objects.filter(pk=backtest.task_run).delete()
    gone = browser.get(f"/backtests/{backtest.pk}/report.json").json()
    assert (gone["state"], gone["ended"]) == ("cancelled", True)


def test_candles_that_may_have_changed_are_told_and_those_of_the_run_are_shown(
    browser: Client, backtest: Backtest, market: str
) -> None:
    address = f"/backtests/{backtest.pk}/report.json"
    first = browser.get(address)
    document = first.json()
    assert document["notes"] == []
    assert len(document["prices"][0]["ts"]) == len(document["buy_hold"]["ts"]) == 1440
    made = instrument_get(market)
    write_candles(instrument=made, minutes=walk(60, start=int(START.timestamp() * 1000), seed=9))
    # Who has the document of before is told.
    second = browser.get(address, headers={"If-None-Match": first["ETag"]})
    assert second.status_code == 200
    (note,) = second.json()["notes"]
    assert "may have changed" in note
    assert browser.get(address, headers={"If-None-Match": second["ETag"]}).status_code == 304
    delete_candles(instrument=made, start=START, end=END)
    assert browser.get(address).json() == document | {"notes": [note]}
    made.delete()
    gone = browser.get(address, headers={"If-None-Match": second["ETag"]})
    (note,) = gone.json()["notes"]
    assert "not known any more" in note
    assert gone.json()["prices"] == document["prices"]


def test_a_page_reads_no_candles(browser: Client, backtest: Backtest, market: str) -> None:
    minutes = walk(60, start=int(END.timestamp() * 1000), seed=9)
    write_candles(instrument=instrument_get(market), minutes=minutes)
    # Until the end of the test, which rolls it back, whoever reads candles fails.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE candle_1m RENAME TO candle_elsewhere")
    for part in PARTS:
        assert browser.get(f"/backtests/{backtest.pk}{part}").status_code == 200


def test_what_kept_no_candles_has_no_price_chart(browser: Client, backtest: Backtest) -> None:
    BacktestResult.objects.update(drawing_data=None)
    Backtest.objects.update(data_version="", definition="")
    document = browser.get(f"/backtests/{backtest.pk}/report.json").json()
    undrawn, unversioned = document["notes"]
    assert "not kept" in undrawn
    assert "not known which version" in unversioned
    assert (document["bars"], document["prices"][0]["ts"], document["buy_hold"]) == (1440, [], None)
    assert document["strategy"]["name"] == "sma_cross"


def test_the_strategy_is_shown_as_it_ran(
    browser: Client, backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/backtests/{backtest.pk}/report.json"
    shown = browser.get(address).json()["strategy"]
    assert shown["text"] == STRATEGIES["sma_cross"].text
    # The next release has another strategy of this name.
    other = strategy_of(STRATEGIES["sma_cross"].text.replace("Moving-average crossover", "Another"))
    monkeypatch.setitem(STRATEGIES, "sma_cross", other)
    assert browser.get(address).json()["strategy"] == shown


def test_several_instruments_and_finer_bars_are_reported(browser: Client, market: str) -> None:
    other = instrument("ETH/USDT")
    write_candles(instrument=other, minutes=walk(1440, start=int(START.timestamp() * 1000), seed=8))
    risk = {"stop_loss": {"pct": 0.0001}, "take_profit": {"pct": 0.0001}}
    asked = {
        "instruments": [other.text, market], "timeframe": "15m", "start": START.isoformat(),
        "end": END.isoformat(), "strategy": "sma_cross", "params": {"fast": 2, "slow": 5},
        "sizing": {"value": 0.4}, "execution": {"detail": "1m"}, "risk": risk, "title": "Two of them",
    }  # fmt: skip
    answer = browser.post("/api/v1/backtests", asked, content_type="application/json").json()
    run_pending()
    result = browser.get(answer["url"]).json()["result"]
    address = f"/backtests/{answer['id']}/report.json"
    document = browser.get(address).json()
    assert (document["title"], document["notes"]) == ("Two of them", [])
    assert document["instruments"] == [other.text, market]
    assert [len(prices["ts"]) for prices in document["prices"]] == [96, 96]
    assert document["strategy"]["name"] == "sma_cross"
    assert "stop loss 0.01%" in document["strategy"]["text"]
    # A value for each of the finer bars.
    assert document["equity"]["ts"][-1] == int(END.timestamp() * 1000) - 60_000
    assert document["band"]["ambiguous"] == result["ambiguous"] > 0
    assert document["band"]["optimistic"]["metrics"] == result["bounds"]["optimistic"]
    assert document["certificate"] == result["certificate"]
    assert set(document["certificate"]) == {other.text, market}
    trades = browser.get(answer["trades_url"], {"limit": 1000}).json()["trades"]
    named = [document["instruments"][place] for place in document["trades"]["instrument"]]
    assert named == [one["instrument"] for one in trades]
    assert set(named) == {other.text, market}
    assert document["trades"]["pnl"] == [one["pnl"] for one in trades]
    assert [document["trades"]["reasons"][code] for code in document["trades"]["reason"]] == [
        one["reason"] for one in trades
    ]


def test_whoever_has_the_link_sees_the_report_until_it_is_ended(browser: Client, backtest: Backtest) -> None:
    Backtest.objects.update(title="my own thoughts")
    anybody = Client()
    share = f"/api/v1/backtests/{backtest.pk}/share"
    link = browser.post(share).json()["report_url"]
    path = link.removeprefix("http://testserver")
    assert path.startswith("/backtests/shared/")
    answers = [anybody.get(f"{path}{part}") for part in PARTS]
    assert [one.status_code for one in answers] == [200] * 4
    assert f'data-source="{path}/report.json"' in answers[0].content.decode()
    own = browser.get(f"/backtests/{backtest.pk}/report.json").json()
    assert own["title"] == "my own thoughts"
    assert answers[1].json() == own | {"title": "Moving-average crossover"}
    for one in answers:
        seen = one.content.decode() + one.get("Content-Disposition", "")
        for secret in (str(backtest.pk), "my own thoughts", "alice"):
            assert secret not in seen
    assert answers[0]["Referrer-Policy"] == "same-origin"
    assert [anybody.get(f"{path}x{part}").status_code for part in PARTS] == [404] * 4
    assert anybody.get(f"/backtests/{backtest.pk}").status_code == 404
    second = browser.post(share).json()["report_url"]
    assert [anybody.get(f"{path}{part}").status_code for part in PARTS] == [404] * 4
    assert anybody.get(second).status_code == 200
    assert browser.delete(share).status_code == 204
    assert [anybody.get(f"{second}{part}").status_code for part in PARTS] == [404] * 4


def test_the_file_is_a_download(browser: Client, backtest: Backtest) -> None:
    answer = browser.get(f"/backtests/{backtest.pk}/report.html")
    assert answer["Content-Disposition"] == f'attachment; filename="backtest-{backtest.pk}.html"'
    assert backtest.result.fingerprint in answer.content.decode()


def test_runs_are_compared_metric_by_metric(
    browser: Client, backtest: Backtest, alice: Any, market: str
) -> None:
    other = finished(alice.pk, market, START, END, params={"fast": 8, "slow": 30}, cash=5_000)
    ids = f"{backtest.pk},{other.pk}"
    page = browser.get("/backtests/compare", {"ids": ids})
    assert f'data-source="/backtests/compare.json?ids={ids}"' in page.content.decode()
    answer = browser.get("/backtests/compare.json", {"ids": ids})
    document = answer.json()
    assert document["kind"] == "comparison"
    assert [run["url"] for run in document["runs"]] == [f"/backtests/{one.pk}" for one in (backtest, other)]
    rows = {row["name"]: row["values"] for row in document["metrics"]}
    assert rows == {
        name: [value, other.result.metrics[name]] for name, value in backtest.result.metrics.items()
    }
    settings = [(row["name"], row["values"]) for row in document["settings"]]
    assert settings == [("params.fast", [5, 8]), ("params.slow", [20, 30]), ("cash", [10_000, 5_000])]
    api = browser.get("/api/v1/backtests/compare", {"ids": ids, "points": 3_000}).json()
    assert (rows, dict(settings)) == (api["metrics"], api["differences"])
    assert (document["equity"], document["correlation"]) == (api["equity"], api["correlation"])
    assert browser.get(
        "/backtests/compare.json", {"ids": ids}, headers={"If-None-Match": answer["ETag"]}
    ).status_code == 304  # fmt: skip


def test_a_comparison_waits_for_its_runs(
    browser: Client, backtest: Backtest, alice: Any, market: str
) -> None:
    late = requested(alice.pk, market, START, END, cash=7_000)
    ids = {"ids": f"{backtest.pk},{late.pk}"}
    answer = browser.get("/backtests/compare.json", ids)
    assert (answer.status_code, answer.json()["state"]) == (202, "scheduled")
    run_pending()
    assert browser.get("/backtests/compare.json", ids).status_code == 200


def test_bad_comparisons_are_refused(browser: Client, backtest: Backtest) -> None:
    known = str(backtest.pk)
    many = ",".join(str(uuid4()) for _ in range(conf.max_compared() + 1))
    for ids in ("", known, f"{known},{known}", f"{known},x", many):
        for page in ("compare", "compare.json"):
            answer = browser.get(f"/backtests/{page}", {"ids": ids})
            assert (answer.status_code, json.loads(answer.content)["errors"][0]["field"]) == (400, "ids")
    for page in ("compare", "compare.json"):
        assert browser.get(f"/backtests/{page}", {"ids": f"{known},{uuid4()}"}).status_code == 404
        assert Client().get(f"/backtests/{page}", {"ids": f"{known},{uuid4()}"}).status_code == 404
