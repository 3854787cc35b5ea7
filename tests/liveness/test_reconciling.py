"""One look for orphans: what it finds, what it does about it, when it keeps its hands off."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.events import projections
from apps.events.selectors import read_stream
from apps.liveness import services
from apps.liveness.guarding import guarded
from apps.liveness.leases import Beat
from apps.liveness.marks import worker_leases
from apps.liveness.models import OrphanCount, Scan, WorkerSession
from apps.liveness.populations import Kind, Outcome
from apps.liveness.projection import WorkerSessions
from apps.liveness.reconciling import reconcile_orphans
from apps.liveness.redis import client
from apps.liveness.states import SessionState
from apps.liveness.workers import TradingWorkers
from tests.liveness.helpers import elapse, rebuilt
from tests.support import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("follows_from_events")]


@pytest.fixture
def follows_from_events(committed, settings):
    settings.LIVENESS_START_GRACE = 0.0
    yield
    assert projections.check(WorkerSessions()) == []


@pytest.fixture
def start(new_user):
    """Starts the worker of a new user."""
    return lambda worker="": services.session_start(user_id=new_user().pk, worker=worker)


def beat(*sessions):
    return [services.session_beat(user_id=one.user_id, token=one.token) for one in sessions]


def scan(**options):
    """What was found and done among workers, by kind."""
    [found] = [one for one in reconcile_orphans(**options).populations if one.name == "workers"]
    return found


def state(session):
    session.refresh_from_db()
    return session.state


def unmark(*sessions):
    for one in sessions:
        assert worker_leases().release(str(one.user_id), one.token)


# The three kinds ----------------------------------------------------------------------------------


def test_a_mark_past_its_time_ends_the_session_and_fences_the_worker(start):
    dead, alive = start("dead"), start("alive")
    rebuilt()
    elapse(95)
    beat(alive)
    found = scan()
    assert (found.found, found.acted) == ({Kind.STALE_MARK: 1}, {Kind.STALE_MARK: 1})
    assert found.members == 2
    assert (state(dead), state(alive)) == (SessionState.ORPHANED, SessionState.ACTIVE)
    event = read_stream(dead.stream)[-1]
    assert (event.type, event.data["kind"]) == ("worker.orphaned", "stale_mark")
    assert dead.reason == event.data["reason"] == "it has not beaten for 95 s"
    assert dead.alert_due
    assert beat(dead, alive) == [Beat.FENCED, Beat.BEATING]
    assert worker_leases().counts().claimed == 0
    assert scan().found == {}


def test_a_mark_that_is_only_stale_is_left_alone(start):
    session = start()
    rebuilt()
    elapse(60)
    assert worker_leases().counts().stale == 1
    assert scan().found == {}
    assert beat(session) == [Beat.BEATING]


def test_a_session_without_a_mark_is_ended(start):
    lost, alive = start(), start()
    rebuilt()
    unmark(lost)
    assert scan().found == {}, "the database has just heard of it"
    elapse(95)
    beat(alive)
    found = scan()
    assert (found.found, found.acted) == ({Kind.ORPHAN_TASK: 1}, {Kind.ORPHAN_TASK: 1})
    assert (state(lost), state(alive)) == (SessionState.ORPHANED, SessionState.ACTIVE)
    assert read_stream(lost.stream)[-1].data["kind"] == "orphan_task"


def test_a_mark_without_a_session_is_taken_away(start, own_set):
    session = start()
    rebuilt()
    worker_leases().register("4711", 99)
    # By somebody who knows nothing of tokens, and no user either.
    client().zadd(f"{own_set}worker:all", {"815": timezone.now().timestamp(), "x|y": 5, b"\xff\x00": 5})
    found = scan()
    assert (found.found, found.acted) == ({Kind.ORPHAN_MARK: 4}, {Kind.ORPHAN_MARK: 4})
    assert client().zrange(f"{own_set}worker:all", 0, -1) == [str(session.user_id).encode()]
    assert scan().found == {}


def test_a_mark_of_an_earlier_session_is_taken_away_and_the_later_worker_goes_on(start, redis_restored):
    """Redis was away while the worker was followed by another, and knows of the first only."""
    first = start()
    rebuilt()
    with redis_restored():
        second = services.session_start(user_id=first.user_id)
    assert worker_leases().beat(str(first.user_id), first.token) is Beat.BEATING
    assert scan().acted == {Kind.ORPHAN_MARK: 1}
    assert beat(first, second) == [Beat.FENCED, Beat.BEATING]
    assert scan().found == {}


@pytest.fixture
def redis_restored(settings):
    """Blocks in which nothing listens where Redis should be."""
    from contextlib import contextmanager

    @contextmanager
    def away():
        before = settings.REDIS_URL
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        try:
            yield
        finally:
            settings.REDIS_URL = before

    return away


def test_a_worker_that_has_just_begun_is_no_orphan_yet(start, settings):
    settings.LIVENESS_START_GRACE = 120.0
    unmarked, stale = start(), start()
    rebuilt()
    unmark(unmarked)
    elapse(95)
    assert scan().found == {}
    assert state(unmarked) == state(stale) == SessionState.ACTIVE


# Two witnesses ------------------------------------------------------------------------------------


def test_a_worker_that_the_database_has_heard_of_is_put_back(start):
    """It could not reach Redis, which the reaper can."""
    session = start()
    rebuilt()
    elapse(95)
    WorkerSession.objects.update(last_seen_at=timezone.now())
    found = scan()
    assert (found.found, found.acted) == ({}, {})
    assert beat(session) == [Beat.BEATING]
    assert worker_leases().counts().claimed == 0


def test_the_database_hears_now_and_then_when_redis_was_beaten(start):
    session = start()
    rebuilt()
    elapse(80)
    beat(session)
    assert scan().found == {}
    session.refresh_from_db()
    assert timezone.now() - session.last_seen_at < timedelta(seconds=30)
    written = session.last_seen_at
    beat(session)
    scan()
    session.refresh_from_db()
    assert session.last_seen_at == written, "not with every look"


def test_with_redis_away_only_long_silence_in_the_database_counts(start, settings, redis_restored):
    quiet, silent = start(), start()
    rebuilt()
    WorkerSession.objects.filter(pk=quiet.pk).update(last_seen_at=timezone.now() - timedelta(seconds=200))
    WorkerSession.objects.filter(pk=silent.pk).update(last_seen_at=timezone.now() - timedelta(seconds=310))
    with redis_restored():
        found = scan()
    assert "Redis does not answer" in found.refused
    assert found.acted == {Kind.ORPHAN_TASK: 1}
    assert (state(quiet), state(silent)) == (SessionState.ACTIVE, SessionState.ORPHANED)


def test_the_database_alone_does_not_end_most_of_a_population_either(start, redis_restored):
    """The whole platform was away, Redis is still."""
    sessions = [start() for _ in range(12)]
    WorkerSession.objects.update(last_seen_at=timezone.now() - timedelta(seconds=400))
    with redis_restored():
        found = scan()
        assert (found.mass, found.found, found.acted) == (True, {Kind.ORPHAN_TASK: 12}, {})
        assert {state(one) for one in sessions} == {SessionState.ACTIVE}
        assert scan(force=True).acted == {Kind.ORPHAN_TASK: 12}


def test_a_set_that_was_lost_gives_time_to_those_whom_the_database_has_not_heard_of_either(start):
    session = start()
    elapse(400)
    assert "Redis had lost the set" in scan().refused
    assert scan().found == {}
    assert state(session) == SessionState.ACTIVE
    elapse(95)
    assert scan().acted == {Kind.STALE_MARK: 1}


# When nothing may be concluded --------------------------------------------------------------------


def test_a_set_that_redis_lost_is_rebuilt_from_the_sessions_and_given_time(start):
    dead, alive = start(), start()
    rebuilt()
    elapse(95)
    client().delete(*worker_leases().keys)
    found = scan()
    assert found.members == 2
    assert "Redis had lost the set" in found.refused
    assert found.found == {}
    beat(alive)
    assert "have time to beat" in scan().refused
    elapse(95)
    beat(alive)
    assert scan().acted == {Kind.STALE_MARK: 1}
    assert (state(dead), state(alive)) == (SessionState.ORPHANED, SessionState.ACTIVE)


def test_most_of_a_population_late_at_once_needs_an_operator(start):
    sessions = [start() for _ in range(12)]
    rebuilt()
    elapse(95)
    beat(*sessions[:5])
    found = scan()
    assert found.mass
    assert "most of the population is late at once" in found.refused
    assert (found.found, found.acted) == ({Kind.STALE_MARK: 7}, {})
    assert {state(one) for one in sessions} == {SessionState.ACTIVE}
    assert Scan.objects.first().alert_due
    assert scan(force=True).acted == {Kind.STALE_MARK: 7}
    assert [state(one) for one in sessions] == [SessionState.ACTIVE] * 5 + [SessionState.ORPHANED] * 7


def test_half_of_a_population_and_most_of_a_small_one_are_settled(start):
    sessions = [start() for _ in range(10)]
    rebuilt()
    elapse(95)
    beat(*sessions[:5])
    assert scan().acted == {Kind.STALE_MARK: 5}
    elapse(95)
    beat(*sessions[:1])
    assert scan().acted == {Kind.STALE_MARK: 4}


def test_a_population_is_left_alone_while_most_of_the_one_that_holds_it_is_late(monkeypatch, start):
    monkeypatch.setattr("apps.tasks.populations.Processes.leases", property(lambda self: worker_leases()))
    for _ in range(10):
        start()
    rebuilt()
    elapse(95)
    populations = {one.name: one for one in reconcile_orphans().populations}
    assert populations["processes"].mass
    assert populations["runs"].refused.startswith("processes: most of the population")


# Races --------------------------------------------------------------------------------------------


def test_a_reaper_that_dies_before_its_commit_leaves_the_orphan_to_another(start, monkeypatch, settings):
    session = start()
    rebuilt()
    elapse(95)
    with monkeypatch.context() as dying:
        dying.setattr(TradingWorkers, "end", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reconcile_orphans()
    assert Scan.objects.get().refused.startswith("workers: ZeroDivisionError: division by zero")
    assert state(session) == SessionState.ACTIVE
    assert scan().found == {}, "it is another's for a while"
    elapse(61)
    assert scan().acted == {Kind.STALE_MARK: 1}
    assert state(session) == SessionState.ORPHANED


def test_a_reaper_that_dies_after_its_commit_does_no_harm(start, monkeypatch):
    session = start()
    rebuilt()
    elapse(95)
    with monkeypatch.context() as dying:
        dying.setattr("apps.liveness.leases.LeaseSet.acknowledge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reconcile_orphans()
    elapse(61)
    assert scan().acted == {Kind.ORPHAN_MARK: 1}
    assert [event.type for event in read_stream(session.stream)] == ["worker.started", "worker.orphaned"]


def test_one_that_commits_a_guarded_write_at_this_moment_is_looked_at_again(start):
    session = start()
    rebuilt()
    elapse(95)
    looked = threading.Event()
    found = []

    def look():
        try:
            found.append(scan())
        finally:
            looked.set()
            connections.close_all()

    with transaction.atomic():
        with guarded(user_id=session.user_id, token=session.token):
            pass
        thread = threading.Thread(target=look)
        thread.start()
        assert looked.wait(30), "the look waits for the write"
    thread.join()
    assert (found[0].found, found[0].acted) == ({Kind.STALE_MARK: 1}, {})
    assert scan().acted == {Kind.STALE_MARK: 1}


def test_many_looks_at_once_settle_each_orphan_once(start):
    sessions = [start() for _ in range(30)]
    alive = [start() for _ in range(31)]
    rebuilt()
    elapse(95)
    beat(*alive)
    barrier = threading.Barrier(4)
    acted = []

    def look():
        barrier.wait()
        try:
            acted.append(scan().acted[Kind.STALE_MARK])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(acted) == 30
    assert {state(one) for one in sessions} == {SessionState.ORPHANED}
    assert {state(one) for one in alive} == {SessionState.ACTIVE}
    assert {len(read_stream(one.stream)) for one in sessions} == {2}
    assert OrphanCount.objects.get(population="workers", kind="stale_mark").count == 30


# The record ---------------------------------------------------------------------------------------


def test_every_scan_is_recorded_with_what_it_found_and_did(start):
    dead = start()
    rebuilt()
    elapse(95)
    reconcile_orphans()
    record = Scan.objects.get()
    assert record.duration > 0
    assert (record.members, record.found, record.acted) == (1, 1, 1)
    assert record.alert_due
    workers = record.populations["workers"]
    assert workers["found"] == workers["acted"] == {"stale_mark": 1}
    [orphan] = workers["orphans"]
    assert (orphan["member"], orphan["kind"]) == (str(dead.user_id), "stale_mark")
    assert 90 < orphan["silence"] < 150
    assert {"processes", "runs"} < record.populations.keys()
    reconcile_orphans()
    assert not Scan.objects.first().alert_due


def test_scans_that_found_nothing_are_forgotten_after_a_day_and_others_later(start, settings):
    settings.LIVENESS_SCANS_KEPT = 30
    ages = {"quiet": (2, 0), "found": (2, 1), "old": (31, 1), "young": (0.5, 0)}
    for days, found in ages.values():
        one = Scan.objects.create(duration=1, members=1, found=found, acted=found)
        Scan.objects.filter(pk=one.pk).update(at=timezone.now() - timedelta(days=days))
    reconcile_orphans()
    assert Scan.objects.filter(duration=1).count() == 2


def test_a_dry_run_finds_the_same_and_changes_nothing(start, own_set):
    stale, lost, alive, fresh = start(), start(), start(), start()
    rebuilt()
    unmark(lost)
    elapse(95)
    beat(alive, fresh)
    worker_leases().register("4711", 99)
    everything = {Kind.STALE_MARK: 1, Kind.ORPHAN_TASK: 1, Kind.ORPHAN_MARK: 1}
    found = scan(dry_run=True)
    assert (found.found, found.acted) == (everything, {})
    assert {state(one) for one in (stale, lost, alive, fresh)} == {SessionState.ACTIVE}
    assert not Scan.objects.exists()
    assert client().zcard(f"{own_set}worker:all") == 4
    assert scan().acted == everything


def test_what_goes_wrong_in_one_population_does_not_keep_the_others_from_being_looked_at(start, monkeypatch):
    session = start()
    rebuilt()
    elapse(95)
    monkeypatch.setattr("apps.liveness.workers.TradingWorkers.judge", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reconcile_orphans()
    [record] = Scan.objects.all()
    assert "ZeroDivisionError" in record.populations["workers"]["refused"]
    assert "Redis had lost the set" in record.populations["runs"]["refused"]
    assert state(session) == SessionState.ACTIVE


def test_orphans_that_others_are_busy_with_are_not_looked_at_again_and_again(start, monkeypatch):
    alive = [start() for _ in range(5)]
    dead = [start() for _ in range(4)]
    rebuilt()
    elapse(95)
    beat(*alive)
    with monkeypatch.context() as busy:
        busy.setattr("apps.liveness.reconciling._LIMIT", 2)
        busy.setattr(TradingWorkers, "end", lambda _, orphans: [Outcome.BUSY for _ in orphans])
        assert scan().acted == {}
    assert scan().acted == {Kind.STALE_MARK: 4}
    assert {state(one) for one in dead} == {SessionState.ORPHANED}


def test_more_orphans_than_one_step_takes_are_all_settled(start, monkeypatch):
    monkeypatch.setattr("apps.liveness.reconciling._LIMIT", 5)
    sessions = [start() for _ in range(13)]
    alive = [start() for _ in range(14)]
    rebuilt()
    elapse(95)
    beat(*alive)
    assert scan().acted == {Kind.STALE_MARK: 13}
    assert {state(one) for one in sessions} == {SessionState.ORPHANED}


def test_a_worker_that_beats_while_looks_go_on_is_never_an_orphan(start, settings):
    """Real time: beats every 50 ms, orphans after 400 ms, looks all the time."""
    settings.LIVENESS_STALE_AFTER, settings.LIVENESS_ORPHAN_AFTER = 0.2, 0.4
    session, dead = start(), start()
    worker_leases().rebuild([(str(one.user_id), one.token) for one in (session, dead)])
    stop = threading.Event()
    answers = []

    def keep_beating():
        try:
            while not stop.wait(0.05):
                answers.extend(beat(session))
        finally:
            connections.close_all()

    thread = threading.Thread(target=keep_beating)
    thread.start()
    try:
        wait_until(lambda: scan() and state(dead) == SessionState.ORPHANED, what="the dead one to be found")
        for _ in range(20):
            scan()
    finally:
        stop.set()
        thread.join()
    assert set(answers) == {Beat.BEATING}
    assert state(session) == SessionState.ACTIVE
