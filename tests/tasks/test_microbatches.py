"""Small work is put entry by entry, collected into runs and written exactly once."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection, transaction

from apps.core import context
from apps.core.ids import uuid7
from apps.events.models import Event
from apps.events.selectors import read_stream
from apps.tasks import MicroBatchedTask, claims, microbatches, selectors, services
from apps.tasks.microbatches import Collector, collect, collect_all
from apps.tasks.models import Entry, TaskRun
from apps.tasks.states import ENDED, State
from apps.tasks.testing import run_pending
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect, Record

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def put_many(count: int, **payload) -> list[uuid.UUID]:
    return work.record.put_many([{"name": f"n{index}", **payload} for index in range(count)])


def effects() -> Counter[str]:
    return Counter(Effect.objects.values_list("name", flat=True))


def age(seconds: float) -> None:
    """Let the entries have been put so long ago."""
    for entry in Entry.objects.all():
        entry.requested_at -= timedelta(seconds=seconds)
        entry.save(update_fields=["requested_at"])


def run_to_the_end() -> None:
    def ended() -> bool:
        run_pending()
        return not TaskRun.objects.exclude(state__in=ENDED).exists()

    wait_until(ended, what="all runs to end")


def test_entries_are_one_small_row_each_until_they_are_collected():
    with transaction.atomic():
        first = work.record.put(name="a")
        work.record.put_many([{"name": "b"}, {"name": "c"}])
    assert not Event.objects.exists()
    assert not TaskRun.objects.exists()
    assert [entry.payload["name"] for entry in Entry.objects.all()] == ["a", "b", "c"]
    assert collect_all() == 3
    run = TaskRun.objects.get()
    assert (run.task, run.kwargs) == ("workload.record", {"entries": 3})
    assert next(entry.pk for entry in selectors.entries(run.pk)) == first
    run_pending()
    run.refresh_from_db()
    assert run.result == {"entries": 3, "written": 3, "moved": 0}
    assert not Entry.objects.exists()
    assert effects() == Counter("abc")


def test_entries_are_rolled_back_with_their_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        put_many(3)
        raise RuntimeError
    assert not Entry.objects.exists()
    assert collect_all() == 0


def test_a_run_has_no_more_entries_than_a_batch():
    put_many(120)
    assert collect_all() == 120
    assert sorted(run.kwargs["entries"] for run in TaskRun.objects.all()) == [20, 50, 50]
    run_pending()
    assert sum(effects().values()) == Record.objects.count() == 120


def test_the_handler_gets_entries_in_the_order_of_putting():
    names = [f"n{index}" for index in range(40)]
    put_many(40)
    run_pending()
    assert list(Effect.objects.order_by("pk").values_list("name", flat=True)) == names


def test_entries_linger_for_others_unless_they_fill_a_batch(monkeypatch):
    monkeypatch.setattr(work.record, "linger", 60)
    collector = Collector()
    put_many(49)
    collector.collect()
    assert not TaskRun.objects.exists()
    work.record.put(name="fiftieth")
    collector.collect()
    assert TaskRun.objects.get().kwargs == {"entries": 50}
    put_many(3)
    collector.collect()
    assert TaskRun.objects.count() == 1
    age(61)
    collector.collect()
    assert sorted(run.kwargs["entries"] for run in TaskRun.objects.all()) == [3, 50]


def test_an_entry_is_known_by_its_id_while_it_waits_and_after_it_was_written():
    one = uuid7()
    assert work.record.put(id=one, name="a") == work.record.put(id=one, name="changed") == one
    collect_all()
    work.record.put(id=one, name="changed")
    run_pending()
    # It is gone from the outbox: a third one reaches the handler, whose own insert by id ignores it.
    assert not Entry.objects.exists()
    work.record.put(id=one, name="changed")
    run_pending()
    assert Record.objects.get().name == "a"


def test_one_statement_ignores_an_id_that_it_has_twice():
    one = uuid7()
    work.record.put_many([{"name": "a"}, {"name": "b"}], ids=[one, one])
    assert Entry.objects.get().payload == {"name": "a"}


def test_each_entry_has_the_context_in_which_it_was_put():
    for actor in ("user:1", "user:2"):
        with context.bind(actor=actor, request_id=f"request-of-{actor}", correlation_id="c"):
            work.record.put(name=actor)
    entries = list(Entry.objects.all())
    assert [entry.request_id for entry in entries] == ["request-of-user:1", "request-of-user:2"]
    assert {entry.correlation_id for entry in entries} == {"c"}
    run_pending()
    assert set(Record.objects.values_list("name", "actor")) == {("user:1", "user:1"), ("user:2", "user:2")}


@pytest.mark.parametrize(
    ("payload", "error", "words"),
    [
        ({"name": object()}, TypeError, "not JSON"),
        ({"name": float("nan")}, TypeError, "not JSON"),
        ({"name": "\ud800"}, TypeError, "not JSON"),
        ({"name": "a\0b"}, TypeError, "NUL"),
        ({"name": "x" * 70_000}, ValueError, "the limit is 65,536"),
    ],
)
def test_a_payload_that_cannot_be_kept_is_refused_before_the_transaction_is_spoilt(payload, error, words):
    with transaction.atomic():
        with pytest.raises(error, match=words):
            work.record.put(**payload)
        work.record.put(name="after")
    assert Entry.objects.get().payload == {"name": "after"}


def test_a_text_that_only_looks_like_an_escaped_nul_is_kept():
    work.record.put(name="a\\u0000b")
    assert Entry.objects.get().payload == {"name": "a\\u0000b"}


def test_a_micro_batched_task_takes_entries_only():
    with pytest.raises(TypeError, match="put"):
        work.record.delay([])
    for options in ({"batch_size": 0}, {"linger": -1}, {"atomic": False}):
        with pytest.raises(ValueError):
            type("Misfit", (MicroBatchedTask,), options)


def test_a_poison_entry_gets_a_run_of_its_own_and_its_neighbours_are_written():
    put_many(30)
    poison = work.record.put(name="bad", fault="poison")
    put_many(10, part="second")
    run_to_the_end()
    assert effects() == Counter([f"n{index}" for index in range(30)] + [f"n{index}" for index in range(10)])
    batch = TaskRun.objects.get(state=State.SUCCEEDED)
    assert batch.result == {"entries": 41, "written": 40, "moved": 1}
    dead = TaskRun.objects.get(state=State.DEAD)
    assert (dead.kwargs, dead.attempt, dead.error["message"]) == ({"entries": 1}, 2, "bad cannot be written")
    assert dead.alert_due
    assert [entry.pk for entry in selectors.entries(dead.pk)] == [poison]
    # The cause of its being alone can be followed.
    assert read_stream(dead.stream)[0].meta["causation_id"] == str(batch.pk)


def test_a_dead_run_keeps_its_entry_and_can_be_redriven():
    work.record.put(name="bad", fault="poison")
    run_to_the_end()
    run = TaskRun.objects.get(state=State.DEAD)
    Entry.objects.update(payload={"name": "mended"})
    services.redrive(run_id=run.pk)
    run_to_the_end()
    assert effects() == Counter(["mended"])
    assert not Entry.objects.exists()


def test_where_nothing_can_be_written_the_batch_is_tried_again_and_set_aside_in_its_last_attempt():
    put_many(5, fault="poison")
    collect_all()
    batch = TaskRun.objects.get()
    run_to_the_end()
    batch.refresh_from_db()
    assert (batch.state, batch.attempt, batch.result["moved"]) == (State.SUCCEEDED, 2, 5)
    assert [event.type for event in read_stream(batch.stream)].count("task.attempt_failed") == 1
    assert TaskRun.objects.filter(state=State.DEAD).count() == 5
    assert not Effect.objects.exists()


def test_an_entry_that_says_when_to_try_again_says_it_for_the_batch():
    put_many(3)
    work.record.put(name="bad", fault="later")
    run_pending()
    run = TaskRun.objects.get()
    assert (run.state, run.attempt, run.error["type"]) == (State.SCHEDULED, 1, "RetryLater")
    assert run.due_at - run.requested_at > timedelta(seconds=590)
    assert not Effect.objects.exists()


def test_errors_of_the_databases_operation_are_blamed_on_entries_in_the_last_attempt_only():
    put_many(3)
    work.record.put(name="bad", fault="database")
    run_to_the_end()
    batch = TaskRun.objects.get(state=State.SUCCEEDED)
    assert (batch.attempt, batch.result["moved"]) == (2, 1)
    failed = [event for event in read_stream(batch.stream) if event.type == "task.attempt_failed"]
    assert [event.data["error"]["type"] for event in failed] == ["OperationalError"]
    assert TaskRun.objects.get(state=State.DEAD).kwargs == {"entries": 1}
    assert effects() == Counter(["n0", "n1", "n2"])


def test_a_run_whose_worker_was_lost_goes_on_in_two_halves():
    put_many(9)
    collect_all()
    batch = TaskRun.objects.get()
    claims.claim(run_id=batch.pk, worker="lost")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_taskrun SET lease_until = now() - interval '1 s'")
    assert len(claims.reconcile()) == 1
    run_pending()
    batch.refresh_from_db()
    assert batch.result == {"entries": 9, "written": 0, "moved": 9}
    halves = TaskRun.objects.exclude(pk=batch.pk)
    assert sorted(run.kwargs["entries"] for run in halves) == [4, 5]
    assert sum(effects().values()) == Record.objects.count() == 9


def test_a_worker_that_lost_its_claim_writes_nothing_and_leaves_the_entries(monkeypatch):
    put_many(3)
    collect_all()
    run = TaskRun.objects.get()
    task = current_app.tasks["workload.record"]
    handler = task.run

    def losing(entries):
        handler(entries)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tasks_taskrun SET fence = fence + 1 WHERE id = %s", [run.pk])

    with monkeypatch.context() as patched:
        patched.setattr(task, "run", losing)
        run_pending()
    assert not Effect.objects.exists()
    assert Entry.objects.filter(run_id=run.pk).count() == 3


def test_entries_of_a_task_that_is_not_known_here_wait(capsys):
    work.record.put(name="a")
    Entry.objects.update(task="workload.of_another_version")
    Collector().collect()
    assert "workload.of_another_version" in capsys.readouterr().err
    assert Entry.objects.filter(run_id=None).count() == 1


def test_a_task_that_cannot_be_collected_does_not_stop_the_relay(capsys, monkeypatch):
    monkeypatch.setattr(work.record, "default_queue", "nowhere")
    work.record.put(name="a")
    age(10)
    collector = Collector()
    assert not collector.collect()
    assert "there is no queue 'nowhere'" in capsys.readouterr().err
    assert Entry.objects.get().run_id is None


def test_two_collectors_never_take_the_same_entry(monkeypatch):
    """The second collects while the first's transaction is open."""
    put_many(80)
    elsewhere: list[int] = []
    request = microbatches.request

    def meanwhile(run):
        def other() -> None:
            try:
                elsewhere.append(collect(work.record))
            finally:
                connection.close()

        monkeypatch.setattr(microbatches, "request", request)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return request(run)

    monkeypatch.setattr(microbatches, "request", meanwhile)
    assert collect(work.record) == 50
    assert elsewhere == [30]
    run_pending()
    assert sum(effects().values()) == Record.objects.count() == 80
