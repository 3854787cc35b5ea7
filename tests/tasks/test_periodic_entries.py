"""Entries of the settings and of the admin: how they are read, checked, kept and switched."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from celery import schedules
from django.conf import settings as configured
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.tasks.models import PeriodicTask, TaskRun
from apps.tasks.models.periodic import Origin
from apps.tasks.periodic import definitions, selectors, services, ticking, validation
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = pytest.mark.django_db


def entry(**fields: Any) -> PeriodicTask:
    given = {"name": "e", "task": "workload.note", "args": ["a"], "interval": 60.0} | fields
    return PeriodicTask(**given)


def kept(**fields: Any) -> PeriodicTask:
    row = entry(**fields)
    services.save(entry=row)
    return PeriodicTask.objects.get(pk=row.pk)


def sync(**entries: Any) -> dict[str, PeriodicTask]:
    services.sync(entries=entries, timezone="Europe/Berlin")
    return {row.name: row for row in PeriodicTask.objects.all()}


NOTE = {"task": "workload.note", "args": ("a",)}


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        (30, "every 30 s"),
        (0.5, "every 0.5 s"),
        (timedelta(minutes=5), "every 300 s"),
        (schedules.schedule(10), "every 10 s"),
        (schedules.crontab(minute="*/5", day_of_week="mon-fri"), "*/5 * * * mon-fri (Europe/Berlin)"),
        ("0  4 1 * *", "0 4 1 * * (Europe/Berlin)"),
    ],
)
def test_every_form_of_a_schedule_in_the_settings_is_read(schedule: Any, shown: str):
    row, mistakes = definitions.read("e", NOTE | {"schedule": schedule}, timezone="Europe/Berlin")
    assert (row.schedule_text, mistakes) == (shown, [])


def test_an_entry_of_the_settings_is_read_with_all_its_keys():
    row, mistakes = definitions.read(
        "e",
        {
            "task": "workload.note",
            "schedule": schedules.crontab(hour=4, minute=0),
            "args": ["a"],
            "kwargs": {"seconds": 0.5},
            "options": {"queue": "email", "priority": 3, "max_attempts": 2},
            "timezone": "Asia/Tokyo",
            "misfire": "all",
            "misfire_grace": 30,
            "enabled": False,
        },
        timezone="UTC",
    )
    assert mistakes == []
    assert (row.args, row.kwargs, row.options) == (["a"], {"seconds": 0.5}, {"max_attempts": 2})
    assert row.call_options == {"queue": "email", "priority": 3, "max_attempts": 2}
    assert (row.crontab, row.timezone) == ("0 4 * * *", "Asia/Tokyo")
    assert (row.misfire, row.misfire_grace, row.enabled) == ("all", 30.0, False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing", "an entry is a dictionary, not str"),
        (NOTE, "schedule: missing"),
        (NOTE | {"schedule": "* * *"}, "crontab: a crontab expression has five fields"),
        (NOTE | {"schedule": "61 * * * *"}, "crontab: minute '61': Invalid end range"),
        (NOTE | {"schedule": 0}, "interval: an interval is 0.1 to"),
        (NOTE | {"schedule": True}, "schedule: expected seconds"),
        (NOTE | {"schedule": schedules.BaseSchedule()}, "schedule: expected seconds"),
        (NOTE | {"schedule": schedules.schedule(60, relative=True)}, "schedule: intervals count from 1970"),
        (NOTE | {"schedule": 60, "relative": True}, "relative: intervals count from 1970"),
        (NOTE | {"schedule": 60, "timezone": "Mars"}, "timezone: there is no time zone 'Mars'."),
        (NOTE | {"schedule": 60, "misfire": "never"}, "misfire: 'never' is none of skip, once, all."),
        (NOTE | {"schedule": 60, "misfire_grace": "soon"}, "misfire_grace: could not convert"),
        (NOTE | {"schedule": 60, "misfire_grace": 0.5}, "misfire_grace: A grace is at least 1 second."),
        (NOTE | {"schedule": 60, "msifire": "all"}, "msifire: not known here; known are task, schedule"),
        (NOTE | {"schedule": 60, "args": 5}, "args: 'int' object is not iterable"),
        (NOTE | {"schedule": 60, "args": [object()]}, "args: must be JSON: Object of type object"),
        ({"task": "workload.gone", "schedule": 60}, "task: no durable task 'workload.gone' is registered."),
        ({"task": "celery.backend_cleanup", "schedule": 60}, "task: no durable task"),
        ({"task": "workload.note", "schedule": 60}, "kwargs: workload.note does not take these arguments"),
        (NOTE | {"schedule": 60, "options": {"queue": "gone"}}, "queue: There is no queue 'gone'"),
        (
            NOTE | {"schedule": 60, "options": {"countdown": 5}},
            "options: Not an option of an entry: countdown.",
        ),
        (
            NOTE | {"schedule": 60, "options": {"max_attempts": 0}},
            "options: workload.note: max_attempts must",
        ),
        (NOTE | {"schedule": 60, "options": {"priority": 99_999}}, "priority: A priority lies between"),
    ],
)
def test_a_broken_entry_of_the_settings_is_kept_with_its_error_and_not_served(
    given: Any, message: str, caplog
):
    rows = sync(broken=given, sound=NOTE | {"schedule": 60})
    assert message in rows["broken"].last_error
    assert "periodic entry broken of the settings is not served" in caplog.text
    assert [row.name for row in ticking.served()] == ["sound"]
    assert not TaskRun.objects.exists()


def test_a_name_that_is_no_string_and_args_of_any_sequence_are_written_as_json():
    services.sync(entries={7: {"task": "workload.note", "args": ("a",), "schedule": 9}}, timezone="UTC")
    row = PeriodicTask.objects.get()
    assert (row.name, row.args, row.last_error) == ("7", ["a"], "")


def test_the_projects_own_entries_can_be_served():
    for name, given in configured.CELERY_BEAT_SCHEDULE.items():
        assert definitions.read(name, given, timezone="UTC")[1] == []


def test_a_sync_that_changes_nothing_leaves_the_revision_alone():
    sync(a=NOTE | {"schedule": 60})
    assert sync(a=NOTE | {"schedule": 60})["a"].revision == 1
    assert sync(a=NOTE | {"schedule": 61})["a"].revision == 2


def test_an_operators_switch_outlives_the_next_start_of_beat():
    row = sync(a=NOTE | {"schedule": 60})["a"]
    assert services.switch(entry=row, enabled=False)
    changed = sync(a=NOTE | {"schedule": 61})["a"]
    assert (changed.enabled, changed.interval) == (False, 61.0)
    assert list(ticking.served()) == []


def test_an_entry_that_the_settings_do_not_hold_any_more_is_retired_and_may_come_back():
    first = sync(a=NOTE | {"schedule": 60}, b=NOTE | {"schedule": 60})["a"]
    services.switch(entry=first, enabled=False)
    gone = sync(b=NOTE | {"schedule": 60})["a"]
    assert gone.retired_at is not None
    assert [row.name for row in ticking.served()] == ["b"]
    back = sync(a=NOTE | {"schedule": 60}, b=NOTE | {"schedule": 60})["a"]
    assert (back.retired_at, back.enabled) == (None, False)
    assert back.counts_from > gone.counts_from


def test_a_broken_entry_that_was_mended_in_the_settings_is_served_again():
    sync(a=NOTE | {"schedule": "x"})
    mended = sync(a=NOTE | {"schedule": 60})["a"]
    assert (mended.last_error, mended.last_error_at) == ("", None)
    assert [row.name for row in ticking.served()] == ["a"]


def test_a_name_that_an_entry_of_the_admin_has_stays_with_it(caplog):
    kept(name="a", interval=5.0)
    row = sync(a=NOTE | {"schedule": 60})["a"]
    assert (row.origin, row.interval) == (Origin.ADMIN, 5.0)
    assert "an entry of the admin has that name" in caplog.text


def test_an_edit_counts_ticks_from_now_only_if_it_is_about_time():
    row = kept()
    past = timezone.now() - timedelta(hours=1)
    PeriodicTask.objects.update(counts_from=past)

    def edited(**fields: Any) -> PeriodicTask:
        changed = PeriodicTask.objects.get(pk=row.pk)
        for field, value in fields.items():
            setattr(changed, field, value)
        services.save(entry=changed)
        return PeriodicTask.objects.get(pk=row.pk)

    assert edited(args=["b"]).counts_from == past
    assert edited(enabled=False).counts_from == past
    assert edited(enabled=True).counts_from > past
    PeriodicTask.objects.update(counts_from=past)
    assert edited(interval=None, crontab="* * * * *").counts_from > past
    PeriodicTask.objects.update(counts_from=past)
    last = edited(timezone="Asia/Tokyo")
    assert last.counts_from > past
    assert last.revision == 6


def test_an_edit_leaves_alone_what_beat_wrote_meanwhile():
    row = kept()
    now = timezone.now()
    PeriodicTask.objects.update(last_tick_at=now, left_out=7)
    row.args = ["b"]
    services.save(entry=row)
    row.refresh_from_db()
    assert (row.args, row.last_tick_at, row.left_out) == (["b"], now, 7)


def test_an_entry_shows_its_next_tick_while_it_is_on():
    row = kept(interval=None, crontab="0 4 * * *", timezone="Europe/Berlin")
    assert row.next_tick_at is not None
    assert row.next_tick_at == row.schedule.next_after(row.counts_from)
    assert services.switch(entry=row, enabled=False)
    row.refresh_from_db()
    assert row.next_tick_at is None
    assert not services.switch(entry=row, enabled=False)


def test_run_now_requests_a_run_apart_from_the_schedule():
    row = kept(enabled=False, queue="email", options={"max_attempts": 2})
    run_id = services.run_now(entry=row, actor="user:1")
    run = TaskRun.objects.get(pk=run_id)
    assert (run.task, run.args, run.queue, run.max_attempts) == ("workload.note", ["a"], "email", 2)
    assert run.meta == {"actor": "user:1"}
    (shown,) = selectors.entries()
    assert (shown.last_run, shown.last_run_state) == (run_id, "scheduled")
    run_pending()
    (shown,) = selectors.entries()
    assert (shown.last_run_state, shown.last_run_at) == ("succeeded", run.requested_at)
    assert (shown.last_tick_at, shown.enabled) == (None, False)


def test_run_now_says_why_it_cannot():
    row = kept(task="workload.gone")
    with pytest.raises(LookupError, match=r"no durable task 'workload\.gone'"):
        services.run_now(entry=row)
    with pytest.raises(TypeError):
        services.run_now(entry=kept(name="f", args=[]))


def test_checking_an_entry_leaves_no_run_behind():
    assert validation.problems(entry(options={"unique_key": "k", "expires": 60})) == {}
    assert not TaskRun.objects.exists()


def test_the_tasks_to_choose_from_are_the_durable_ones():
    tasks = validation.durable_tasks()
    assert {"workload.note", "tasks.reconcile_orphans", "candles.sync_all"} <= tasks.keys()
    assert not any(name.startswith("celery.") for name in tasks)
    assert tasks["workload.note"].name == work.note.name


@pytest.mark.parametrize(
    "fields",
    [{"crontab": "* * * * *"}, {"interval": 0.01}, {"misfire": "x"}, {"misfire_grace": 0.1}, {"origin": "x"}],
)
def test_the_database_refuses_rows_that_beat_could_not_serve(fields: dict[str, Any]):
    row = kept()
    with pytest.raises(IntegrityError), transaction.atomic():
        PeriodicTask.objects.filter(pk=row.pk).update(**fields)


@pytest.fixture(autouse=True)
def logs(caplog) -> None:
    caplog.set_level(logging.INFO, logger="apps.tasks.periodic")
