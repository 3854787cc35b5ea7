"""Backtests that somebody deletes, cancels or shares while something else happens to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.services import candles_await
from apps.backtests.storing import result_held
from apps.core.ids import uuid7
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.backtests.helpers import END, START, body, market, post
from tests.candles.conftest import shared_candles
from tests.support import blocked, wait_until

__all__ = ["shared_candles"]

#: Tests of several connections.
committing = pytest.mark.usefixtures("shared_candles")


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


@committing
def test_what_is_deleted_while_its_run_stores_leaves_nothing(api, waiting):
    answer = while_it_stores(lambda: api.delete(waiting["url"]))
    assert answer.status_code == 204
    assert TaskRun.objects.get(pk=waiting["task_run"]).state == "succeeded"
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


@committing
def test_what_goes_with_its_owner_while_its_run_stores_leaves_nothing(alice, waiting):
    while_it_stores(alice.delete)
    assert TaskRun.objects.get(pk=waiting["task_run"]).state == "succeeded"
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


@committing
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


@committing
def test_what_somebody_else_deletes_meanwhile_is_not_found(api):
    content = body(market())
    for method, path in (("delete", ""), ("post", "/cancel"), ("post", "/share"), ("delete", "/share")):
        waiting = post(api, content).json()
        address, ask = f"{waiting['url']}{path}", getattr(api, method)
        answer = while_it_is_deleted(waiting, partial(ask, address))
        assert answer.status_code == 404, (method, path)
        assert answer["Content-Type"] == "application/problem+json", (method, path)


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


@pytest.mark.django_db
def test_a_result_that_goes_before_it_is_read_is_not_found(api, waiting):
    other = post(api, body("binance:BTC/USDT", cash=5)).json()
    run_pending()
    parts = [f"{waiting['url']}{part}" for part in ("/trades", "/equity")]
    pages = [f"/backtests/{waiting['id']}/{part}" for part in ("report.json", "trades.json", "report.html")]
    both = f"?ids={waiting['id']},{other['id']}"
    compared = [f"{base}{both}" for base in ("/api/v1/backtests/compare", "/backtests/compare.json")]
    for address in [*parts, *pages, *compared]:
        assert api.get(address).status_code == 200, address
        with transaction.atomic():
            with deleted_once_found() as gone:
                assert api.get(address).status_code == 404, address
            assert gone == [2], address
            transaction.set_rollback(True)


@committing
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


def result(name: str) -> BacktestResult:
    """One of no run."""
    found: BacktestResult = BacktestResult.objects.create(
        spec_hash=name, data_fingerprint="d", engine_version="1", fingerprint="f", bars=1, trade_count=0,
        metrics={}, equity={"ts": [], "value": []}, trades_data=b"",
    )  # fmt: skip
    return found


def having(owner: Any, result: BacktestResult) -> Backtest:
    """A backtest with this result."""
    return Backtest.objects.create(
        owner=owner, instruments=["binance:BTC/USDT"], timeframe="15m", start=START, end=END, strategy="s",
        spec={}, spec_hash="s", request_hash="r", result=result,
    )  # fmt: skip


@committing
def test_two_owners_who_go_at_once_with_the_same_results_both_go(alice, django_user_model):
    bob = django_user_model.objects.create_user("bob")
    first, second = sorted((result("a"), result("b")), key=lambda one: one.pk)
    for owner, results in ((alice, (first, second)), (bob, (second, first))):
        for one in results:
            having(owner, one)
    with transaction.atomic():
        BacktestResult.objects.select_for_update().get(pk=second.pk)
        # Who would let go of the second first waits for it first, and has it when the other waits for it.
        going = []
        for number, owner in enumerate((alice, bob), 1):
            going.append(Beside(owner.delete))
            wait_until(lambda number=number: blocked() == number, what="the owner to wait for a result")
    for one in going:
        one.ended()
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


@committing
def test_a_result_is_held_by_many_at_once_and_does_not_go_meanwhile(alice):
    held = result("a")
    last = having(alice, held)

    def hold() -> bool:
        with transaction.atomic():
            return result_held(held.pk)

    with transaction.atomic():
        assert result_held(held.pk)
        assert Beside(hold).ended()
        gone = Beside(last.delete)
        wait_until(lambda: blocked() == 1, what="the deletion to wait for who has the result")
        having(alice, held)
    gone.ended()
    assert BacktestResult.objects.get() == held
    with transaction.atomic():
        Backtest.objects.get().delete()
        # Nobody waits for who may be about to delete it.
        assert not Beside(hold).ended()
    assert not BacktestResult.objects.exists()
