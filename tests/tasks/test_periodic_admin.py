"""Operators see, edit, switch and run periodic tasks, in the admin and over HTTP."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from apps.tasks.models import PeriodicTask, TaskRun
from apps.tasks.models.periodic import Origin
from apps.tasks.periodic import services, ticking
from apps.tasks.testing import run_pending

pytestmark = pytest.mark.django_db

BOARD = reverse("admin:tasks_periodictask_changelist")
ADD = reverse("admin:tasks_periodictask_add")

FORM = {
    "name": "nightly",
    "enabled": "on",
    "task": "workload.note",
    "args": '["a"]',
    "kwargs": "",
    "queue": "",
    "priority": "",
    "options": "",
    "interval": "",
    "crontab": "0  4 * * *",
    "timezone": "Europe/Berlin",
    "misfire": "once",
    "misfire_grace": "",
}


def change(row: PeriodicTask) -> str:
    return reverse("admin:tasks_periodictask_change", args=[row.pk])


def act(client, action: str, *rows: PeriodicTask) -> str:
    answer = client.post(
        BOARD, {"action": action, "_selected_action": [str(row.pk) for row in rows]}, follow=True
    )
    return answer.content.decode()


def history(row: PeriodicTask) -> list[str]:
    entries = LogEntry.objects.filter(object_id=str(row.pk)).order_by("pk")
    return [entry.get_change_message() for entry in entries]


@pytest.fixture
def row(admin_client) -> PeriodicTask:
    assert admin_client.post(ADD, FORM).status_code == 302
    return PeriodicTask.objects.get()


@pytest.fixture
def of_settings() -> PeriodicTask:
    services.sync(entries={"fixed": {"task": "workload.note", "args": ["s"], "schedule": 60}}, timezone="UTC")
    return PeriodicTask.objects.get(name="fixed")


def test_an_entry_is_made_in_the_admin(row):
    assert (row.origin, row.task, row.args, row.kwargs, row.options) == (
        Origin.ADMIN, "workload.note", ["a"], {}, {},
    )  # fmt: skip
    assert row.schedule_text == "0 4 * * * (Europe/Berlin)"
    assert (row.priority, row.misfire_grace, row.queue) == (None, None, "")
    assert row.next_tick_at is not None
    assert list(ticking.served()) == [row]
    assert history(row) == ["Added."]


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"crontab": "61 * * * *"}, "crontab", "minute '61': Invalid end range: 61 > 59."),
        ({"crontab": ""}, "interval", "one of them, and not both"),
        ({"interval": "5"}, "interval", "one of them, and not both"),
        ({"crontab": "", "interval": "0.01"}, "interval", "an interval is 0.1 to 31622400 seconds long"),
        ({"timezone": "Mars"}, "timezone", "there is no time zone 'Mars'."),
        ({"task": "workload.gone"}, "task", "workload.gone is not one of the available choices."),
        ({"args": "[]"}, "kwargs", "workload.note does not take these arguments"),
        ({"args": '["a", 1, 2, 3]'}, "args", "workload.note does not take these arguments"),
        ({"kwargs": '{"color": 1}'}, "kwargs", "unexpected keyword argument 'color'"),
        ({"args": '{"name": 1}'}, "args", "Must be a JSON list."),
        ({"kwargs": "[1]"}, "kwargs", "Must be a JSON object."),
        ({"args": "[1"}, "args", "Enter a valid JSON."),
        ({"options": '{"eta": 1}'}, "options", "Not an option of an entry: eta. There are: concurrency_key"),
        ({"options": '{"rate_key": "k", "rate": "often"}'}, "options", "often"),
        ({"options": '{"unique_for": 5}'}, "options", "unique_for and unique_states need a unique_key"),
        ({"misfire_grace": "0.2"}, "misfire_grace", "A grace is at least 1 second."),
        ({"queue": "gone"}, "queue", "gone is not one of the available choices."),
    ],
)
def test_an_entry_that_beat_could_not_serve_is_refused_with_the_field_at_fault(
    admin_client, given: dict[str, str], field: str, message: str
):
    answer = admin_client.post(ADD, FORM | given)
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert message in unescape(answer.content.decode())
    assert not PeriodicTask.objects.exists()
    assert not TaskRun.objects.exists()


def test_a_name_that_is_taken_is_refused(admin_client, row):
    for name in ("nightly", *current_app.conf.beat_schedule):
        answer = admin_client.post(ADD, FORM | {"name": name})
        assert "name" in answer.context["adminform"].form.errors


def test_an_edit_is_kept_with_its_history(admin_client, row):
    # As a browser sends what it was shown.
    shown = {"initial-args": '["a"]', "initial-kwargs": "{}", "initial-options": "{}"}
    edited = FORM | {
        **shown,
        "kwargs": "{}",
        "options": "{}",
        "name": "other",
        "crontab": "",
        "interval": "1.5",
        "misfire": "all",
        "misfire_grace": "30",
    }
    assert admin_client.post(change(row), edited).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.schedule_text, row.misfire, row.misfire_grace) == (
        "nightly",
        "every 1.5 s",
        "all",
        30,
    )
    assert row.revision == 2
    assert history(row)[1] == "Changed Interval, Crontab, Misfire and Misfire grace."


def test_an_entry_of_the_settings_can_only_be_switched(admin_client, of_settings):
    page = admin_client.get(change(of_settings)).content.decode()
    assert 'name="enabled"' in page
    assert 'name="crontab"' not in page
    assert (
        admin_client.post(change(of_settings), {"task": "workload.long", "interval": "1"}).status_code == 302
    )
    of_settings.refresh_from_db()
    assert (of_settings.enabled, of_settings.task, of_settings.interval) == (False, "workload.note", 60.0)
    assert list(ticking.served()) == []
    assert history(of_settings) == ["Changed Enabled."]


def test_only_entries_that_the_settings_do_not_hold_can_be_deleted(admin_client, row, of_settings):
    def delete(entry: PeriodicTask) -> int:
        address = reverse("admin:tasks_periodictask_delete", args=[entry.pk])
        status: int = admin_client.post(address, {"post": "yes"}).status_code
        return status

    assert delete(row) == 302
    assert delete(of_settings) == 403
    services.sync(entries={}, timezone="UTC")
    assert "settings (gone)" in admin_client.get(BOARD).content.decode()
    assert delete(of_settings) == 302
    assert not PeriodicTask.objects.exists()
    assert "delete_selected" not in admin_client.get(BOARD).content.decode()


def test_a_broken_entry_of_the_settings_can_be_seen_and_switched_off(admin_client):
    services.sync(entries={"broken": {"task": "workload.gone", "schedule": "x"}}, timezone="UTC")
    broken = PeriodicTask.objects.get()
    assert "no durable task" in admin_client.get(change(broken)).content.decode()
    assert "five fields" in admin_client.get(BOARD).content.decode()
    assert admin_client.post(change(broken), {}).status_code == 302
    broken.refresh_from_db()
    assert not broken.enabled


def test_the_actions_run_enable_and_disable(admin_client, admin_user, row, of_settings):
    assert "2 runs requested." in act(admin_client, "run_now", row, of_settings)
    runs = TaskRun.objects.all()
    assert sorted(run.args[0] for run in runs) == ["a", "s"]
    assert {run.meta["actor"] for run in runs} == {f"user:{admin_user.pk}"}
    assert "2 periodic tasks disabled." in act(admin_client, "disable", row, of_settings)
    assert list(ticking.served()) == []
    assert "1 periodic tasks enabled." in act(admin_client, "enable", row)
    assert "0 periodic tasks enabled." in act(admin_client, "enable", row)
    row.refresh_from_db()
    assert history(row) == ["Added.", f"Run {row.last_run} requested.", "Disabled.", "Enabled."]


def test_an_entry_that_cannot_be_run_says_why(admin_client, row):
    PeriodicTask.objects.update(task="workload.gone")
    page = act(admin_client, "run_now", row)
    assert "Periodic task nightly: no durable task 'workload.gone' is registered" in unescape(page)
    assert "0 runs requested." in page
    assert "workload.gone" in admin_client.get(change(row)).content.decode()


def test_the_board_shows_the_last_run_with_its_state(admin_client, row):
    run_id = services.run_now(entry=row)
    link = f'<a href="{reverse("admin:tasks_taskrun_change", args=[run_id])}">'
    assert f"{link}scheduled</a>" in admin_client.get(BOARD).content.decode()
    run_pending()
    assert f"{link}succeeded</a>" in admin_client.get(BOARD).content.decode()
    assert f"{link}succeeded</a>" in admin_client.get(change(row)).content.decode()


def test_only_those_with_the_permission_may_act(client, django_user_model, row):
    user = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    client.force_login(user)
    assert "nightly" in client.get(BOARD).content.decode()
    act(client, "run_now", row)
    act(client, "disable", row)
    assert client.post(change(row), FORM).status_code == 403
    assert not TaskRun.objects.exists()
    assert list(ticking.served()) == [row]


def test_the_api_lists_entries_with_their_last_run(admin_client, row, of_settings):
    run_id = services.run_now(entry=row)
    fixed, nightly = admin_client.get("/api/v1/periodic").json()
    assert (fixed["name"], fixed["origin"], fixed["schedule"]) == ("fixed", "settings", "every 60 s")
    assert (fixed["last_run"], fixed["enabled"], fixed["left_out"]) == (None, True, 0)
    assert nightly["schedule"] == "0 4 * * * (Europe/Berlin)"
    assert nightly["next_tick_at"].endswith("Z")
    assert (nightly["last_run"]["id"], nightly["last_run"]["state"]) == (str(run_id), "scheduled")


@pytest.mark.parametrize(("staff", "status"), [(True, 200), (False, 403)])
def test_the_api_is_for_staff(client, django_user_model, staff: bool, status: int):
    client.force_login(django_user_model.objects.create_user("somebody", password="x", is_staff=staff))
    answer: Any = client.get("/api/v1/periodic")
    assert answer.status_code == status
