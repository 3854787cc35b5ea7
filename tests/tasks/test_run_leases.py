"""What liveness watches of the platform: leases of runs, and processes; settled in this process."""

from __future__ import annotations

import json
import logging
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.events.selectors import read_stream
from apps.liveness.leases import Beat
from apps.liveness.models import Scan
from apps.liveness.populations import Kind, population
from apps.liveness.reconciling import reconcile_orphans
from apps.tasks import claims, services
from apps.tasks.execution import attempt
from apps.tasks.filters import RunFilter
from apps.tasks.holdings import holdings
from apps.tasks.models import Process, TaskRun
from apps.tasks.populations import Processes, Runs, process_leases, run_leases
from apps.tasks.processes import Report
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from apps.tasks.worker import leases as worker_leases
from apps.tasks.worker.leases import RunLeases
from project.settings import base
from tests.liveness.helpers import elapse
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]

LEASE = 3.0


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def claimed(worker="w1", *, repeatable=True, **options) -> claims.Claim:
    result = work.note.apply_async(args=["a"], **options)
    found = claims.claim(run_id=uuid.UUID(result.id), worker=worker, repeatable=repeatable)
    assert found is not None
    return found


def state(run: claims.Claim) -> State:
    return State(TaskRun.objects.get(pk=run.run_id).state)


def marked(*runs: claims.Claim) -> None:
    """The runs' worker has renewed their leases in Redis."""
    run_leases().register_many([(str(one.run_id), one.fence) for one in runs])


def booted() -> None:
    """The sets are complete, and have been so for long."""
    for one in (Runs(), Processes()):
        marked = [(mark.member, mark.token) for page in one.leases.marks() for mark in page]
        one.leases.rebuild([])
        elapse(1000, one.leases)
        one.leases.beat_many(marked)
    TaskRun.objects.filter(state=State.RUNNING).update(lease_until=timezone.now() + timedelta(seconds=LEASE))
    Process.objects.update(seen_at=timezone.now())


def scan(name="runs", **options):
    [found] = [one for one in reconcile_orphans(**options).populations if one.name == name]
    return found


# Runs ---------------------------------------------------------------------------------------------


def test_a_run_that_neither_redis_nor_the_database_has_heard_of_goes_elsewhere():
    run = claimed()
    marked(run)
    booted()
    elapse(LEASE + 1, run_leases())
    found = scan()
    assert (found.found, found.acted) == ({Kind.STALE_MARK: 1}, {Kind.STALE_MARK: 1})
    assert state(run) == State.SCHEDULED
    assert types(run.run_id) == ["requested", "started", "orphaned"]
    assert run_leases().counts().members == run_leases().counts().claimed == 0


def test_a_mark_in_redis_keeps_a_run_whose_lease_in_the_database_is_long_over():
    run = claimed()
    marked(run)
    booted()
    elapse(100, run_leases())
    marked(run)
    assert scan().found == {}
    assert state(run) == State.RUNNING


def test_a_lease_in_the_database_keeps_a_run_whose_worker_cannot_reach_redis():
    run = claimed()
    marked(run)
    booted()
    elapse(LEASE + 1, run_leases())
    claims.renew(run_ids=[run.run_id], worker="w1")
    assert scan().found == {}
    assert state(run) == State.RUNNING
    assert run_leases().beat(str(run.run_id), run.fence) is Beat.BEATING


def test_a_run_whose_worker_died_before_its_first_renewal_is_found_without_a_mark():
    run = claimed()
    booted()
    run_leases().release(str(run.run_id), run.fence)
    assert scan().found == {}
    elapse(LEASE + 1, run_leases())
    assert scan().acted == {Kind.ORPHAN_TASK: 1}
    assert state(run) == State.SCHEDULED


def test_the_mark_of_a_run_that_has_ended_is_taken_away_when_its_worker_has_not_done_it():
    run = claimed()
    marked(run)
    booted()
    claims.succeed(run, None)
    assert scan().found == {}
    elapse(LEASE + 1, run_leases())
    assert scan().acted == {Kind.ORPHAN_MARK: 1}
    assert state(run) == State.SUCCEEDED
    assert run_leases().counts().members == 0


def test_the_mark_of_an_earlier_attempt_does_not_keep_the_later_one():
    first = claimed()
    marked(first)
    booted()
    claims.orphan(run_id=first.run_id, worker="w1", reason="lost")
    second = claims.claim(run_id=first.run_id, worker="w2")
    assert scan().found == {}
    elapse(LEASE + 1, run_leases())
    assert scan().acted == {Kind.ORPHAN_MARK: 1, Kind.ORPHAN_TASK: 1}
    assert second is not None
    assert state(second) == State.SCHEDULED


@pytest.mark.parametrize("seconds", [299, 302])
def test_with_redis_away_a_run_is_kept_for_as_long_as_its_worker_may_not_have_noticed(settings, seconds):
    run = claimed()
    elapse(LEASE + seconds, run_leases())
    before = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    found = scan()
    settings.REDIS_URL = before
    assert "Redis does not answer" in found.refused
    assert state(run) == (State.RUNNING if seconds < 300 else State.SCHEDULED)


def test_a_dry_run_leaves_runs_where_they_are():
    run = claimed()
    marked(run)
    booted()
    elapse(LEASE + 1, run_leases())
    assert scan(dry_run=True).found == {Kind.STALE_MARK: 1}
    assert state(run) == State.RUNNING


def test_a_set_of_runs_that_was_lost_is_rebuilt_with_those_that_must_have_a_mark():
    """The others end soon, and nobody would take their marks away."""
    short, long = claimed(), claimed()
    TaskRun.objects.filter(pk=long.run_id).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert "Redis had lost the set" in scan().refused
    claims.succeed(short, None)
    assert [mark.member for page in run_leases().marks() for mark in page] == [str(long.run_id)]
    elapse(LEASE + 1, run_leases())
    assert scan().acted == {Kind.STALE_MARK: 1}
    assert state(long) == State.SCHEDULED


# What must not be repeated ------------------------------------------------------------------------


def test_a_run_that_must_not_be_repeated_needs_a_review_when_its_worker_died():
    run = claimed(repeatable=False)
    booted()
    run_leases().release(str(run.run_id), run.fence)
    elapse(LEASE + 1, run_leases())
    scan()
    row = TaskRun.objects.get(pk=run.run_id)
    assert (row.state, row.needs_review, row.attempt) == (State.DEAD, True, 1)
    assert types(run.run_id) == ["requested", "started", "orphaned", "dead_lettered"]
    event = read_stream(row.stream)[-1]
    assert event.data == {"reason": "orphaned, and it must not be repeated unseen", "needs_review": True}
    services.redrive(run_id=run.run_id)
    row.refresh_from_db()
    assert (row.state, row.needs_review) == (State.SCHEDULED, False)


def test_a_failure_that_is_known_is_tried_again_all_the_same():
    run_id = uuid.UUID(work.once.delay("a", failures=1).id)
    assert attempt(run_id=run_id, worker="w1", task=work.once).state == State.SCHEDULED
    row = TaskRun.objects.get()
    assert (row.state, row.needs_review, row.repeatable) == (State.SCHEDULED, False, False)


def test_one_that_somebody_had_asked_to_cancel_is_cancelled():
    run = claimed(repeatable=False)
    services.cancel(run_id=run.run_id)
    claims.orphan(run_id=run.run_id, worker="w1", reason="lost")
    row = TaskRun.objects.get(pk=run.run_id)
    assert (row.state, row.needs_review) == (State.CANCELLED, False)


# Processes ----------------------------------------------------------------------------------------


def test_a_process_has_a_mark_from_its_first_report_to_its_last():
    report = Report(Process.Kind.WORKER, name="h/1")
    report.write()
    [(mark, _)] = process_leases().look([(str(Process.objects.get().pk), 1)])
    assert mark is not None
    report.write(ended=True)
    assert process_leases().counts().members == 0


def test_a_process_that_vanished_is_found_and_shown_as_that():
    Report(Process.Kind.RELAY, name="h/1").write()
    alive = Report(Process.Kind.RELAY, name="h/2")
    alive.write()
    booted()
    elapse(95, process_leases())
    alive.write()
    assert scan("processes").acted == {Kind.STALE_MARK: 1}
    lost = Process.objects.get(name="h/1")
    assert (lost.condition, lost.reason) == ("vanished", "it has not beaten for 95 s")
    assert Process.objects.get(name="h/2").condition == "running"


def test_a_process_that_was_taken_for_dead_comes_back_under_another_token():
    report = Report(Process.Kind.WORKER, name="h/1")
    report.write()
    booted()
    elapse(95, process_leases())
    scan("processes")
    report.write()
    back = Process.objects.get()
    assert (back.condition, back.reason, back.token, report.condemned) == ("running", "", 2, "")
    assert process_leases().counts().alive == 1
    assert scan("processes").found == {}


def test_a_process_reports_while_redis_is_away_and_has_a_mark_again_afterwards(settings):
    report = Report(Process.Kind.WORKER, name="h/1")
    before = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    report.write()
    assert Process.objects.get().condition == "running"
    settings.REDIS_URL = before
    report.write()
    assert process_leases().counts().alive == 1


def test_a_worker_that_is_declared_dead_gives_up_its_runs_at_once_and_hears_of_it():
    report = Report(Process.Kind.WORKER, name="w1")
    report.write()
    mine, others = claimed("w1"), claimed("w2")
    member = str(Process.objects.get().pk)
    assert population("processes").declare_dead(member, "hangs")
    assert not population("processes").declare_dead(member, "hangs")
    assert (state(mine), state(others)) == (State.SCHEDULED, State.RUNNING)
    assert read_stream(f"task:{mine.run_id}")[-1].data["error"]["message"] == "hangs in attempt 1"
    row = Process.objects.get()
    assert (row.condition, row.reason) == ("dead", "hangs")
    report.write()
    assert report.condemned == "hangs"
    report.write()
    assert Process.objects.get().condition == "dead"
    booted()
    assert scan("processes").found == {}


def test_a_single_run_can_be_taken_from_its_worker():
    run = claimed()
    assert population("runs").declare_dead(str(run.run_id), "hangs")
    assert state(run) == State.SCHEDULED
    assert not population("runs").declare_dead("nonsense", "hangs")


def test_members_are_described_with_what_they_are_busy_with():
    Report(Process.Kind.WORKER, name="w1").write()
    run = claimed("w1")
    [shown] = population("processes").describe([str(Process.objects.get().pk), "nonsense"]).values()
    assert (shown.label, shown.detail) == ("w1", "worker")
    [work_] = shown.work
    assert (work_.label, str(run.run_id) in work_.url) == ("workload.note", True)
    [shown] = population("runs").describe([str(run.run_id)]).values()
    assert (shown.label, shown.detail) == ("workload.note", "w1")


# What the worker's main process does --------------------------------------------------------------


class Loop:
    """Keeps which requests were stopped."""

    can_kill = True

    def __init__(self):
        self.stopped = []

    def stop(self, request):
        self.stopped.append(request)


class Request:
    def __init__(self, run):
        self.run_id, self.id = run.run_id, str(run.run_id)


@pytest.fixture
def renewing(monkeypatch):
    """Renewals of one worker: which runs its processes execute is said by the list."""
    in_hand: dict = {}
    monkeypatch.setattr(worker_leases, "in_hand", in_hand)
    loop = Loop()
    leases = RunLeases(loop, "w1")

    def renew():
        leases.renew(holdings("w1"))

    renew.in_hand, renew.loop, renew.leases = in_hand, loop, leases
    return renew


def test_what_a_worker_executes_has_a_mark_until_it_ends(renewing):
    run, idle = claimed(), claimed()
    renewing.in_hand[Request(run)] = None
    renewing()
    assert [mark.member for page in run_leases().marks() for mark in page] == [str(run.run_id)]
    claims.succeed(run, None)
    renewing()
    assert run_leases().counts().members == 0
    assert state(idle) == State.RUNNING


def test_the_database_is_written_once_in_a_while_and_always_while_redis_is_away(renewing, settings):
    run = claimed()
    renewing.in_hand[Request(run)] = None
    renewing()

    def lease():
        return TaskRun.objects.get(pk=run.run_id).lease_until

    first = lease()
    renewing()
    renewing()
    assert lease() == first
    before = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    renewing()
    second = lease()
    assert second > first
    renewing()
    assert lease() > second
    settings.REDIS_URL = before
    renewing()
    assert run_leases().counts().alive == 1


def test_a_worker_comes_back_before_the_reaper_has_asked_the_database(renewing):
    """The reaper has claimed the run in Redis; the renewal reaches the database first, and the run stays."""
    run = claimed()
    renewing.in_hand[Request(run)] = None
    renewing()
    booted()
    elapse(LEASE + 1, run_leases())
    [claim] = run_leases().reap().claims
    renewing()
    elapse(61, run_leases())
    claims.renew(run_ids=[run.run_id], worker="w1")
    assert scan().found == {}
    renewing()
    assert run_leases().beat(claim.member, run.fence) is Beat.BEATING
    assert state(run) == State.RUNNING


def test_a_handler_whose_run_was_taken_is_ended_at_the_second_look(renewing, caplog):
    run, other = claimed(), claimed()
    request, innocent = Request(run), Request(other)
    renewing.in_hand |= {request: None, innocent: None}
    renewing()
    claims.orphan(run_id=run.run_id, worker="w1", reason="lost")
    claims.succeed(other, None)
    renewing()
    assert renewing.loop.stopped == []
    with caplog.at_level(logging.WARNING):
        renewing()
    assert renewing.loop.stopped == [request]
    assert "was taken from this worker" in caplog.text


def test_while_the_database_is_away_redis_hears_of_what_is_executed(renewing, django_assert_num_queries):
    run, ended = claimed(), claimed()
    over = Request(ended)
    renewing.in_hand |= {Request(run): None, over: None}
    renewing()
    del renewing.in_hand[over]
    elapse(100, run_leases())
    with django_assert_num_queries(0):
        renewing.leases.keep()
    found = run_leases().look([(str(run.run_id), run.fence), (str(ended.run_id), ended.fence)])
    assert [mark.age > 90 for mark, _ in found] == [False, True]


def test_a_worker_that_ends_takes_its_marks_away(renewing):
    run = claimed()
    renewing.in_hand[Request(run)] = None
    renewing()
    renewing.leases.release()
    assert run_leases().counts().members == 0


def test_every_scan_looks_at_all_three_populations():
    reconcile_orphans()
    assert set(Scan.objects.get().populations) == {"workers", "processes", "runs"}


def test_a_runs_page_says_when_redis_last_heard_of_it_or_what_the_database_knows(admin_client, settings):
    run = claimed()
    address = f"/admin/tasks/taskrun/{run.run_id}/change/"
    assert "Lease until" in admin_client.get(address).content.decode()
    marked(run)
    shown = admin_client.get(address).content.decode()
    assert "Last beat" in shown
    assert "Lease until" not in shown
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "Lease until" in admin_client.get(address).content.decode()


def test_beat_looks_for_orphans_every_half_minute():
    assert base.CELERY_BEAT_SCHEDULE["reconcile-orphans"] == {
        "task": "tasks.reconcile_orphans",
        "schedule": 30.0,
    }


def test_runs_that_need_a_review_can_be_selected(admin_client):
    run = claimed(repeatable=False)
    claims.orphan(run_id=run.run_id, worker="w1", reason="lost")
    work.refused.delay()
    run_pending()
    assert TaskRun.objects.filter(state=State.DEAD).count() == 2
    selected = RunFilter(needs_review=True)
    assert [one.pk for one in selected.runs()] == [run.run_id]
    assert RunFilter.from_json(selected.as_json()) == selected
    assert str(selected) == "needs review"
    assert [one["id"] for one in admin_client.get("/api/v1/tasks?needs_review=true").json()] == [
        str(run.run_id)
    ]
    board = admin_client.get("/admin/tasks/taskrun/?needs_review=yes").content.decode()
    assert board.count("needs review</td>") == 1
    page = admin_client.get(f"/admin/tasks/taskrun/{run.run_id}/change/").content.decode()
    assert "it must not be repeated unseen" in page
    out = StringIO()
    call_command("tasks", "list", "--needs-review", "--json", stdout=out)
    assert [one["id"] for one in json.loads(out.getvalue())["runs"]] == [str(run.run_id)]
