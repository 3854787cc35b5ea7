"""Operators see runs and their timelines, over HTTP and in the admin."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture
def dead():
    result = work.refused.delay()
    run_pending()
    return TaskRun.objects.get(pk=result.id)


def test_the_api_lists_runs_newest_first_and_filters_them(admin_client, dead):
    work.note.delay("a")
    run_pending()
    everything = admin_client.get("/api/v1/tasks").json()
    assert [run["task"] for run in everything] == ["workload.note", "workload.refused"]
    assert [run["id"] for run in admin_client.get("/api/v1/tasks?state=dead").json()] == [str(dead.pk)]
    assert len(admin_client.get("/api/v1/tasks?task=workload.note&limit=1").json()) == 1


@pytest.mark.parametrize(
    ("query", "field"), [("state=gone", "state"), ("limit=0", "limit"), ("limit=x", "limit")]
)
def test_the_api_refuses_bad_filters(admin_client, query, field):
    response = admin_client.get(f"/api/v1/tasks?{query}")
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_the_api_shows_a_run_with_every_event(admin_client, dead):
    shown = admin_client.get(f"/api/v1/tasks/{dead.pk}").json()
    assert [event["type"] for event in shown["events"]] == [
        "task.requested", "task.started", "task.attempt_failed", "task.dead_lettered",
    ]  # fmt: skip
    assert shown["error"]["message"] == "no use"
    assert shown["events"][1]["elapsed"] >= 0
    assert admin_client.get(f"/api/v1/tasks/{uuid7()}").status_code == 404


def test_the_admin_shows_a_run_with_its_timeline(admin_client, dead):
    board = admin_client.get(reverse("admin:tasks_taskrun_changelist"))
    assert str(dead.pk) in board.content.decode()
    page = admin_client.get(reverse("admin:tasks_taskrun_change", args=[dead.pk])).content.decode()
    for event in read_stream(dead.stream):
        assert event.type in page
    assert "PermanentError: no use" in page
    assert "run_pending" in page


def test_the_admin_never_edits_rows(admin_client, dead):
    page = reverse("admin:tasks_taskrun_change", args=[dead.pk])
    assert admin_client.post(page, {"state": "succeeded"}).status_code == 403
    assert admin_client.get(reverse("admin:tasks_taskrun_add")).status_code == 403
    assert admin_client.post(reverse("admin:tasks_taskrun_delete", args=[dead.pk])).status_code == 403


def act(client, action: str, *runs: TaskRun) -> str:
    response = client.post(
        reverse("admin:tasks_taskrun_changelist"),
        {"action": action, "_selected_action": [str(run.pk) for run in runs]},
        follow=True,
    )
    return response.content.decode()


def test_the_admin_redrives_and_cancels(admin_client, admin_user, dead):
    assert "1 runs redriven." in act(admin_client, "redrive", dead)
    dead.refresh_from_db()
    assert dead.state == State.SCHEDULED
    assert read_stream(dead.stream)[-1].meta["actor"] == f"user:{admin_user.pk}"
    assert "1 runs cancelled." in act(admin_client, "cancel", dead)
    dead.refresh_from_db()
    assert dead.state == State.CANCELLED
    assert "has ended" in act(admin_client, "cancel", dead)


def test_only_those_with_the_permission_may_act(client, django_user_model, dead):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_taskrun"))
    client.force_login(user)
    assert str(dead.pk) in client.get(reverse("admin:tasks_taskrun_changelist")).content.decode()
    act(client, "redrive", dead)
    dead.refresh_from_db()
    assert dead.state == State.DEAD
