"""Ticks become runs: each once, at the database's time, whatever happens to beats and entries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from celery import current_app, shared_task
from django.db import OperationalError, connection

from apps.core.ids import uuid7_of
from apps.events.selectors import read_stream
from apps.tasks import DurableTask, current_run
from apps.tasks.beat import DurableScheduler
from apps.tasks.models import PeriodicTask, TaskRun
from apps.tasks.periodic import services, ticking
from apps.tasks.testing import run_pending
from tests.support import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@shared_task(base=DurableTask, name="periodic.ticked")
def ticked() -> str | None:
    """Say which tick this is the run of."""
    moment = current_run().scheduled_for
    return moment.isoformat() if moment else None


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def entry(name: str = "e", **fields: Any) -> PeriodicTask:
    given: dict[str, Any] = {"task": "periodic.ticked", "interval": 60.0, **fields}
    row = PeriodicTask(name=name, **given)
    services.save(entry=row)
    return PeriodicTask.objects.get(pk=row.pk)


def away(row: PeriodicTask, **time: float) -> datetime:
    """No beat has looked at the entry for so long. Returns since when."""
    since = database_time() - timedelta(**time)
    PeriodicTask.objects.filter(pk=row.pk).update(counts_from=since, last_tick_at=None)
    return since


def scheduled_times() -> list[str]:
    return sorted(run.meta["scheduled_for"] for run in TaskRun.objects.all())


def iso(moments: Any) -> list[str]:
    return [moment.astimezone(UTC).isoformat() for moment in moments]


@pytest.fixture(autouse=True)
def of_settings(caplog) -> Iterator[dict[str, Any]]:
    """The entries of the settings: none, until a test puts some in."""
    caplog.set_level(logging.INFO, logger="apps.tasks.periodic")
    before, current_app.conf.beat_schedule = current_app.conf.beat_schedule, {}
    yield current_app.conf.beat_schedule
    current_app.conf.beat_schedule = before


def test_a_tick_requests_a_run_whose_id_follows_from_it():
    row = entry(interval=3600.0)
    away(row, hours=1)
    (run_id,) = ticking.serve_due()
    row.refresh_from_db()
    assert row.last_tick_at is not None
    assert run_id == row.last_run == uuid7_of(row.last_tick_at, "beat:e")
    assert row.next_tick_at == row.look_at == row.last_tick_at + timedelta(hours=1)
    (requested,) = read_stream(f"task:{run_id}")
    assert requested.meta == {"actor": "beat:e", "scheduled_for": row.last_tick_at.isoformat()}
    assert ticking.serve_due() == []


def test_the_handler_knows_the_tick_that_it_stands_for():
    row = entry(misfire="all")
    since = away(row, minutes=3)
    ticking.serve_due()
    run_pending()
    ticks = iso(reversed(list(row.schedule.back_from(database_time(), after=since))))
    assert [run.result for run in TaskRun.objects.order_by("id")] == ticks == scheduled_times()
    result = ticked.delay()
    run_pending()
    assert TaskRun.objects.get(pk=result.id).result is None
    assert current_run().scheduled_for is None


@pytest.mark.parametrize(
    ("misfire", "grace", "runs"),
    [("skip", None, 1), ("once", None, 1), ("all", None, 30), ("skip", 300, 5), ("once", 300, 5)],
)
def test_after_a_down_time_the_policy_decides(misfire: str, grace: float | None, runs: int, caplog):
    # Half-way between two ticks, so that none falls into the test; every minute for half an hour.
    row = entry(interval=60.0, misfire=misfire, misfire_grace=grace)
    wait_until(lambda: 1 < database_time().second < 50, seconds=15, what="a time between two ticks")
    since = away(row, minutes=30)
    ticking.serve_due()
    ticks = iso(reversed(list(row.schedule.back_from(database_time(), after=since))))
    assert scheduled_times() == ticks[-runs:]
    row.refresh_from_db()
    assert row.left_out == 30 - runs
    assert ("ticks up to" in caplog.text) == (runs < 30)
    assert f"misfire policy {misfire}" in caplog.text or runs == 30


def test_of_more_ticks_than_the_limit_the_newest_get_runs_and_the_log_says_so(settings, caplog):
    settings.TASKS_MISFIRE_LIMIT = 5
    row = entry(interval=1.0, misfire="all")
    away(row, minutes=10)
    assert len(ticking.serve_due()) == 5
    row.refresh_from_db()
    assert row.left_out >= 595
    assert scheduled_times()[-1] == row.last_tick_at.isoformat()
    assert f"{row.left_out} ticks up to" in caplog.text
    assert "at most 5 runs at a time" in caplog.text


def test_ticks_while_an_entry_is_off_are_none():
    row = entry(misfire="all")
    services.switch(entry=row, enabled=False)
    away(row, minutes=10)
    assert ticking.serve_due() == []
    services.switch(entry=row, enabled=True)
    assert ticking.serve_due() == []


def test_a_beat_with_a_stale_view_of_an_entry_does_nothing():
    row = entry(interval=0.1)
    away(row, seconds=5)
    stale, now = PeriodicTask.objects.get(), database_time()
    assert len(ticking.serve_due()) == 1
    assert ticking._serve(stale, now) == []
    stale = PeriodicTask.objects.get()
    services.save(entry=PeriodicTask.objects.get())
    assert ticking._serve(stale, database_time()) == []
    stale = PeriodicTask.objects.get()
    services.switch(entry=stale, enabled=False)
    assert ticking._serve(stale, database_time()) == []
    assert TaskRun.objects.count() == 1


def test_beats_that_meet_at_every_tick_make_one_run_of_each():
    row = entry(interval=0.1, misfire="all")
    barrier, requested = threading.Barrier(4), []

    def beat() -> None:
        try:
            for _ in range(20):
                barrier.wait(20)
                requested.extend(ticking.serve_due())
                time.sleep(0.02)  # so that there are ticks, however fast the rounds are
        finally:
            connection.close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row.refresh_from_db()
    assert row.last_tick_at is not None
    ticks = iso(reversed(list(row.schedule.back_from(row.last_tick_at, after=row.counts_from))))
    assert scheduled_times() == ticks
    assert len(requested) == len(set(requested)) == len(ticks) > 0


def test_a_beat_that_dies_between_its_requests_leaves_nothing_and_the_next_makes_them_all(monkeypatch):
    row = entry(misfire="all")
    wait_until(lambda: 1 < database_time().second < 50, seconds=15, what="a time between two ticks")
    away(row, minutes=5)
    request, calls = services.request, []

    def dying(**given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise SystemExit
        return request(**given)

    monkeypatch.setattr(services, "request", dying)
    with pytest.raises(SystemExit):
        ticking.serve_due()
    assert not TaskRun.objects.exists()
    row.refresh_from_db()
    assert row.last_tick_at is None
    monkeypatch.setattr(services, "request", request)
    assert len(ticking.serve_due()) == 5


def test_a_broken_entry_shows_its_error_and_stops_no_other(caplog):
    broken, sound = entry("broken"), entry("sound")
    PeriodicTask.objects.filter(pk=broken.pk).update(task="workload.gone")
    for row in (broken, sound):
        away(row, minutes=1)
    (run_id,) = ticking.serve_due()
    assert TaskRun.objects.get().pk == run_id
    broken.refresh_from_db()
    assert broken.last_error == "LookupError: no durable task 'workload.gone' is registered"
    assert broken.last_error_at is not None
    assert broken.last_tick_at is None
    assert "periodic entry broken cannot be served" in caplog.text
    # It is left alone for a while, and logged once.
    assert broken.look_at > database_time()
    PeriodicTask.objects.filter(pk=broken.pk).update(look_at=database_time())
    caplog.clear()
    assert ticking.serve_due() == []
    assert "cannot be served" not in caplog.text


def test_an_entry_that_was_mended_finds_its_ticks_and_loses_its_error():
    row = entry(kwargs={"wrong": 1})
    away(row, minutes=1)
    assert ticking.serve_due() == []
    row.refresh_from_db()
    assert "TypeError" in row.last_error
    row.kwargs = {}
    services.save(entry=row)
    assert len(ticking.serve_due()) == 1
    row.refresh_from_db()
    assert row.last_error == ""


@pytest.mark.parametrize("damage", [{"timezone": "Mars"}, {"crontab": "x"}, {"options": {"no": "such"}}])
def test_a_row_that_was_damaged_by_hand_is_a_broken_entry(damage: dict[str, Any]):
    row = entry(interval=None, crontab="* * * * *")
    away(row, minutes=1)
    PeriodicTask.objects.filter(pk=row.pk).update(**damage)
    assert ticking.serve_due() == []
    row.refresh_from_db()
    assert row.last_error != ""


@pytest.mark.parametrize("hours", [-1, 1, 24 * 400])
def test_only_the_clock_of_the_database_counts(hours: int):
    row = entry(interval=3600.0)
    away(row, hours=1)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours)):
        scheduler = DurableScheduler(app=current_app)
        scheduler.tick()
        scheduler.tick()
    row.refresh_from_db()
    assert TaskRun.objects.count() == 1
    assert row.last_tick_at is not None
    assert timedelta(0) < database_time() - row.last_tick_at < timedelta(hours=1, minutes=1)


def test_beat_sleeps_until_the_next_tick_and_never_longer_than_it_may():
    scheduler = DurableScheduler(app=current_app)
    assert scheduler.tick() == 1.0
    entry(interval=3600.0)
    assert scheduler.tick() == 1.0
    entry("fast", interval=0.25)
    scheduler.tick()
    assert 0.01 <= scheduler.tick() <= 0.25
    assert DurableScheduler(app=current_app, max_interval=0.1).tick() <= 0.1


def test_beat_waits_out_an_outage_of_the_database(monkeypatch, caplog, of_settings):
    scheduler = DurableScheduler(app=current_app)
    with monkeypatch.context() as patched:
        patched.setattr(services, "sync", _refuse)
        assert [scheduler.tick() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert "OperationalError: the server is away" in caplog.text
    # Started anew it would do no better.
    assert (scheduler.trouble(), scheduler.hindrance()) == ("", "the database is away")
    of_settings["s"] = {"task": "periodic.ticked", "schedule": 60}
    scheduler.tick()
    assert scheduler.hindrance() == ""
    assert PeriodicTask.objects.get().name == "s"


def test_a_lost_connection_is_no_fault_of_the_entry_that_was_being_served(monkeypatch):
    row = entry()
    away(row, minutes=1)
    scheduler = DurableScheduler(app=current_app)
    with monkeypatch.context() as patched:
        patched.setattr(services, "request", _lose_connection)
        assert scheduler.tick() == 0.5
    row.refresh_from_db()
    assert (row.last_tick_at, row.last_error) == (None, "")
    scheduler.tick()
    assert TaskRun.objects.count() == 1


def _lose_connection(**given: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def _refuse(**given: Any) -> None:
    raise OperationalError("the server is away")


def test_what_was_computed_with_other_time_zone_data_is_computed_anew_when_beat_starts():
    row = entry(interval=3600.0)
    PeriodicTask.objects.update(look_at=database_time() + timedelta(days=9), next_tick_at=None)
    DurableScheduler(app=current_app).tick()
    row.refresh_from_db()
    assert row.look_at == row.next_tick_at == row.schedule.next_after(database_time())
