"""Backtests that somebody deletes, cancels or shares while something else happens to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.services import candles_await
from apps.core.ids import uuid7
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.backtests.helpers import body, market, post
from tests.candles.conftest import shared_candles
from tests.support import blocked, wait_until

__all__ = ["shared_candles"]

pytestmark = pytest.mark.usefixtures("shared_candles")


class Beside:
    """Something that is done in a thread, on a connection of its own."""

    def __init__(self, deed: Callable[[], Any]) -> None:
        self._deed = deed
        self.answer: Any = None
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answer = self._deed()
        except BaseException as exc:
            self.failure = exc
        finally:
            connections.close_all()

    def ended(self) -> Any:
        """What came of it."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure
        return self.answer


@contextmanager
def nothing_stored() -> Iterator[None]:
    """While this lasts, who wants to store a result waits, with the backtest locked."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE backtests_result IN SHARE MODE")
        yield


@pytest.fixture
def waiting(api: Client) -> dict[str, Any]:
    """A backtest that has not run yet."""
    answer: dict[str, Any] = post(api, body(market())).json()
    return answer


def while_it_stores(deed: Callable[[], Any]) -> Any:
    """What comes of *deed*, which is begun when the run is about to store its result."""
    with nothing_stored():
        run = Beside(run_pending)
        wait_until(lambda: blocked() == 1, what="the run to be about to store")
        done = Beside(deed)
        wait_until(lambda: blocked() == 2, what="the other to wait for it")
    run.ended()
    return done.ended()


def test_what_is_deleted_while_its_run_stores_leaves_nothing(api, waiting):
    answer = while_it_stores(lambda: api.delete(waiting["url"]))
    assert answer.status_code == 204
    assert TaskRun.objects.get(pk=waiting["task_run"]).state == "succeeded"
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


def test_what_goes_with_its_owner_while_its_run_stores_leaves_nothing(alice, waiting):
    while_it_stores(alice.delete)
    assert TaskRun.objects.get(pk=waiting["task_run"]).state == "succeeded"
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


def test_what_is_cancelled_while_its_run_stores_has_ended(api, waiting):
    answer = while_it_stores(lambda: api.post(f"{waiting['url']}/cancel"))
    assert answer.status_code == 409
    assert api.get(waiting["url"]).json()["state"] == "succeeded"


def while_it_is_deleted(waiting: dict[str, Any], deed: Callable[[], Any]) -> Any:
    """What comes of *deed*, which finds the backtest and then has to wait for who deletes it."""
    with transaction.atomic():
        Backtest.objects.get(pk=waiting["id"]).delete()
        done = Beside(deed)
        wait_until(lambda: blocked() == 1, what="the other to wait for the deletion")
    return done.ended()


@pytest.mark.parametrize(
    ("method", "path"), [("delete", ""), ("post", "/cancel"), ("post", "/share"), ("delete", "/share")]
)
def test_what_somebody_else_deletes_meanwhile_is_not_found(api, waiting, method, path):
    answer = while_it_is_deleted(waiting, lambda: getattr(api, method)(f"{waiting['url']}{path}"))
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


@contextmanager
def deleted_once_found() -> Iterator[list[int]]:
    """Every backtest goes right after one was read with its light result, before anything heavy is."""
    gone: list[int] = []

    def look(execute: Any, query: Any, *rest: Any) -> Any:
        found = execute(query, *rest)
        if not gone and 'JOIN "backtests_result"' in str(query):
            gone.append(Backtest.objects.count())
            Backtest.objects.all().delete()
        return found

    with connection.execute_wrapper(look):
        yield gone


@pytest.mark.parametrize("part", ["/trades", "/equity", "/report.json", "/trades.json", "/report.html"])
def test_a_result_that_goes_before_it_is_read_is_not_found(api, waiting, part):
    run_pending()
    address = f"/backtests/{waiting['id']}{part}" if "." in part else f"{waiting['url']}{part}"
    assert api.get(address).status_code == 200
    with deleted_once_found() as gone:
        assert api.get(address).status_code == 404
    assert gone == [1]


def test_what_goes_while_it_is_compared_is_not_found(api, waiting):
    other = post(api, body("binance:BTC/USDT", cash=5)).json()
    run_pending()
    ids = f"{waiting['id']},{other['id']}"
    for address in ("/api/v1/backtests/compare", "/backtests/compare.json"):
        assert api.get(address, {"ids": ids}).status_code == 200
    with deleted_once_found() as gone:
        assert api.get("/api/v1/backtests/compare", {"ids": ids}).status_code == 404
    assert gone == [2]


def test_who_cancels_during_the_last_look_for_candles_waits_and_cancels_what_follows(api, waiting):
    """The run has seen that nobody wants its end; from then on nobody can until what follows is there."""
    run = TaskRun.objects.get(pk=waiting["task_run"])
    Backtest.objects.update(fetch_run=run.pk, task_run=uuid7())
    TaskRun.objects.filter(pk=run.pk).update(state="running")
    with transaction.atomic():
        candles_await(backtest=Backtest.objects.get(), attempt=1, run_id=run.pk)
        done = Beside(lambda: api.post(f"{waiting['url']}/cancel"))
        wait_until(lambda: blocked() == 1, what="the other to wait for the run")
        TaskRun.objects.filter(pk=run.pk).update(state="succeeded")
        run.pk, run._state.adding = Backtest.objects.get().task_run, True
        run.seq = run.seq + 1
        run.save(force_insert=True)
    answer = done.ended()
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
