"""The helpers for tests of code that requests runs, with real transactions and within a test's own."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import transaction

from apps.tasks import Backoff, batches, claims
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import (
    advance,
    assert_requested,
    drain,
    entries,
    inline,
    make_due,
    requested,
    run_pending,
)
from tests.support import BOTH_TRANSACTIONS
from tests.workload import tasks as work
from tests.workload.models import Effect, Record


@pytest.fixture(params=BOTH_TRANSACTIONS)
def database(request):
    """Real transactions, and those of a TestCase, of which nothing is ever committed."""
    request.getfixturevalue(request.param)
    return request.param


pytestmark = pytest.mark.usefixtures("database")


def names() -> list[str]:
    return list(Effect.objects.order_by("pk").values_list("name", flat=True))


# inline -------------------------------------------------------------------------------------------


def test_inline_runs_a_request_before_it_returns():
    with inline():
        result = work.note.delay("a")
        assert names() == ["a"]
        assert TaskRun.objects.get(pk=result.id).result == {"noted": "a"}
    work.note.delay("b")
    assert names() == ["a"]


def test_inline_waits_for_the_transaction_of_the_request():
    with inline():
        with transaction.atomic():
            with transaction.atomic():
                work.note.delay("a")
            assert names() == []
            work.note.delay("b")
            assert names() == []
        assert names() == ["a", "b"]


def test_inline_runs_nothing_of_a_transaction_that_is_rolled_back():
    with inline():
        with pytest.raises(RuntimeError), transaction.atomic():
            work.note.delay("a")
            raise RuntimeError
        assert not TaskRun.objects.exists()
        with transaction.atomic():
            work.note.delay("b")
            with pytest.raises(RuntimeError), transaction.atomic():
                work.note.delay("c")
                raise RuntimeError
        assert names() == ["b"]


def test_inline_runs_what_handlers_request_too():
    with inline():
        work.chain.delay(["a", "b", "c"])
    assert names() == ["a", "b", "c"]


def test_inline_lets_errors_surface_after_they_are_recorded():
    with inline():
        with pytest.raises(ValueError, match="always"):
            work.hopeless.delay()
        with pytest.raises(ValueError), transaction.atomic():
            work.hopeless.delay()
        work.note.delay("after")
    first = TaskRun.objects.filter(task="workload.hopeless").first()
    assert (first.state, first.attempt, first.error["message"]) == (State.SCHEDULED, 1, "always")
    assert names() == ["after"]


def test_inline_leaves_what_is_not_due_and_what_was_there_before():
    work.note.delay("before")
    with inline():
        work.note.apply_async(args=["later"], countdown=60)
        work.note.delay("now")
    assert names() == ["now"]


def test_inline_handles_entries_as_they_are_put():
    with inline():
        work.record.put(name="a")
        assert Record.objects.get().name == "a"
        with transaction.atomic():
            work.record.put_many([{"name": "b"}, {"name": "c"}])
            assert Record.objects.count() == 1
        assert Record.objects.count() == 3


def test_inline_finds_requests_of_a_unique_key():
    with inline():
        first = work.note.apply_async(args=["a"], unique_key="k", unique_for=60)
        second = work.note.apply_async(args=["b"], unique_key="k", unique_for=60)
    assert names() == ["a", "b"]
    assert first.id != second.id


# Looking ------------------------------------------------------------------------------------------


def test_what_was_requested_is_listed_in_order():
    work.note.delay("a")
    work.refused.apply_async(queue="email")
    work.note.delay("b")
    assert [run.task for run in requested()] == ["workload.note", "workload.refused", "workload.note"]
    assert [run.args for run in requested(work.note)] == [["a"], ["b"]]
    assert [run.task for run in requested(queue="email")] == ["workload.refused"]
    assert requested("workload.hopeless") == []
    with pytest.raises(RuntimeError), transaction.atomic():
        work.note.delay("c")
        raise RuntimeError
    assert len(requested(work.note)) == 2


def test_requests_can_be_asserted_by_their_arguments_and_options():
    work.note.delay(name="a", seconds=0.0)
    work.note.apply_async(kwargs={"name": "b"}, priority=3)
    assert assert_requested(work.note, kwargs={"name": "a"}, count=1)[0].kwargs["seconds"] == 0.0
    assert len(assert_requested("workload.note")) == 2
    assert_requested(work.note, kwargs={"name": "b"}, priority=3, state=State.SCHEDULED)
    assert_requested(work.note, args=["a"], count=0)
    assert_requested(work.note, kwargs={"seconds": None}, count=0)


def test_a_failed_assertion_says_what_was_requested_instead():
    with pytest.raises(AssertionError, match="nothing was requested"):
        assert_requested(work.note)
    work.refused.delay()
    with pytest.raises(AssertionError, match="nothing of it; requested were 1 × workload"):
        assert_requested(work.note)
    work.note.delay(name="a")
    with pytest.raises(AssertionError) as caught:
        assert_requested(work.note, kwargs={"name": "b"}, queue="email", count=2)
    assert str(caught.value).splitlines() == [
        "expected 2 runs of workload.note with kwargs={'name': 'b'}, queue='email', found 0",
        "requested of workload.note:",
        "  args=[] kwargs={'name': 'a'} queue=default state=scheduled",
    ]
    for index in range(25):
        work.note.delay(name=f"n{index}")
    with pytest.raises(AssertionError, match="and 6 more"):
        assert_requested(work.note, count=0)


def test_entries_that_were_put_are_listed():
    work.record.put(name="a")
    assert [entry.payload for entry in entries(work.record)] == [{"name": "a"}]
    assert entries("workload.other") == []
    run_pending()
    assert entries() == []


# Executing ----------------------------------------------------------------------------------------


def test_draining_runs_everything_of_one_queue_only():
    work.note.apply_async(args=["a"], queue="email")
    work.chain.apply_async(args=[["b", "c"]], queue="email")
    work.note.delay("d")
    assert len(drain("email")) == 2
    assert names() == ["a", "b"]
    assert len(drain("default")) == 2
    assert sorted(names()) == ["a", "b", "c", "d"]
    assert drain("email") == drain("default") == []


def test_draining_runs_what_is_for_later_if_asked():
    work.note.apply_async(args=["tomorrow"], countdown=86_400)
    work.note.apply_async(args=["soon"], countdown=60)
    work.note.apply_async(args=["elsewhere"], countdown=60, queue="email")
    assert drain("default") == []
    result = work.flaky.delay("flaky", failures=3)
    assert len(drain("default", later=True)) == 6
    assert TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED
    assert [name for name in names() if name != "flaky"] == ["soon", "tomorrow"]


def test_draining_runs_what_becomes_due_while_it_looks(monkeypatch):
    complete_due = batches.complete_due

    def slowly():
        # Longer than the wait for the next attempt.
        time.sleep(0.06)
        return complete_due()

    monkeypatch.setattr(batches, "complete_due", slowly)
    result = work.flaky.delay("flaky", failures=3)
    assert len(drain("default", later=True)) == 4
    assert TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED


def test_runs_that_are_held_back_are_left():
    rate = {"rate_key": "k", "rate": "1/h"}
    for name in "ab":
        work.note.apply_async(args=[name], **rate)
    work.note.delay("free")
    run_pending()
    assert sorted(names()) == ["a", "free"]
    advance(3601)
    run_pending()
    assert sorted(names()) == ["a", "b", "free"]


# Time ---------------------------------------------------------------------------------------------


def test_a_retry_need_not_be_waited_for():
    result = work.later.delay(3600)
    run_pending()
    assert run_pending() == []
    make_due(result)
    assert len(run_pending()) == 1
    run = TaskRun.objects.get(pk=result.id)
    assert run.attempt == 2
    advance(3500)
    assert run_pending() == []
    advance(101)
    run_pending()
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.DEAD, 3)


def test_the_wait_for_a_retry_is_not_left_to_chance(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    result = work.flaky.apply_async(args=["a", 1], backoff=Backoff(base=60, maximum=60))
    run_pending()
    run = TaskRun.objects.get(pk=result.id)
    assert (run.state, run.attempt) == (State.SCHEDULED, 1)
    advance(61)
    run_pending()
    assert names() == ["a"]


def test_only_a_run_that_waits_can_be_made_due():
    result = work.note.apply_async(args=["a"], countdown=60)
    for run in (result, TaskRun.objects.get(), result.id):
        make_due(run)
    run_pending()
    with pytest.raises(AssertionError, match="it is succeeded"):
        make_due(result)
    with pytest.raises(AssertionError, match="there is none"):
        make_due("00000000-0000-0000-0000-000000000000")


def test_time_that_passes_frees_keys_expires_runs_and_ends_leases():
    first = work.note.apply_async(args=["a"], unique_key="k", unique_for=60)
    assert work.note.apply_async(args=["a"], unique_key="k", unique_for=60).id == first.id
    advance(61)
    assert work.note.apply_async(args=["a"], unique_key="k", unique_for=60).id != first.id
    late = work.note.apply_async(args=["late"], expires=timedelta(hours=1))
    advance(3601)
    run_pending()
    assert TaskRun.objects.get(pk=late.id).state == State.CANCELLED
    lost = TaskRun.objects.get(pk=work.note.delay("lost").id)
    claims.claim(run_id=lost.pk, worker="gone")
    assert claims.reconcile() == []
    advance(100)
    assert [orphan.run_id for orphan in claims.reconcile()] == [lost.pk]
