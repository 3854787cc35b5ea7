"""Sessions of trading workers: one token at a time for each user, and what follows from losing it."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from apps.core import context
from apps.events import projections
from apps.events.selectors import read_stream
from apps.liveness import services
from apps.liveness.errors import Fenced
from apps.liveness.guarding import guarded
from apps.liveness.leases import Beat
from apps.liveness.marks import worker_leases
from apps.liveness.models import WorkerSession
from apps.liveness.projection import ImpossibleTransition, WorkerSessions
from apps.liveness.redis import client
from apps.liveness.states import TRANSITIONS, SessionState
from tests.liveness.helpers import elapse, rebuilt
from tests.support import blocked, wait_until
from tests.workload.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("follows_from_events")]


@pytest.fixture
def follows_from_events(committed):
    yield
    assert projections.check(WorkerSessions()) == []


def write(name):
    Effect.objects.create(name=name, attempt=1)


def types(session):
    return [event.type for event in read_stream(session.stream)]


def test_a_started_worker_has_a_mark_in_the_sorted_set_under_its_users_id(new_user, own_set):
    user = new_user()
    session = services.session_start(user_id=user.pk, worker="host/1")
    [(member, score)] = client().zrange(f"{own_set}worker:all", 0, -1, withscores=True)
    seconds, micros = client().time()
    assert member == str(user.pk).encode()
    assert 0 <= seconds + micros / 1e6 - score < 60
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.BEATING
    assert client().zscore(f"{own_set}worker:all", user.pk) > score
    assert types(session) == ["worker.started"]


def test_a_beat_asks_the_database_nothing(new_user, django_assert_num_queries):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    with django_assert_num_queries(0):
        assert services.session_beat(user_id=user.pk, token=session.token) is Beat.BEATING


def test_a_later_worker_of_the_user_fences_the_earlier_one(new_user):
    user, other = new_user(), new_user()
    first = services.session_start(user_id=user.pk, worker="a")
    beside = services.session_start(user_id=other.pk)
    second = services.session_start(user_id=user.pk, worker="b")
    assert second.token > first.token
    assert services.session_beat(user_id=user.pk, token=first.token) is Beat.FENCED
    assert services.session_beat(user_id=user.pk, token=second.token) is Beat.BEATING
    assert services.session_beat(user_id=other.pk, token=beside.token) is Beat.BEATING
    first.refresh_from_db()
    assert (first.state, first.reason) == (SessionState.REPLACED, "worker b of the user began")
    assert types(first) == ["worker.started", "worker.replaced"]


def test_of_many_starts_at_once_one_session_is_left_and_it_has_the_last_token(new_user):
    user = new_user()
    barrier = threading.Barrier(6)

    def start():
        barrier.wait()
        try:
            services.session_start(user_id=user.pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    active = WorkerSession.objects.get(state=SessionState.ACTIVE)
    assert active.token == max(WorkerSession.objects.values_list("token", flat=True))
    assert WorkerSession.objects.filter(state=SessionState.REPLACED).count() == 5
    assert services.session_beat(user_id=user.pk, token=active.token) is Beat.BEATING


def test_a_stopped_worker_leaves_no_mark_and_stops_once(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    assert services.session_stop(user_id=user.pk, token=session.token, reason="deployed")
    assert not services.session_stop(user_id=user.pk, token=session.token)
    session.refresh_from_db()
    assert (session.state, session.reason) == (SessionState.STOPPED, "deployed")
    assert worker_leases().look([(str(user.pk), session.token)]) == [(None, False)]
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.FENCED


def test_a_worker_that_was_declared_dead_is_fenced_and_the_history_says_by_whom(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    with context.bind(actor="user:1"):
        assert services.session_declare_dead(session_id=session.pk, reason="hangs")
        assert not services.session_declare_dead(session_id=session.pk, reason="hangs")
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.FENCED
    event = read_stream(session.stream)[-1]
    assert (event.type, event.data["reason"], event.meta["actor"]) == (
        "worker.declared_dead",
        "hangs",
        "user:1",
    )


def test_a_token_counts_for_its_own_user_only(new_user):
    mine, theirs = new_user(), new_user()
    session = services.session_start(user_id=theirs.pk)
    assert services.session_beat(user_id=mine.pk, token=session.token) is Beat.FENCED
    assert not services.session_stop(user_id=mine.pk, token=session.token)


@pytest.mark.parametrize("booted", [False, True], ids=["everything", "one mark"])
def test_a_mark_that_redis_lost_is_made_again(new_user, booted):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    leases = worker_leases()
    if booted:
        rebuilt()
        leases.release(str(user.pk), session.token)
    else:
        client().delete(*leases.keys)
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.BEATING
    assert leases.beat(str(user.pk), session.token) is Beat.BEATING


def test_a_worker_whose_death_is_being_settled_is_fenced(new_user):
    """The reaper has claimed it, and has not written to the database yet."""
    user = new_user()
    session = services.session_start(user_id=user.pk)
    rebuilt()
    elapse(200)
    [claim] = worker_leases().reap().claims
    assert claim.token == session.token
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.FENCED


def test_while_redis_is_away_the_database_hears_of_every_beat(new_user, redis_away):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.BEATING
    assert WorkerSession.objects.get().last_seen_at > session.last_seen_at
    services.session_declare_dead(session_id=session.pk, reason="x")
    assert services.session_beat(user_id=user.pk, token=session.token) is Beat.FENCED


def test_a_session_that_is_rolled_back_leaves_no_mark(new_user):
    user = new_user()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        services.session_start(user_id=user.pk)
        raise ZeroDivisionError
    assert worker_leases().counts().members == 0
    assert not WorkerSession.objects.exists()


# Guarded writes -----------------------------------------------------------------------------------


def test_a_guarded_write_counts_while_the_token_is_the_users(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    with guarded(user_id=user.pk, token=session.token):
        write("order")
    assert Effect.objects.count() == 1


def test_a_fenced_worker_does_not_even_begin_to_write(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    services.session_start(user_id=user.pk)
    with pytest.raises(Fenced), guarded(user_id=user.pk, token=session.token):
        pytest.fail("the block was entered")


def test_a_worker_that_is_declared_dead_while_it_writes_commits_nothing(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)

    def declare_dead():
        try:
            services.session_declare_dead(session_id=session.pk, reason="hangs")
        finally:
            connections.close_all()

    with pytest.raises(Fenced), guarded(user_id=user.pk, token=session.token):
        write("order")
        thread = threading.Thread(target=declare_dead)
        thread.start()
        # Not kept waiting by a worker that hangs in the middle.
        thread.join(30)
        assert not thread.is_alive()
    assert not Effect.objects.exists()


def test_whoever_declares_a_worker_dead_waits_for_writes_that_are_being_committed(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    order = []

    def declare_dead():
        try:
            services.session_declare_dead(session_id=session.pk, reason="hangs")
            order.append("dead")
        finally:
            connections.close_all()

    with transaction.atomic():
        with guarded(user_id=user.pk, token=session.token):
            write("order")
        thread = threading.Thread(target=declare_dead)
        thread.start()
        wait_until(lambda: blocked() == 1, what="the declaration to wait")
        order.append("committed")
    thread.join(30)
    assert order == ["committed", "dead"]
    assert Effect.objects.count() == 1


def test_guarded_writes_of_one_worker_do_not_wait_for_each_other(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    done = threading.Event()

    def write_second():
        try:
            with guarded(user_id=user.pk, token=session.token):
                write("second")
            done.set()
        finally:
            connections.close_all()

    with transaction.atomic():
        with guarded(user_id=user.pk, token=session.token):
            write("first")
        thread = threading.Thread(target=write_second)
        thread.start()
        assert done.wait(30)
    thread.join()


# State from events --------------------------------------------------------------------------------


def test_rebuilding_brings_back_every_session_as_it_was(new_user):
    user, other = new_user(), new_user()
    services.session_start(user_id=user.pk, worker="a")
    services.session_start(user_id=user.pk, worker="b")
    ended = services.session_start(user_id=other.pk)
    services.session_stop(user_id=other.pk, token=ended.token)
    before = list(WorkerSession.objects.order_by("id").values(*WorkerSessions.columns))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE liveness_workersession")
    projections.rebuild(WorkerSessions())
    assert list(WorkerSession.objects.order_by("id").values(*WorkerSessions.columns)) == before


def test_every_transition_has_its_event_type_and_no_other_is_possible(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)
    services.session_stop(user_id=user.pk, token=session.token)
    started, stopped = read_stream(session.stream)
    fold = WorkerSessions().fold
    row = fold(None, started)
    assert fold(row, stopped)["state"] == SessionState.STOPPED
    with pytest.raises(ImpossibleTransition):
        fold(None, stopped)
    with pytest.raises(ImpossibleTransition):
        fold(fold(row, stopped), stopped)
    assert {after for _, after in TRANSITIONS.values()} == set(SessionState)


def test_an_ended_session_whose_user_was_told_can_be_archived(new_user):
    user = new_user()
    session = services.session_start(user_id=user.pk)

    def finished():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {WorkerSessions().finished()} FROM liveness_workersession")
            return cursor.fetchone()[0]

    assert finished() is None
    services.session_stop(user_id=user.pk, token=session.token)
    assert finished() is not None
    WorkerSession.objects.update(alert_due=True)
    assert finished() is None
