"""Operators see and operate runs over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction

from apps.core import context
from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks import bulk
from apps.tasks.filters import RunFilter
from apps.tasks.models import BulkOperation, TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

LIST = "/api/v1/tasks"


def ids(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [run["id"] for run in response.json()]


def post(client, address, body=None):
    return client.post(address, body or {}, content_type="application/json")


def test_runs_are_listed_newest_first_and_filtered(admin_client):
    (refused,) = dead()
    noted = succeeded(queue="email")
    assert ids(admin_client.get(LIST)) == [str(noted.pk), str(refused.pk)]
    for query, found in (
        ("state=dead", refused), ("state=dead,cancelled", refused), ("task=workload.note&limit=1", noted),
        ("queue=email", noted), ("error_type=PermanentError", refused), ("error=USE", refused),
        (f"q={noted.pk}", noted), (f"id={noted.pk}", noted), ("q=workload.note", noted),
        (f"correlation_id={refused.pk}", refused), ("worker=run_pending&state=succeeded", noted),
        ("finished_since=2020-01-01T00:00Z&state=succeeded", noted),
    ):  # fmt: skip
        assert ids(admin_client.get(f"{LIST}?{query}")) == [str(found.pk)], query
    assert ids(admin_client.get(f"{LIST}?requested_until=2020-01-01T00:00Z")) == []


def test_pages_follow_each_other_without_gaps_while_new_runs_come_in(admin_client):
    runs = [str(run.pk) for run in waiting(7)]
    address, seen = f"{LIST}?limit=3&state=scheduled", []
    while address:
        response = admin_client.get(address)
        seen += ids(response)
        waiting(1)
        link = response.headers.get("Link", "")
        assert not link or link.endswith('>; rel="next"')
        parts = urlsplit(link.split(">")[0].removeprefix("<"))
        address = f"{parts.path}?{parts.query}" if link else ""
    assert seen == runs[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=gone", "state"), ("limit=0", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"),
        ("finished_since=yesterday", "finished_since"), ("stat=dead", "stat"), ("id=1", "id"),
        ("batch_id=1", "batch_id"),
    ],
)  # fmt: skip
def test_bad_filters_are_refused(admin_client, query, field):
    response = admin_client.get(f"{LIST}?{query}")
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_run_is_shown_with_every_event(admin_client):
    (run,) = dead()
    shown = admin_client.get(f"{LIST}/{run.pk}").json()
    assert [event["type"] for event in shown["events"]] == [
        "task.requested", "task.started", "task.attempt_failed", "task.dead_lettered",
    ]  # fmt: skip
    assert shown["error"]["message"] == "no use"
    assert shown["events"][1]["elapsed"] >= 0
    assert admin_client.get(f"{LIST}/{uuid7()}").status_code == 404


def test_secrets_are_masked(admin_client):
    result = work.echo.delay(api_key="s3cr3t", note="password=s3cr3t")
    run_pending()
    assert TaskRun.objects.get(pk=result.id).kwargs["api_key"] == "s3cr3t"
    for address in (LIST, f"{LIST}/{result.id}"):
        shown = admin_client.get(address).content.decode()
        assert "s3cr3t" not in shown
        assert shown.count("***") >= 2


def test_one_run_is_operated_on(admin_client, admin_user):
    (run,) = dead()
    answer = post(admin_client, f"{LIST}/{run.pk}/redrive")
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    assert read_stream(run.stream)[-1].meta["actor"] == f"user:{admin_user.pk}"
    moment = datetime(2040, 1, 1, tzinfo=UTC)
    answer = post(admin_client, f"{LIST}/{run.pk}/reschedule", {"run_at": moment.isoformat()})
    assert answer.json()["due_at"] == "2040-01-01T00:00:00Z"
    assert post(admin_client, f"{LIST}/{run.pk}/retry").json()["state"] == "scheduled"
    run.refresh_from_db()
    assert run.due_at < moment
    assert post(admin_client, f"{LIST}/{run.pk}/cancel").json()["state"] == "cancelled"
    under_way = running()
    answer = post(admin_client, f"{LIST}/{under_way.pk}/cancel").json()
    assert (answer["state"], answer["cancel_requested"]) == ("running", True)


def test_what_cannot_be_done_is_a_conflict_with_the_reason(admin_client):
    run = succeeded()
    for operation, reason in (
        ("redrive", "only dead and cancelled runs can be redriven"),
        ("retry", "only scheduled runs can be made due"),
        ("cancel", "has ended: it is succeeded"),
        ("reschedule", "only scheduled and queued runs can be rescheduled"),
    ):
        answer = post(admin_client, f"{LIST}/{run.pk}/{operation}", {"run_at": "2040-01-01T00:00Z"})
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/conflict"
        assert answer.json()["detail"].startswith(f"The run {run.pk} ")
        assert reason in answer.json()["detail"]
        assert (
            post(admin_client, f"{LIST}/{uuid7()}/{operation}", {"run_at": "2040-01-01T00:00Z"}).status_code
            == 404
        )
    answer = post(admin_client, f"{LIST}/{run.pk}/reschedule", {"run_at": "soon"})
    assert answer.json()["errors"][0]["field"] == "run_at"


def test_many_runs_are_counted_and_then_operated_on(admin_client):
    runs = dead(3)
    body = {"operation": "redrive", "filter": {"task": ["workload.refused"]}}
    counted = post(admin_client, f"{LIST}/bulk", {**body, "dry_run": True}).json()
    assert (counted["count"], counted["by_state"]) == (3, {"dead": 3})
    assert {run["id"] for run in counted["sample"]} == {str(run.pk) for run in runs}
    assert not BulkOperation.objects.exists()
    more = dead(1)
    done = post(admin_client, f"{LIST}/bulk", {**body, "expected": 3})
    assert done.status_code == 200
    assert (done.json()["done"], done.json()["refused"], done.json()["more"]) == (3, 0, True)
    more[0].refresh_from_db()
    assert more[0].state == State.DEAD
    assert admin_client.get(f"{LIST}/bulk/{done.json()['id']}").json() == done.json()
    assert admin_client.get(f"{LIST}/bulk/{uuid7()}").status_code == 404


def test_very_many_runs_are_operated_on_in_the_background(admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE", 2)
    waiting(3)
    body = {"operation": "reschedule", "filter": {"state": "scheduled"}, "run_at": "2040-01-01T00:00Z"}
    answer = post(admin_client, f"{LIST}/bulk", {**body, "expected": 3})
    assert answer.status_code == 202
    assert answer.json()["finished_at"] is None
    run_pending()
    done = admin_client.get(answer.headers["Location"]).json()
    assert (done["done"], done["actor"]) == (3, f"user:{admin_user.pk}")
    assert TaskRun.objects.filter(due_at=datetime(2040, 1, 1, tzinfo=UTC)).count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"operation": "redrive", "filter": {}}, "expected"),
        ({"operation": "redrive", "expected": 1}, "filter"),
        ({"operation": "delete", "filter": {}, "expected": 1}, "operation"),
        ({"operation": "redrive", "filter": {"state": ["gone"]}, "expected": 1}, "filter.state"),
        ({"operation": "redrive", "filter": {"stat": "dead"}, "expected": 1}, "filter.stat"),
        ({"operation": "reschedule", "filter": {}, "expected": 1}, "run_at"),
        ({"operation": "cancel", "filter": {}, "expected": 1, "run_at": 0}, "run_at"),
        ({"operation": "cancel", "filter": {}, "expected": 0}, "expected"),
    ],
)
def test_bulk_operations_that_are_not_whole_are_refused(admin_client, body, field):
    answer = post(admin_client, f"{LIST}/bulk", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_figures_are_told(admin_client):
    succeeded()
    dead()
    waiting()
    settle()
    found = admin_client.get(f"{LIST}/stats?window=5m").json()
    assert found["window"] == "5m"
    (default,) = (one for one in found["queues"] if one["queue"] == "default")
    assert (default["scheduled"], default["due"], default["dead"]) == (1, 0, 1)
    (note,) = (one for one in found["activity"] if one["task"] == "workload.note")
    assert note["events"]["task.succeeded"] == 1
    assert note["rates"]["task.succeeded"] == pytest.approx(1 / note["seconds"])
    assert note["failure_rate"] == 0
    assert note["duration"]["count"] == 1
    assert 0 < note["duration"]["p50"] <= note["duration"]["p95"]
    assert [one["task"] for one in found["tasks"]] == ["workload.note", "workload.refused"]
    assert {one["task"]: one["events"] for one in found["totals"]}["workload.refused"][
        "task.dead_lettered"
    ] == 1
    assert admin_client.get(f"{LIST}/stats?window=2m").json()["errors"][0]["field"] == "window"


def test_operating_is_for_staff(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("somebody", password="x"))
    (run,) = waiting()
    for address in (f"{LIST}/stats", f"{LIST}/bulk/{run.pk}"):
        assert client.get(address).status_code == 403
    for address in ("redrive", "retry", "cancel", "reschedule"):
        assert post(client, f"{LIST}/{run.pk}/{address}").status_code == 403
    assert post(client, f"{LIST}/bulk").status_code == 403
    assert timedelta(0) < TaskRun.objects.get().due_at - run.requested_at


def test_users_see_the_runs_that_they_asked_for_and_no_others(client, admin_client, new_user):
    ann, bob = new_user(), new_user()
    runs = {}
    for actor in (f"user:{ann.pk}", f"user:{bob.pk}", f"user:{ann.pk}0", "system", ""):
        with context.bind(actor=actor):
            (runs[actor],) = waiting()
    client.force_login(ann)
    own = runs[f"user:{ann.pk}"].pk
    assert ids(client.get(LIST)) == ids(client.get(f"{LIST}?state=scheduled")) == [str(own)]
    for actor, run in runs.items():
        expected = 200 if run.pk == own else 404
        assert client.get(f"{LIST}/{run.pk}").status_code == expected, actor
        assert ids(client.get(f"{LIST}?id={run.pk}")) == ([str(own)] if run.pk == own else [])
    assert len(ids(admin_client.get(LIST))) == len(runs)


def test_a_users_runs_are_found_by_their_index_in_order():
    with transaction.atomic(), connection.cursor() as cursor:
        # Of so few rows any plan is as good.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = RunFilter(actor="user:7").runs()[:50].explain()
    assert "using tasks_taskrun_actor" in plan
    assert "Sort" not in plan
