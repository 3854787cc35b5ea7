"""Backtests that are cancelled or deleted, before, while and after they run."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.backtests import computing
from apps.backtests.engine.jit import compiled
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.reporting import Reporter
from apps.backtests.tasks import run_backtest
from apps.candles.models import Instrument
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage.writer import write_candles
from apps.core.ids import uuid7
from apps.tasks import Cancelled, claims
from apps.tasks import run as runs
from apps.tasks.models import TaskRun
from apps.tasks.services import cancel, redrive
from apps.tasks.testing import run_pending
from tests.backtests.helpers import MS, body, finished, market, post
from tests.candles.helpers import walk
from tests.support import wait_until

pytestmark = pytest.mark.django_db


class Interrupting(TimescaleSource):
    """The stored candles; while they are read, something happens."""

    def __init__(self, deed: Any) -> None:
        super().__init__()
        self.deed = deed

    def load(self, *args: Any, **kwargs: Any) -> Any:
        self.deed()
        return super().load(*args, **kwargs)


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen while the candles are read."""

    def arrange(deed: Any) -> None:
        monkeypatch.setattr(computing, "stored_source", lambda: Interrupting(deed))

    return arrange


def test_what_has_not_started_is_cancelled_for_good(api, stored):
    answer = post(api, body(stored)).json()
    cancelled = api.post(f"{answer['url']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    run_pending()
    assert api.get(answer["url"]).json()["state"] == "cancelled"
    assert api.post(f"{answer['url']}/cancel").status_code == 409
    assert not BacktestResult.objects.exists()


def test_what_runs_is_cancelled_while_it_runs(api, stored, meanwhile, monkeypatch, mailoutbox):
    # Every report is a look, however fast the run is.
    monkeypatch.setattr("apps.backtests.reporting._LOOK", 0.0)
    answer = post(api, body(stored)).json()
    states = []
    meanwhile(lambda: states.append(api.post(f"{answer['url']}/cancel").json()["state"]))
    run_pending()
    assert states == ["running"]
    assert api.get(answer["url"]).json()["state"] == "cancelled"
    assert not BacktestResult.objects.exists()
    assert mailoutbox == []


def test_a_cancelled_run_is_noticed_between_two_reports_of_progress(stored, monkeypatch):
    """Progress is stored once a second: that alone would be too late."""
    monkeypatch.setattr(runs, "_PROGRESS_EVERY", 3600.0)
    requested = run_backtest.delay(backtest_id=str(uuid7()))
    claimed = claims.claim(run_id=TaskRun.objects.get().pk, worker="w", repeatable=True)
    with runs.reporting_on(runs.connections["default"]):
        reporter = Reporter(runs.Run(claimed))

        def reported() -> bool:
            reporter.phase("simulating", 0, 10)
            return bool(TaskRun.objects.get().progress)

        wait_until(reported, seconds=30, what="the first report")
        assert TaskRun.objects.get().progress == {"done": 0, "total": 10, "message": "simulating"}
        cancel(run_id=requested.id)

        def noticed() -> bool:
            try:
                reporter(1, 10)
            except Cancelled:
                return True
            return False

        wait_until(noticed, seconds=30, what="the cancellation to be noticed")


class Counting(Reporter):
    """Counts how far apart the looks of the simulation are."""

    def __init__(self, run: Any) -> None:
        super().__init__(run)
        self.at: list[int] = []

    def __call__(self, done: int, total: int) -> None:
        if self._phase == "simulating" and done:
            self.at.append(done)
        super().__call__(done, total)


def test_simulations_look_as_often_however_they_run_and_on_however_many(api, stored, monkeypatch):
    """Uncompiled, what is simulated between two looks takes many times as long."""
    names = [stored, market("ETH/USDT", seed=8)]
    made: list[Counting] = []

    def reporter(run: Any) -> Counting:
        made.append(Counting(run))
        return made[-1]

    monkeypatch.setattr(computing, "Reporter", reporter)
    monkeypatch.setattr(computing, "_CHUNK", 4096)
    for jit, instruments, most in (("1", 1, 4096), ("1", 2, 2048), ("0", 1, 1024), ("0", 2, 512)):
        if jit == "1" and compiled() is None:
            continue
        monkeypatch.setenv("CHANDLERY_JIT", jit)
        asked = body("", timeframe="1m", instrument=None, instruments=names[:instruments])
        answer = post(api, {**asked, "sizing": {"value": 0.4}}).json()
        computing.backtest_run(backtest=Backtest.objects.get(pk=answer["id"]))
        steps = np.diff([0, *made[-1].at])
        assert max(steps) == most, (jit, instruments)


def test_a_hash_that_is_under_way_keeps_nobody_who_is_cancelled():
    begun, going_on, ended = threading.Event(), threading.Event(), threading.Event()

    class Large:
        """Bars whose hash takes as long as the test wants."""

        @property
        def fingerprint(self) -> str:
            begun.set()
            going_on.wait(30)
            ended.set()
            return ""

    with pytest.raises(Cancelled), computing._fingerprinting([Large()]):
        assert begun.wait(30)
        raise Cancelled("wanted")
    assert not ended.is_set()
    going_on.set()
    assert ended.wait(30)


def test_what_has_ended_is_not_cancelled(api, stored):
    answer = finished(api, body(stored))
    assert api.post(f"{answer['url']}/cancel").status_code == 409
    again = post(api, body(stored)).json()
    assert again["reused"] is True
    assert api.post(f"{again['url']}/cancel").status_code == 409


def test_a_result_goes_with_the_last_backtest_that_has_it(api, bob, stored):
    answers = [
        finished(api, body(stored)),
        post(api, body(stored)).json(),
        post(bob, body(stored)).json(),
    ]
    for client, answer, left in zip((api, api, bob), answers, (1, 1, 0), strict=True):
        assert client.delete(answer["url"]).status_code == 204
        assert client.get(answer["url"]).status_code == 404
        assert BacktestResult.objects.count() == left
    assert not Backtest.objects.exists()


def test_a_result_goes_with_its_owner(alice, api, bob, stored):
    finished(api, body(stored))
    hers = finished(bob, body(stored, cash=5))
    alice.delete()
    assert [str(one.pk) for one in Backtest.objects.all()] == [hers["id"]]
    assert BacktestResult.objects.count() == 1


def test_what_is_deleted_before_it_runs_never_does(api, stored):
    answer = post(api, body(stored)).json()
    assert api.delete(answer["url"]).status_code == 204
    run_pending()
    assert TaskRun.objects.get(pk=answer["task_run"]).state == "cancelled"
    assert not BacktestResult.objects.exists()


def test_what_is_deleted_while_it_runs_leaves_nothing(api, stored, meanwhile, mailoutbox):
    answer = post(api, body(stored)).json()
    done = []
    meanwhile(lambda: done.append(api.delete(answer["url"]).status_code))
    run_pending()
    assert done == [204]
    assert TaskRun.objects.get(pk=answer["task_run"]).state == "cancelled"
    assert not BacktestResult.objects.exists()
    assert mailoutbox == []


def test_candles_that_change_while_they_are_read_are_of_no_known_version(api, stored, meanwhile):
    def change() -> None:
        write_candles(instrument=Instrument.objects.get(), minutes=walk(60, start=MS, seed=3))

    meanwhile(change)
    answer = finished(api, body(stored))
    assert Backtest.objects.get(pk=answer["id"]).data_version == ""
    assert post(api, body(stored)).json()["reused"] is False


def test_a_failed_run_says_why_and_can_be_redriven(api, stored):
    answer = post(api, body(stored)).json()
    Backtest.objects.update(spec={**answer["spec"], "cash": -1})
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "dead"
    assert "cash" in shown["error"]["message"]
    assert "trace" not in shown["error"]
    Backtest.objects.update(spec=answer["spec"])
    redrive(run_id=answer["task_run"])
    run_pending()
    assert api.get(answer["url"]).json()["state"] == "succeeded"


@pytest.fixture
def staff(django_user_model) -> Client:
    """A client that somebody is signed in with who sees everything and may change nothing."""
    client = Client()
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    return client


def test_staff_end_the_backtests_of_others_with_the_permission_only(api, stored, staff, django_user_model):
    answer = post(api, body(stored)).json()
    assert staff.get(answer["url"]).status_code == 200
    refused = [staff.post(f"{answer['url']}/cancel"), staff.delete(answer["url"])]
    assert [one.status_code for one in refused] == [403, 403]
    assert {one.json()["type"] for one in refused} == {"/problems/permission-denied"}
    assert api.get(answer["url"]).json()["state"] == "scheduled"
    permission = Permission.objects.get(codename="change_backtest", content_type__app_label="backtests")
    django_user_model.objects.get(username="staff").user_permissions.add(permission)
    assert staff.post(f"{answer['url']}/cancel").status_code == 200
    assert staff.delete(answer["url"]).status_code == 204
    # Their own they need no permission for.
    mine = post(staff, body(stored)).json()
    assert staff.delete(mine["url"]).status_code == 204
