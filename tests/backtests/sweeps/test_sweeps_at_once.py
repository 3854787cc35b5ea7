"""Sweeps that are asked for, ended, read and deleted at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from apps.backtests.models import Sweep, SweepChunk
from apps.backtests.requesting import Key
from apps.backtests.sweeps.ending import sweep_delete
from apps.backtests.sweeps.requesting import sweep_request
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import FEW, START, brief, post, run_some, store
from tests.support import blocked, wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


@pytest.fixture
def few(shared_candles: None) -> str:
    return store(days=FEW)


def beside(pool: ThreadPoolExecutor, deed: Callable[[], Any]) -> Future[Any]:
    """Do it in a thread, on a connection of its own."""

    def run() -> Any:
        try:
            return deed()
        finally:
            connections.close_all()

    return pool.submit(run)


def locked(table: str, mode: str) -> None:
    """Until the transaction ends, others wait who want of this table what the lock excludes."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN {mode} MODE")


def test_of_two_with_one_key_at_once_both_get_the_same_sweep(alice: Any, few: str) -> None:
    def ask() -> Any:
        return sweep_request(
            owner_id=alice.pk,
            instruments=[few],
            timeframe="1h",
            start=START,
            end=START + timedelta(days=FEW),
            spec={"strategy": "sma_cross"},
            space={"fast": [2, 3], "slow": [10, 20]},
            key=Key(text="k", body_hash="h"),
        ).pk

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            # Both look for an earlier one and find none before either can store its own.
            locked("backtests_sweep", "SHARE")
            asked = [beside(pool, ask) for _ in range(2)]
            wait_until(lambda: blocked() == 2, what="both to be about to store")
        found = {one.result(60) for one in asked}
    assert found == {Sweep.objects.get().pk}
    assert TaskRun.objects.count() == SweepChunk.objects.count() == 1


def test_what_is_deleted_before_it_is_cancelled_is_not_found(api: Any, few: str, admin_user: Any) -> None:
    answer = post(api, brief(few)).json()
    desk = Client()
    desk.force_login(admin_user)
    ask = {"action": "cancel", "_selected_action": [answer["id"]], "answered": "yes"}
    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            sweep_delete(sweep=Sweep.objects.get(), actor="system")
            cancelling = beside(pool, lambda: api.post(f"{answer['url']}/cancel"))
            by_the_desk = beside(pool, lambda: desk.post("/admin/backtests/sweep/", ask, follow=True))
            wait_until(lambda: blocked() == 2, what="both to wait for the deletion")
        assert cancelling.result(60).status_code == 404
        page = by_the_desk.result(60).content.decode()
    assert "was deleted meanwhile." in page
    assert "0 cancelled." in page


def test_what_is_deleted_while_its_document_is_made_is_not_found(api: Any, few: str) -> None:
    answer = post(api, brief(few)).json()
    run_some(1)
    url = f"/backtests/sweeps/{answer['id']}/report.json"
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # The sweep is found as it is now; how it stands is asked once all this has been.
            locked("backtests_sweep_chunk", "ACCESS EXCLUSIVE")
            reading = beside(pool, lambda: api.get(url))
            wait_until(lambda: blocked() == 1, what="the chunks to be counted")
            sweep = Sweep.objects.get()
            TaskRun.objects.filter(pk=sweep.finish_run).update(state=State.CANCELLED)
            sweep.delete()
        assert reading.result(60).status_code == 404
    run_pending()
