"""Results that are there already, and requests that are sent twice."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from apps.backtests import services
from apps.backtests.engine import STRATEGIES
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.report import access
from apps.candles.models import Instrument
from apps.candles.storage.writer import write_candles
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.backtests.helpers import DAYS, MS, body, finished, market, post
from tests.candles.conftest import shared_candles
from tests.candles.helpers import walk
from tests.support import blocked, wait_until

__all__ = ["shared_candles"]

DAY = 86_400_000
LIST = "/api/v1/backtests"


@pytest.mark.django_db
def test_the_same_request_over_the_same_candles_has_the_stored_result_at_once(api, bob, stored, mailoutbox):
    first = finished(api, body(stored))
    runs = TaskRun.objects.count()
    for client in (api, bob):
        again = post(client, body(stored, params={"slow": 20.0, "fast": 5}, title="another"))
        assert again.status_code == 200
        answer = again.json()
        assert (answer["state"], answer["reused"], answer["task_run"]) == ("succeeded", True, None)
        assert answer["id"] != first["id"]
        assert again["Location"] == answer["url"]
        # How long the runs of others took, and when that was, is told to nobody.
        others = {"timings": None, "created_at": None} if client is bob else {}
        assert answer["result"] == {**first["result"], **others}
        assert client.get(answer["trades_url"]).json() == api.get(first["trades_url"]).json()
    assert TaskRun.objects.count() == runs
    assert BacktestResult.objects.count() == 1
    assert len(mailoutbox) == 1


@pytest.mark.django_db
def test_another_request_is_computed(api, stored):
    finished(api, body(stored))
    changes: list[dict[str, Any]] = [
        {"params": {"fast": 6, "slow": 20}},
        {"timeframe": "30m"},
        {"end": "2026-03-04T00:00Z"},
        {"cash": 5_000},
        {"costs": {"taker": 0.002}},
    ]
    for number, change in enumerate(changes, 2):
        other = finished(api, body(stored, **change))
        assert other["reused"] is False, change
        assert BacktestResult.objects.count() == number, change


SMA = STRATEGIES["sma_cross"].document
#: What sma_cross does, in somebody's own words.
HERS = {
    **SMA,
    "name": "alices",
    "title": "ALICE SECRET",
    "description": "Alice thought of this.",
    "params": {name: {**rule, "description": "Alice's."} for name, rule in SMA["params"].items()},
}


def words(client: Client, answer: dict[str, Any], other: dict[str, Any]) -> str:
    """All that is said of a backtest wherever it is shown, beside another one."""
    pk = answer["id"]
    link = client.post(f"{answer['url']}/share").json()
    pages = [f"/backtests/{pk}{part}" for part in ("", "/report.json", "/report.html")]
    shared = [link["url"], link["report_url"], f"{link['report_url']}/report.json"]
    compared = [f"{base}?ids={pk},{other['id']}" for base in ("/backtests/compare.json", f"{LIST}/compare")]
    found = [client.get(one) for one in (LIST, answer["url"], *pages, *shared, *compared)]
    assert [one.status_code for one in found] == [200] * len(found)
    return "".join(one.content.decode() for one in found)


@pytest.mark.django_db
def test_a_shared_result_tells_nothing_in_the_words_of_others(api, bob, stored):
    """What only describes a strategy makes no other result, and is of who wrote it."""
    asked = {api: HERS, bob: "sma_cross"}
    answers: dict[Client, list[dict[str, Any]]] = {api: [], bob: []}
    for cash, first in ((1000, api), (2000, bob)):
        for client in sorted(asked, key=lambda one: one is not first):
            answer = post(client, body(stored, cash=cash, strategy=asked[client])).json()
            assert answer["reused"] is (client is not first)
            run_pending()
            answers[client].append(answer)
    assert BacktestResult.objects.count() == 2
    for client, (one, other) in answers.items():
        said = words(client, one, other) + words(client, other, one)
        assert (said.count("ALICE SECRET") > 5) is (client is api)
        assert (said.count("Moving-average crossover") > 5) is (client is bob)
        assert ("alice" in said.lower()) is (client is api)
        assert ("Moving-average" in said) is (client is bob)


@pytest.mark.django_db
def test_what_ends_between_two_looks_has_run_on_a_known_version(api, alice, stored):
    waiting = access.visible(user=alice, backtest_id=UUID(post(api, body(stored)).json()["id"]))
    assert access.fingerprint(waiting) is None
    # Another version than that of when it was asked for.
    write_candles(instrument=Instrument.objects.get(), minutes=walk(60, start=MS, seed=3))
    run_pending()
    assert access.fingerprint(waiting) == BacktestResult.objects.get().fingerprint
    assert access.document(waiting)["notes"] == []


@pytest.mark.django_db
def test_changed_candles_are_computed_again_and_others_are_not(api, stored):
    first = finished(api, body(stored))
    only = Instrument.objects.get()
    write_candles(instrument=only, minutes=walk(1440, start=MS + 60 * DAY, seed=1))
    # Another month, which no bar of the range is of. What lies between is no part of the range either.
    assert post(api, body(stored)).json()["reused"] is True
    write_candles(instrument=only, minutes=walk(60, start=MS + DAY, seed=2))
    second = finished(api, body(stored))
    assert second["reused"] is False
    assert second["result"]["fingerprint"] != first["result"]["fingerprint"]
    assert post(api, body(stored)).json()["result"] == second["result"]


@pytest.mark.django_db
def test_a_change_that_leaves_the_bars_as_they_were_stores_the_result_once(api, stored):
    first = finished(api, body(stored))
    only = Instrument.objects.get()
    # The same month, after the range.
    write_candles(instrument=only, minutes=walk(60, start=MS + DAYS * DAY, seed=2))
    second = finished(api, body(stored))
    assert second["reused"] is False
    assert second["result"] == first["result"]
    assert BacktestResult.objects.count() == 1


@pytest.mark.django_db
def test_of_two_equal_requests_under_way_the_result_is_stored_once(api, stored):
    answers = [post(api, body(stored)).json() for _ in range(2)]
    run_pending()
    shown = [api.get(answer["url"]).json() for answer in answers]
    assert [one["state"] for one in shown] == ["succeeded", "succeeded"]
    assert shown[0]["result"] == shown[1]["result"]
    assert BacktestResult.objects.count() == 1


@pytest.mark.django_db
def test_a_key_brings_the_same_backtest_again_and_not_for_another_body(api, bob, stored):
    first = post(api, body(stored), **{"Idempotency-Key": "k1"})
    again = post(api, body(stored), **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert ["Idempotency-Replayed" in one for one in (first, again)] == [False, True]
    other = post(api, body(stored, cash=5), **{"Idempotency-Key": "k1"})
    assert other.status_code == 409
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert Backtest.objects.count() == TaskRun.objects.count() == 1
    # Keys are each user's own.
    assert post(bob, body(stored, cash=5), **{"Idempotency-Key": "k1"}).status_code == 202
    assert post(api, body(stored, cash=5), **{"Idempotency-Key": "k2"}).status_code == 202
    api.delete(first.json()["url"])
    assert post(api, body(stored, cash=5), **{"Idempotency-Key": "k1"}).status_code == 202


@pytest.mark.django_db
def test_a_key_of_another_shape_is_refused(api, stored):
    for key in ("", " ", "a b", "é", "x" * 256):
        refused = post(api, body(stored), **{"Idempotency-Key": key})
        assert refused.status_code == 400, key
        assert [error["field"] for error in refused.json()["errors"]] == ["Idempotency-Key"], key
    assert not TaskRun.objects.exists()


@pytest.mark.usefixtures("shared_candles")
def test_of_two_who_store_the_same_at_once_one_does(api, stored):
    answers = [post(api, body(stored)).json() for _ in range(2)]
    failures: list[BaseException] = []

    def compute(pk: str) -> None:
        try:
            services.backtest_run(backtest=Backtest.objects.get(pk=pk))
        except BaseException as exc:
            failures.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=compute, args=(answer["id"],)) for answer in answers]
    # Nobody can store until both have found nothing stored.
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE backtests_result IN SHARE MODE")
        for thread in threads:
            thread.start()
        wait_until(lambda: blocked() == 2, what="both to be about to store")
    for thread in threads:
        thread.join(60)
    assert failures == []
    one, other = Backtest.objects.all()
    assert one.result_id == other.result_id is not None
    assert BacktestResult.objects.count() == 1


@pytest.mark.usefixtures("shared_candles")
def test_a_result_that_goes_meanwhile_is_not_reused(api, stored):
    first = finished(api, body(stored))
    answers: list[Any] = []

    def ask() -> None:
        client = Client()
        client.force_login(Backtest.objects.get().owner)
        try:
            answers.append(post(client, body(stored)))
        finally:
            connections.close_all()

    thread = threading.Thread(target=ask)
    with transaction.atomic():
        Backtest.objects.get(pk=first["id"]).delete()
        thread.start()
        thread.join(60)
    (answer,) = answers
    assert (answer.status_code, answer.json()["reused"]) == (202, False)
    run_pending()
    assert api.get(answer.json()["url"]).json()["result"]["fingerprint"] == first["result"]["fingerprint"]


@pytest.mark.usefixtures("shared_candles")
def test_of_two_with_one_key_at_once_the_second_gets_the_backtest_of_the_first(django_user_model):
    """The second waits on a row that a connection of its own has not committed yet."""
    alice = django_user_model.objects.create_user("alice")
    content = body(market())
    answers: list[Any] = []

    def ask() -> None:
        client = Client()
        client.force_login(alice)
        try:
            answers.append(post(client, content, **{"Idempotency-Key": "k"}))
        finally:
            connections.close_all()

    # Nobody can insert until both are about to.
    threads = [threading.Thread(target=ask) for _ in range(2)]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE backtests_backtest IN SHARE MODE")
        for thread in threads:
            thread.start()
        wait_until(lambda: blocked() == 2, what="both to wait for the table")
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Backtest.objects.count() == TaskRun.objects.count() == 1
