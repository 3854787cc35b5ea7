"""Batches: runs asked for together, one progress, one callback."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps.core import context
from apps.core.ids import uuid7
from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import batches, claims, services
from apps.tasks.batches import batch_progress, batch_request
from apps.tasks.batchprojection import Batches
from apps.tasks.batchstates import BATCH_TRANSITIONS, BatchState
from apps.tasks.models import Batch, TaskRun
from apps.tasks.states import State
from apps.tasks.tasks import reconcile_orphans
from apps.tasks.testing import run_pending
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def types(batch: Batch) -> list[str]:
    return [event.type.removeprefix("batch.") for event in read_stream(batch.stream)]


def finish(run: TaskRun, *, well: bool = True) -> None:
    claimed = claims.claim(run_id=run.pk, worker="w")
    assert claimed is not None
    if well:
        claims.succeed(claimed, None)
    else:
        claims.fail(claimed, ValueError("bad"), retry=False)


def callbacks() -> list[TaskRun]:
    return list(TaskRun.objects.filter(task="workload.finished"))


def test_a_batch_is_requested_at_once_and_its_callback_learns_how_it_went():
    with context.bind(actor="user:7", correlation_id="req-1"):
        batch = batch_request(
            [*(work.note.s(f"n{index}") for index in range(20)), work.refused.s()],
            description="twenty notes",
            callback=work.finished.s(),
        )
    # Of one statement.
    assert TaskRun.objects.order_by().values("requested_at").distinct().count() == 1
    assert (batch.state, batch.total, batch.description) == (BatchState.OPEN, 21, "twenty notes")
    run_pending()
    batch.refresh_from_db()
    (callback,) = callbacks()
    assert callback.state == State.SUCCEEDED
    assert callback.args == [str(batch.pk), {"total": 21, "succeeded": 20, "dead": 1, "cancelled": 0}]
    assert callback.meta["correlation_id"] == "req-1"
    assert callback.meta["causation_id"] == batch.stream
    assert (batch.state, batch.counts) == (BatchState.COMPLETED, {"succeeded": 20, "dead": 1})
    assert types(batch) == ["created", "completed"]


def test_progress_is_one_number_and_names_what_failed():
    batch = batch_request([work.note.s("a"), work.refused.s(), work.note.s("c").set(countdown=600)])
    run_pending()
    progress = batch_progress(batch.pk)
    assert (progress.total, progress.done, progress.failed) == (3, 2, 1)
    assert progress.counts == {
        "scheduled": 1, "queued": 0, "running": 0, "succeeded": 1, "dead": 1, "cancelled": 0,
    }  # fmt: skip
    assert [(run.task, run.batch_index) for run in progress.failed_runs] == [("workload.refused", 1)]
    assert Batch.objects.get().state == BatchState.OPEN


def test_waiting_for_success_outlasts_failures():
    batch = batch_request(
        [work.note.s("a"), work.fail_until_allowed.s(1, "x")], callback=work.finished.s(), when="succeeded"
    )
    run_pending()
    assert Batch.objects.get().state == BatchState.INCOMPLETE
    assert callbacks() == []
    Effect.objects.create(name="x", attempt=0)
    services.redrive(run_id=TaskRun.objects.get(state=State.DEAD).pk)
    run_pending()
    assert len(callbacks()) == 1
    assert types(batch) == ["created", "incomplete", "completed"]


def test_a_redrive_after_the_end_brings_no_second_callback():
    batch = batch_request([work.note.s("a"), work.refused.s()], callback=work.finished.s())
    run_pending()
    services.redrive(run_id=TaskRun.objects.get(state=State.DEAD).pk)
    assert batch_progress(batch.pk).done == 1
    run_pending()
    assert len(callbacks()) == 1
    assert types(batch) == ["created", "completed"]


def test_an_empty_batch_is_over_at_once():
    batch = batch_request([], callback=work.finished.s())
    assert batch.state == BatchState.COMPLETED
    assert len(callbacks()) == 1


def test_a_batch_is_rolled_back_with_its_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        batch_request([work.note.s("a")])
        raise RuntimeError
    assert not Batch.objects.exists()
    assert not TaskRun.objects.exists()


def test_members_keep_their_options_and_links():
    member = work.add.s(1, 2).set(queue="email", priority=3)
    member.link(work.keep.s("linked"))
    batch = batch_request([member, work.note.new_run(["a"], max_attempts=2)])
    first, second = batches.batch_runs(batch.pk)
    assert (first.queue, first.priority, second.max_attempts) == ("email", 3, 2)
    run_pending()
    assert TaskRun.objects.get(task="workload.keep").result == [3, "linked"]


@pytest.mark.parametrize(
    ("member", "error"),
    [
        (lambda: chain(work.add.s(1, 2), work.add.s(3)), TypeError),
        (lambda: work.plain_add.s(1, 2), TypeError),
        (lambda: work.note.s(), TypeError),
        (lambda: work.note.new_run(["a"], batch_id=uuid7()), ValueError),
        (lambda: work.note.s("a").set(task_id=work.note.delay("a").id), ValueError),
    ],
)
def test_what_cannot_be_a_member_is_refused(member, error):
    with pytest.raises(error):
        batch_request([member()])
    assert not Batch.objects.exists()


def test_a_callback_that_cannot_be_requested_is_told_and_tried_again(monkeypatch, caplog):
    batch = batch_request([work.note.s("a")], callback=work.add.s(1, 2))
    run_pending()
    batch.refresh_from_db()
    assert batch.state == BatchState.INCOMPLETE
    assert "the callback cannot be requested" in batch.reason
    assert "cannot be requested" in caplog.text
    monkeypatch.setattr(work.add, "__header__", lambda *args: None)
    assert reconcile_orphans()["batches"] == 1
    batch.refresh_from_db()
    assert (batch.state, batch.reason) == (BatchState.COMPLETED, "")


@pytest.mark.parametrize(
    "how", ["cancelled", "cancelled while running", "expired", "orphaned", "handed back"]
)
def test_ends_of_every_kind_complete_a_batch(how):
    options: dict[str, Any] = {"expires": 0.01} if how == "expired" else {"max_attempts": 1}
    batch = batch_request([work.note.s("a").set(**options)], callback=work.finished.s())
    run_id = TaskRun.objects.get().pk
    held = claims.claim(run_id=run_id, worker="w") if how not in ("cancelled", "expired") else None
    if how.startswith(("cancelled", "handed")):
        services.cancel(run_id=run_id)
    match how:
        case "cancelled while running":
            assert held is not None
            claims.cancelled(held)
        case "handed back":
            claims.hand_back(run_ids=[run_id], worker="w", reason="test")
        case "expired":
            while not claims.expire():
                pass
        case "orphaned":
            TaskRun.objects.filter(pk=run_id).update(lease_until=timezone.now() - timedelta(seconds=1))
            claims.reconcile()
    assert len(callbacks()) == 1
    assert types(batch) == ["created", "completed"]


def test_what_a_dying_worker_left_is_completed_by_the_sweep(monkeypatch):
    batch = batch_request([work.note.s("a"), work.note.s("b")], callback=work.finished.s())
    open_one = batch_request([work.note.s("c").set(countdown=600)])
    with monkeypatch.context() as dying:
        dying.setattr(batches, "check", lambda batch_id: None)
        for run in batches.batch_runs(batch.pk):
            finish(run)
    assert Batch.objects.get(pk=batch.pk).state == BatchState.OPEN
    assert reconcile_orphans()["batches"] == 1
    assert reconcile_orphans()["batches"] == 0
    assert len(callbacks()) == 1
    assert Batch.objects.get(pk=open_one.pk).state == BatchState.OPEN


def test_a_look_that_fails_after_the_commit_does_not_undo_the_end(monkeypatch, caplog):
    batch = batch_request([work.note.s("a")], callback=work.finished.s())
    with monkeypatch.context() as broken:
        broken.setattr(batches, "_due", lambda **_: 1 / 0)
        finish(TaskRun.objects.get())
    assert "division by zero" in caplog.text
    assert TaskRun.objects.get(batch_id=batch.pk).state == State.SUCCEEDED
    assert batches.complete_due() == 1


@pytest.mark.parametrize("when", ["ended", "succeeded"])
@pytest.mark.parametrize("round_", range(3))
def test_runs_that_end_at_the_same_moment_bring_one_callback(when, round_):
    width = 8
    batch = batch_request(
        [work.note.s(f"n{index}") for index in range(width)], callback=work.finished.s(), when=when
    )
    barrier = threading.Barrier(width)

    def end(run_id: uuid.UUID) -> None:
        try:
            claimed = claims.claim(run_id=run_id, worker=f"w{run_id}")
            assert claimed is not None
            with transaction.atomic():
                claims.succeed(claimed, None)
                barrier.wait()
        finally:
            connection.close()

    run_ids = [run.pk for run in batches.batch_runs(batch.pk)]
    threads = [threading.Thread(target=end, args=(run_id,)) for run_id in run_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(callbacks()) == 1
    assert types(batch) == ["created", "completed"]


def test_sweeps_and_looks_at_the_same_moment_bring_one_callback(monkeypatch):
    batch = batch_request([work.note.s("a")], callback=work.finished.s())
    with monkeypatch.context() as dying:
        dying.setattr(batches, "check", lambda batch_id: None)
        finish(TaskRun.objects.get())
    barrier = threading.Barrier(6)
    completed = []

    def look() -> None:
        try:
            barrier.wait()
            completed.append(batches.complete_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(completed) == len(callbacks()) == 1
    assert types(batch) == ["created", "completed"]


def test_a_batch_is_cancelled_with_its_runs():
    batch = batch_request(
        [work.note.s("a"), work.note.s("b").set(countdown=600), work.note.s("c").set(countdown=600)],
        callback=work.finished.s(),
    )
    run_pending()
    assert batches.batch_cancel(batch_id=batch.pk, actor="user:7") == 2
    (callback,) = callbacks()
    assert callback.args[1] == {"total": 3, "succeeded": 1, "dead": 0, "cancelled": 2}
    last = TaskRun.objects.filter(state=State.CANCELLED).first()
    assert last is not None
    assert read_stream(last.stream)[-1].meta["actor"] == "user:7"
    with pytest.raises(Batch.DoesNotExist):
        batches.batch_cancel(batch_id=uuid7())


# Operators ----------------------------------------------------------------------------------------


def test_the_api_shows_a_batch(admin_client, client):
    batch = batch_request([work.note.s("a"), work.refused.s()], description="two", when="succeeded")
    run_pending()
    shown = admin_client.get(f"/api/v1/batches/{batch.pk}").json()
    assert (shown["state"], shown["total"], shown["done"], shown["failed"]) == ("incomplete", 2, 2, 1)
    assert shown["counts"]["succeeded"] == 1
    assert [run["error"]["message"] for run in shown["failed_runs"]] == ["no use"]
    assert admin_client.get(f"/api/v1/batches/{uuid7()}").status_code == 404
    assert client.get(f"/api/v1/batches/{batch.pk}").status_code == 401


def test_the_api_cancels_a_batch(admin_client, admin_user):
    batch = batch_request([work.note.s("a"), work.note.s("b")])
    assert admin_client.post(f"/api/v1/batches/{batch.pk}/cancel").json() == {"cancelled": 2}
    run = TaskRun.objects.first()
    assert run is not None
    assert read_stream(run.stream)[-1].meta["actor"] == f"user:{admin_user.pk}"
    assert admin_client.post(f"/api/v1/batches/{uuid7()}/cancel").status_code == 404


def test_the_admin_shows_batches_with_progress_and_cancels_them(admin_client):
    batch = batch_request([work.note.s("a").set(countdown=600), work.refused.s()], description="two")
    run_pending()
    board = reverse("admin:tasks_batch_changelist")
    page = admin_client.get(board).content.decode()
    assert "1 of 2, 1 failed" in page
    runs = reverse("admin:tasks_taskrun_changelist") + f"?batch_id={batch.pk}"
    assert runs in page
    other = work.note.delay("x")
    listed = admin_client.get(runs).content.decode()
    assert "workload.refused" in listed
    assert other.id not in listed
    assert "two" in admin_client.get(reverse("admin:tasks_batch_change", args=[batch.pk])).content.decode()
    chosen = {"action": "cancel", "_selected_action": [str(batch.pk)]}
    assert "1 of 2 runs not ended" in admin_client.post(board, chosen).content.decode()
    answer = admin_client.post(board, {**chosen, "answered": "yes"}, follow=True)
    assert "1 runs cancelled." in answer.content.decode()
    assert admin_client.get(reverse("admin:tasks_batch_add")).status_code == 403


# Rebuilding ---------------------------------------------------------------------------------------


def test_batches_are_rebuilt_from_their_events():
    batch_request([work.note.s("a")], callback=work.finished.s())
    batch_request([work.refused.s()], when="succeeded")
    chord([work.fail_until_allowed.s(1, "x")], work.keep.s()).apply_async()
    run_pending()
    Effect.objects.create(name="x", attempt=0)
    services.redrive(run_id=TaskRun.objects.get(task="workload.fail_until_allowed").pk)
    run_pending()
    seen = {kind for batch in Batch.objects.all() for kind in types(batch)}
    assert {f"batch.{kind}" for kind in seen} == set(BATCH_TRANSITIONS)
    before = list(Batch.objects.values())
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tasks_batch")
    assert projections.rebuild(Batches()) == 3
    assert list(Batch.objects.values()) == before


# Processes ----------------------------------------------------------------------------------------


def test_canvases_run_in_worker_processes(platform):
    platform.relay()
    platform.worker(concurrency=4)
    canvases = {
        "chain": (chain(work.add.s(1, 1), work.add.s(2), work.add.s(3)), 7),
        "group": (group(work.add.s(index, index) for index in range(5)), [0, 2, 4, 6, 8]),
        "chord": (chord([work.add.s(index, index) for index in range(5)], work.total.s()), 20),
        "group in the middle": (
            chain(work.add.s(1, 1), group(work.add.s(1), work.add.s(2)), work.total.s(), work.add.s(1)), 8,
        ),
        "nested chord": (
            chord([chord([work.add.s(1, 1), work.add.s(2, 2)], work.total.s()), work.add.s(3, 3)],
                  work.keep.s()), [[6, 6]],
        ),
        "not durable in the middle": (chain(work.add.s(1, 1), work.plain_add.s(5), work.add.s(1)), 8),
        "not durable in a header": (
            chain(work.add.s(1, 1), group(work.plain_add.s(1), work.add.s(2)), work.total.s()), 7,
        ),
    }  # fmt: skip
    results = {name: (canvas.apply_async(), expected) for name, (canvas, expected) in canvases.items()}
    for name, (result, expected) in results.items():
        wait_until(result.ready, seconds=60, what=name)
        assert result.get(timeout=0) == expected, name
    assert not Batch.objects.exclude(state=BatchState.COMPLETED).exists()


def test_an_error_in_a_chord_is_told_once_and_mended_by_a_redrive(platform):
    platform.relay()
    platform.worker()
    body = work.total.s().on_error(work.told_id.s())
    header = [work.fail_until_allowed.s(5, "x"), work.refused.s(), *(work.add.s(1, n) for n in range(4))]
    result = chord(header, body).apply_async()
    wait_for_all()
    assert list(Effect.objects.values_list("name", flat=True)) == [f"told {result.id}"]
    Effect.objects.create(name="x", attempt=0)
    services.redrive(run_id=TaskRun.objects.get(task="workload.fail_until_allowed").pk)
    wait_for_all()
    assert Batch.objects.get().state == BatchState.INCOMPLETE
    refused = TaskRun.objects.get(state=State.DEAD)
    services.redrive(run_id=refused.pk)
    wait_for_all()
    assert AsyncResult(result.id).state == "FAILURE"


def test_runs_that_end_together_in_processes_bring_one_callback_each(platform):
    platform.relay()
    platform.worker(concurrency=4)
    platform.worker(concurrency=4)
    made = [
        batch_request([work.note.s(f"{index}") for index in range(12)], callback=work.finished.s())
        for _ in range(8)
    ]
    wait_until(lambda: len(callbacks()) == len(made), seconds=90, what="all callbacks")
    wait_for_all()
    assert len(callbacks()) == len(made)
    for batch in made:
        assert types(batch) == ["created", "completed"]
