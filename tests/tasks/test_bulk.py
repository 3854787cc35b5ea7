"""Operations on all runs of a selection: previewed, bounded, in chunks, none of them twice."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.core import context
from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.tasks import batches, bulk, claims
from apps.tasks.filters import RunFilter
from apps.tasks.models import Batch, BulkOperation, TaskRun
from apps.tasks.states import Operation, State
from apps.tasks.testing import run_pending
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]

DEAD = RunFilter(states=("dead",))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 3)


def dead(count: int, **options) -> list[uuid.UUID]:
    ids = [uuid.UUID(work.refused.apply_async(**options).id) for _ in range(count)]
    run_pending()
    return ids


def waiting(count: int, **options) -> list[uuid.UUID]:
    options = {"args": ["a"], "countdown": 3600, **options}
    return [uuid.UUID(work.note.apply_async(**options).id) for _ in range(count)]


def states(ids) -> set[str]:
    return set(TaskRun.objects.filter(pk__in=ids).values_list("state", flat=True))


def ids_of(selection: RunFilter) -> set[uuid.UUID]:
    return set(selection.runs().values_list("pk", flat=True))


def test_a_preview_counts_and_changes_nothing():
    dead(12)
    others = waiting(2)
    seen = bulk.preview(operation=Operation.REDRIVE, selection=RunFilter())
    assert (seen.count, seen.by_state) == (12, {State.DEAD: 12})
    assert len(seen.sample) == 10
    assert [run.pk for run in seen.sample] == sorted((run.pk for run in seen.sample), reverse=True)
    assert states(others) == {"scheduled"}
    assert bulk.preview(operation=Operation.CANCEL, selection=RunFilter()).count == 2
    assert not BulkOperation.objects.exists()


def test_all_that_match_are_operated_on_in_chunks(small_chunks):
    ids = dead(8)
    others = waiting(1)
    reports = []
    with context.bind(actor="user:9"):
        ordered = bulk.order(operation=Operation.REDRIVE, selection=DEAD, bound=8)
    done = bulk.perform(ordered.pk, lambda seen: reports.append(seen.done))
    assert reports == [3, 6, 8]
    assert (done.done, done.refused, done.more) == (8, 0, False)
    assert done.finished_at is not None
    assert states(ids) == {"scheduled"}
    assert read_stream(f"task:{ids[0]}")[-1].meta["actor"] == "user:9"
    assert states(others) == {"scheduled"}
    assert {event.type for event in read_stream(f"task:{others[0]}")} == {"task.requested"}


def test_never_more_is_done_than_was_counted(small_chunks):
    first = dead(4)
    seen = bulk.preview(operation=Operation.REDRIVE, selection=DEAD)
    later = dead(3)
    done = bulk.submit(operation=Operation.REDRIVE, selection=DEAD, bound=seen.count)
    assert (done.done, done.more) == (4, True)
    assert states(first) == {"scheduled"}
    assert states(later) == {"dead"}


def test_named_runs_to_which_it_cannot_be_done_are_refused_with_the_reason():
    (ended,) = dead(1)
    (later,) = waiting(1)
    missing = uuid7()
    done = bulk.submit(operation=Operation.REDRIVE, selection=RunFilter(ids=(ended, later, missing)), bound=3)
    assert (done.done, done.refused) == (1, 1)
    assert done.reasons == {"is scheduled: only dead and cancelled runs can be redriven": 1}


def test_what_changes_between_look_and_deed_is_refused_and_not_forced(monkeypatch):
    ids = waiting(3)
    ordered = bulk.order(operation=Operation.RETRY, selection=RunFilter(ids=tuple(ids)), bound=3)
    real = bulk.operate

    def late(**arguments):
        real(operation=Operation.CANCEL, run_ids=ids[:1])
        return real(**arguments)

    monkeypatch.setattr(bulk, "operate", late)
    done = bulk.perform(ordered.pk)
    assert (done.done, done.refused) == (2, 1)
    assert done.reasons == {"is cancelled: only scheduled runs can be made due": 1}


def test_what_was_stopped_goes_on_where_it_was(small_chunks):
    ids = dead(7)
    ordered = bulk.order(operation=Operation.REDRIVE, selection=DEAD, bound=7)
    assert bulk.advance(ordered.pk).done == 3
    # Dead again before the rest: its turn is over.
    claimed = claims.claim(run_id=ids[0], worker="w")
    assert claimed is not None
    claims.fail(claimed, RuntimeError("again"), retry=False)
    done = bulk.perform(ordered.pk)
    assert done.done == 7
    assert TaskRun.objects.get(pk=ids[0]).state == State.DEAD
    assert bulk.perform(ordered.pk).done == 7
    redriven = [event.type for run_id in ids for event in read_stream(f"task:{run_id}")].count(
        "task.redriven"
    )
    assert redriven == 7


def test_a_chunk_that_fails_leaves_no_trace(small_chunks, monkeypatch):
    ids = dead(2)
    ordered = bulk.order(operation=Operation.REDRIVE, selection=DEAD, bound=2)

    def fail(self, *args, **kwargs):
        raise RuntimeError("away")

    with monkeypatch.context() as patched:
        patched.setattr(BulkOperation, "save", fail)
        with pytest.raises(RuntimeError):
            bulk.advance(ordered.pk)
    assert states(ids) == {"dead"}
    assert bulk.perform(ordered.pk).done == 2


def test_large_operations_are_done_by_a_durable_task(monkeypatch, small_chunks):
    monkeypatch.setattr(bulk, "INLINE", 4)
    ids = dead(5)
    ordered = bulk.submit(operation=Operation.REDRIVE, selection=DEAD, bound=5)
    assert (ordered.finished_at, ordered.done) == (None, 0)
    assert states(ids) == {"dead"}
    run_pending()
    ordered.refresh_from_db()
    assert ordered.done == 5
    run = TaskRun.objects.get(pk=ordered.run_id)
    assert (run.state, run.result["done"]) == (State.SUCCEEDED, 5)
    assert run.progress["total"] == 5


def test_it_does_not_cancel_itself(monkeypatch):
    monkeypatch.setattr(bulk, "INLINE", 0)
    waiting(3)
    ordered = bulk.submit(operation=Operation.CANCEL, selection=RunFilter(), bound=4)
    assert ordered.run_id is not None
    bulk_run = ordered.run_id
    run_pending()
    ordered.refresh_from_db()
    assert (ordered.done, TaskRun.objects.get(pk=bulk_run).state) == (3, State.SUCCEEDED)


def test_a_worker_does_it_over_the_queue(platform, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE", 0)
    ids = waiting(30)
    ordered = bulk.submit(operation=Operation.RETRY, selection=RunFilter(tasks=("workload.note",)), bound=30)
    platform.relay()
    platform.worker()
    wait_until(
        lambda: BulkOperation.objects.get(pk=ordered.pk).done == 30, seconds=60, what="the bulk operation"
    )
    wait_for_all()
    assert states(ids) == {"succeeded"}


def test_cancelling_members_of_a_batch_tells_the_batch():
    batch = batches.batch_request(
        [work.note.s(str(index)) for index in range(3)], callback=work.told_id.s(), when="succeeded"
    )
    done = bulk.submit(operation=Operation.CANCEL, selection=RunFilter(batch_id=batch.pk), bound=3)
    assert done.done == 3
    batch.refresh_from_db()
    assert batch.state == Batch.State.INCOMPLETE
    assert "is cancelled" in batch.reason


def test_every_condition_narrows_the_selection():
    moment = timezone.now()
    (first,) = waiting(1, unique_key="digest:7", group_key="user-1", queue="email")
    (second,) = waiting(1, unique_key="digest_8", group_key="user-2")
    (third,) = dead(1)
    with context.bind(correlation_id="req-1"):
        (fourth,) = waiting(1)
    assert ids_of(RunFilter(states=("dead",))) == {third}
    assert ids_of(RunFilter(tasks=("workload.note", "nothing"))) == {first, second, fourth}
    assert ids_of(RunFilter(queues=("email",))) == {first}
    assert ids_of(RunFilter(unique_key="digest")) == {first, second}
    assert ids_of(RunFilter(unique_key="digest_")) == {second}
    assert ids_of(RunFilter(group_key="user-1")) == {first}
    assert ids_of(RunFilter(workers=("run_pending",))) == {third}
    assert ids_of(RunFilter(error_types=("PermanentError",))) == {third}
    assert ids_of(RunFilter(error_types=("ValueError",))) == set()
    assert ids_of(RunFilter(error_text="NO use")) == {third}
    assert ids_of(RunFilter(correlation_id="req-1")) == {fourth}
    assert ids_of(RunFilter(correlation_id=str(first))) == {first}
    batch = uuid7()
    TaskRun.objects.filter(pk__in=(second, third)).update(batch_id=batch)
    assert ids_of(RunFilter(batch_id=batch)) == ids_of(RunFilter(search=str(batch))) == {second, third}
    TaskRun.objects.update(batch_id=None)
    assert ids_of(RunFilter(requested_until=moment)) == set()
    assert len(ids_of(RunFilter(requested_since=moment))) == 4
    assert ids_of(RunFilter(finished_since=moment)) == {third}
    assert ids_of(RunFilter(finished_until=moment + timedelta(hours=1))) == {third}
    assert ids_of(RunFilter(ids=(first, third), states=("dead",))) == {third}
    for text, found in (
        (str(first), {first}), ("digest:", {first}), ("user-2", {second}), ("req-1", {fourth}),
        ("workload.refused", {third}), ("nothing", set()), ("", {first, second, third, fourth}),
    ):  # fmt: skip
        assert ids_of(RunFilter(search=text)) == found, text


def test_a_filter_survives_json_and_refuses_what_it_does_not_know():
    full = RunFilter(
        states=("dead", "cancelled"), tasks=("a",), queues=("q",), workers=("w",), error_types=("E",),
        group_key="g", unique_key="u", error_text="t", correlation_id="c", search="s",
        batch_id=uuid7(),
        requested_since=timezone.now(), finished_until=timezone.now(), ids=(uuid7(), uuid7()),
    )  # fmt: skip
    assert RunFilter.from_json(full.as_json()) == full
    assert RunFilter().as_json() == {}
    assert not RunFilter()
    assert str(RunFilter(states=("dead",), tasks=("a", "b"))) == "state dead; task a, b"
    assert str(RunFilter()) == "all runs"
    for wrong in (
        {"stat": ["dead"]},
        {"states": ["gone"]},
        {"requested_since": "2026-01-01"},
        {"ids": ["x"]},
    ):
        with pytest.raises(ValueError):
            RunFilter.from_json(wrong)


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (RunFilter(search="digest:"), "tasks_taskrun_unique_lookup"),
        (RunFilter(search="user-"), "tasks_taskrun_group"),
        (RunFilter(search="req-1"), "tasks_taskrun_correlation"),
        (RunFilter(group_key="user-"), "tasks_taskrun_group"),
        (RunFilter(unique_key="digest:"), "tasks_taskrun_unique_lookup"),
        (RunFilter(correlation_id="req-1"), "tasks_taskrun_correlation"),
    ],
)
def test_searching_uses_an_index(selection, index):
    seen: list[str] = []

    def explain(execute, query, parameters, many, context):
        with connection.wrap_database_errors, context["cursor"].connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {query}", parameters)
            seen.extend(row[0] for row in cursor.fetchall())
        return execute(query, parameters, many, context)

    from django.db import transaction

    with transaction.atomic(), connection.execute_wrapper(explain):
        list(selection.runs())
    assert index in "\n".join(seen)
