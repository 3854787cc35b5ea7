"""Operators find, look at and operate runs in the admin."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from apps.core import context
from apps.core.admin.paging import BoundedPaginator
from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks import batches, bulk, depths
from apps.tasks.admin.chart import HEIGHT, chart
from apps.tasks.models import BulkOperation, Step, TaskRun
from apps.tasks.states import State
from apps.tasks.stats import Minute
from apps.tasks.testing import run_pending
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

BOARD = reverse("admin:tasks_taskrun_changelist")
OPERATE = reverse("admin:tasks_taskrun_operate")
QUEUES = reverse("admin:tasks_taskrun_queues")


def page_of(run: TaskRun) -> str:
    return reverse("admin:tasks_taskrun_change", args=[run.pk])


def listed(client, **query) -> list[str]:
    response = client.get(BOARD, query)
    assert response.status_code == 200
    return [str(run.pk) for run in response.context["cl"].result_list]


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return unescape(found.group(1))


def select(client, action: str, *runs: TaskRun, **more):
    data = {"action": action, "_selected_action": [str(run.pk) for run in runs], **more}
    return client.post(BOARD, data).content.decode()


def confirm(client, page: str, **more) -> str:
    names = ("operation", "selection", "expected", "run")
    data = {name: field(page, name) for name in names}
    return client.post(OPERATE, {**data, **more}, follow=True).content.decode()


def test_the_board_finds_runs_by_every_condition(admin_client):
    (refused,) = dead()
    noted = succeeded(queue="email", unique_key="digest:7")
    under_way = running(worker="w9")
    with context.bind(correlation_id="req-1"):
        (later,) = waiting(group_key="user-1")
    batch = uuid7()
    TaskRun.objects.filter(pk=noted.pk).update(batch_id=batch)
    assert len(listed(admin_client)) == 4
    for query, found in (
        ({"state": "dead"}, refused), ({"queue": "email"}, noted), ({"task": "workload.refused"}, refused),
        ({"error_type": "PermanentError"}, refused), ({"worker": "w9"}, under_way),
        ({"correlation_id": "req-1"}, later), ({"batch_id": str(batch)}, noted),
        ({"requested": "1h", "state": "scheduled"}, later), ({"finished": "24h", "queue": "email"}, noted),
        ({"q": str(noted.pk)}, noted), ({"q": "digest"}, noted), ({"q": "user-1"}, later),
        ({"q": "workload.refused"}, refused), ({"q": "req-1"}, later), ({"q": str(batch)}, noted),
    ):  # fmt: skip
        assert listed(admin_client, **query) == [str(found.pk)], query
    assert listed(admin_client, q="nothing") == listed(admin_client, batch_id="x") == []
    assert len(listed(admin_client, worker="")) == 4
    # Whatever selects runs must be known to operations on all of them.
    assert admin_client.get(BOARD, {"state__exact": "dead"}).status_code == 400


def test_the_board_takes_few_queries_and_counts_to_a_bound(
    admin_client, django_assert_max_num_queries, monkeypatch
):
    waiting(12)
    dead(2)
    with django_assert_max_num_queries(15) as seen:
        text = admin_client.get(BOARD, {"state": "scheduled"}).content.decode()
    assert "12 task runs" in text
    assert not [one["sql"] for one in seen if "COUNT(*)" in one["sql"] and "LIMIT" not in one["sql"]]
    monkeypatch.setattr(BoundedPaginator, "bound", 10)
    text = admin_client.get(BOARD, {"state": "scheduled"}).content.decode()
    assert "more than 10 task runs" in text
    # Sorting by a column is not offered, and not done.
    assert listed(admin_client, o="3.1") == listed(admin_client)


def test_a_page_of_long_lists_reads_no_arguments_and_no_traces(admin_client):
    dead()
    work.echo.delay(text="large" * 100)
    run_pending()
    (run, *_) = admin_client.get(BOARD).context["cl"].result_list
    assert {"args", "kwargs", "result", "error", "meta"} <= run.get_deferred_fields()


def test_a_run_is_shown_with_its_timeline(admin_client):
    (run,) = dead()
    page = admin_client.get(page_of(run)).content.decode()
    for event in read_stream(run.stream):
        assert event.type in page
    assert "PermanentError: no use" in page
    assert "run_pending" in page
    assert "Redrive …" in page
    assert "Cancel …" not in page
    assert admin_client.get(page_of(TaskRun(pk=uuid7())), follow=True).status_code == 200


def test_a_running_run_shows_how_far_it_is(admin_client):
    run = running()
    TaskRun.objects.filter(pk=run.pk).update(progress={"done": 3, "total": 12, "message": "chunk 3"})
    page = admin_client.get(page_of(run)).content.decode()
    assert 'value="0.250"' in page
    assert "25.0 %" in page
    assert "chunk 3" in page
    assert 'value="0.250"' in admin_client.get(BOARD).content.decode()


def test_a_run_leads_to_what_has_to_do_with_it(admin_client):
    with context.bind(correlation_id="req-7"):
        work.chain.delay(names=["a", "b", "c"])
    first, second, third = run_pending()
    page = admin_client.get(page_of(TaskRun(pk=second))).content.decode()
    parts = re.split(r"<h2>(Requested by|What it requested|What else came of the same cause)</h2>", page)
    assert parts[1::2] == ["Requested by", "What it requested"]
    assert str(first) in parts[2]
    assert str(third) in parts[4]
    page = admin_client.get(page_of(TaskRun(pk=first))).content.decode()
    assert "What else came of the same cause" in page


def test_a_run_shows_its_batch_its_steps_and_what_follows_it(admin_client):
    batch = batches.batch_request([work.note.si("a").set(link=work.note.si("b"))])
    run = TaskRun.objects.get(batch_id=batch.pk)
    Step.objects.create(
        run_id=run.pk, name="place order", started_at=run.requested_at, finished_at=run.requested_at,
        result={"order": 7, "token": "s3cr3t"},
    )  # fmt: skip
    page = admin_client.get(page_of(run)).content.decode()
    assert reverse("admin:tasks_batch_change", args=[batch.pk]) in page
    assert "What follows its end" in page
    assert "place order" in page
    assert "s3cr3t" not in page


def test_secrets_are_masked(admin_client):
    result = work.echo.delay(password="s3cr3t")
    run_pending()
    page = admin_client.get(page_of(TaskRun(pk=result.id))).content.decode()
    assert "s3cr3t" not in page
    assert "***" in page


def test_rows_are_never_edited(admin_client):
    (run,) = dead()
    assert admin_client.post(page_of(run), {"state": "succeeded"}).status_code == 403
    assert admin_client.get(reverse("admin:tasks_taskrun_add")).status_code == 403
    assert admin_client.post(reverse("admin:tasks_taskrun_delete", args=[run.pk])).status_code == 403


def test_selected_runs_are_shown_before_anything_is_done(admin_client, admin_user):
    run, other = dead(2)
    page = select(admin_client, "redrive", run)
    assert "Redrive: 1 run" in page
    assert str(run.pk) in page
    run.refresh_from_db()
    assert run.state == State.DEAD
    assert "Redrive: 1 run done." in confirm(admin_client, page)
    run.refresh_from_db()
    other.refresh_from_db()
    assert (run.state, other.state) == (State.SCHEDULED, State.DEAD)
    assert read_stream(run.stream)[-1].meta["actor"] == f"user:{admin_user.pk}"
    assert "Cancel: 1 run done." in confirm(admin_client, select(admin_client, "cancel", run))
    page = confirm(admin_client, select(admin_client, "cancel", run, other))
    assert "1 refused: has ended: it is cancelled" in page
    assert "1 refused: has ended: it is dead" in page


def test_the_buttons_of_a_run_lead_back_to_it(admin_client):
    (run,) = waiting()
    page = admin_client.get(OPERATE, {"operation": "retry", "run": str(run.pk)}).content.decode()
    text = confirm(admin_client, page)
    assert "Retry now: 1 run done." in text
    assert f"Run {run.pk}" in text
    assert read_stream(run.stream)[-1].type == "task.rescheduled"
    page = admin_client.get(OPERATE, {"operation": "reschedule", "run": str(run.pk)}).content.decode()
    confirm(admin_client, page, run_at="2040-01-02T03:04:05")
    run.refresh_from_db()
    assert run.due_at == datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_all_that_match_are_counted_and_operated_on(admin_client):
    runs = dead(3)
    waiting()
    board = admin_client.get(BOARD, {"task": "workload.refused"}).content.decode()
    assert '<input type="hidden" name="task" value="workload.refused">' in board
    page = admin_client.get(OPERATE, {"operation": "redrive", "task": "workload.refused"}).content.decode()
    assert "Redrive: 3 runs" in page
    later = dead(1)
    assert "Nothing was done to them" in confirm(admin_client, page)
    assert {TaskRun.objects.get(pk=run.pk).state for run in runs} == {State.SCHEDULED}
    assert TaskRun.objects.get(pk=later[0].pk).state == State.DEAD
    ordered = BulkOperation.objects.get()
    listing = admin_client.get(reverse("admin:tasks_bulkoperation_changelist")).content.decode()
    assert "task workload.refused" in listing
    detail = admin_client.get(reverse("admin:tasks_bulkoperation_change", args=[ordered.pk]))
    assert "done at once" in detail.content.decode()
    assert (
        "is in a state for it"
        in admin_client.get(OPERATE, {"operation": "redrive", "queue": "email"}).content.decode()
    )


def test_a_selection_across_pages_is_the_whole_filter(admin_client):
    dead(3)
    page = admin_client.post(
        f"{BOARD}?state=dead",
        {"action": "redrive", "select_across": "1", "_selected_action": [str(TaskRun.objects.first().pk)]},
    ).content.decode()
    assert "Redrive: 3 runs" in page
    assert "state dead" in page


def test_large_operations_go_to_the_background(admin_client, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE", 1)
    dead(2)
    page = admin_client.get(OPERATE, {"operation": "redrive"}).content.decode()
    assert "A task does it in the background" in page
    assert "are being dealt with by" in confirm(admin_client, page)
    run_pending()
    assert BulkOperation.objects.get().done == 2


def test_only_those_with_the_permission_may_operate(client, django_user_model):
    (run,) = dead()
    user = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_taskrun"))
    client.force_login(user)
    board = client.get(BOARD).content.decode()
    assert str(run.pk) in board
    assert "All that match" not in board
    assert "Redrive …" not in client.get(page_of(run)).content.decode()
    assert client.get(QUEUES).status_code == 200
    assert "expected" not in select(client, "redrive", run)
    assert client.get(OPERATE, {"operation": "redrive"}).status_code == 403
    data = {"operation": "redrive", "selection": "{}", "expected": "1"}
    assert client.post(OPERATE, data).status_code == 403
    run.refresh_from_db()
    assert run.state == State.DEAD


@pytest.mark.parametrize("query", [{}, {"operation": "delete"}, {"operation": "redrive", "run": "x"}])
def test_operations_that_make_no_sense_are_refused(admin_client, query):
    assert admin_client.get(OPERATE, query).status_code == 400
    assert admin_client.post(OPERATE, {**query, "selection": "{}", "expected": "many"}).status_code == 400


def test_the_queues_are_shown_with_their_figures(admin_client, own_queues, django_assert_max_num_queries):
    depths.forget()
    dead()
    succeeded()
    running()
    settle()
    with django_assert_max_num_queries(25):
        page = admin_client.get(QUEUES, {"window": "5m"}).content.decode()
    for part in ("default", "backtests", "workload.refused", "100.0 %", "PermanentError: no use"):
        assert part in page
    assert 'http-equiv="refresh"' not in page
    assert (
        'http-equiv="refresh"' in admin_client.get(QUEUES, {"refresh": "on", "window": "x"}).content.decode()
    )


def test_a_chart_is_as_high_as_its_highest_minute():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    drawn = chart(
        [Minute(starts_at=now, requested=5, succeeded=6, failed=2), Minute(starts_at=now, requested=4)]
    )
    first, second = drawn.bars
    assert (drawn.peak, drawn.width) == (8, 2)
    assert first.failed_top == 0
    assert first.succeeded + first.failed == HEIGHT
    assert second.requested_top == HEIGHT / 2
    assert chart([Minute(starts_at=now)]).peak == 0
