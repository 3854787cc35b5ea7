"""The heartbeat of a trading worker written in Python, on real threads and real time."""

from __future__ import annotations

import threading
import time

import pytest

from apps.events.selectors import read_stream
from apps.liveness import services
from apps.liveness.client import Heartbeat
from apps.liveness.errors import Fenced
from apps.liveness.marks import worker_leases
from apps.liveness.models import WorkerSession
from apps.liveness.states import SessionState
from tests.support import wait_until
from tests.workload.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def quick(settings):
    settings.LIVENESS_BEAT_EVERY = 0.05
    settings.LIVENESS_STALE_AFTER = 20.0
    settings.LIVENESS_ORPHAN_AFTER = 30.0


def beat_at(heart):
    [(mark, _)] = worker_leases().look([(str(heart.user_id), heart.token)])
    return mark.beat_at


def test_a_worker_beats_while_it_works_and_its_session_ends_with_the_block(new_user):
    user = new_user()
    with Heartbeat(user_id=user.pk, worker="host/1") as heart:
        first = beat_at(heart)
        wait_until(lambda: beat_at(heart) > first, what="a beat")
        assert not heart.fenced
        assert heart.reason == ""
        heart.check()
        with heart.guard():
            Effect.objects.create(name="order", attempt=1)
    session = WorkerSession.objects.get()
    assert (session.state, session.reason, session.worker) == (SessionState.STOPPED, "stopped", "host/1")
    assert worker_leases().counts().members == 0
    assert Effect.objects.count() == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat")]


def test_a_worker_that_is_declared_dead_is_told_once_with_a_reason(new_user):
    user = new_user()
    told = []
    with Heartbeat(user_id=user.pk, on_fenced=told.append) as heart:
        services.session_declare_dead(session_id=WorkerSession.objects.get().pk, reason="hangs")
        assert heart.wait(30)
        wait_until(lambda: told, what="the worker to be told")
        assert heart.fenced
        with pytest.raises(Fenced):
            heart.check()
        with pytest.raises(Fenced), heart.guard():
            pytest.fail("the block was entered")
    assert told == ["it was declared dead, or another worker of its user began"] == [heart.reason]
    session = WorkerSession.objects.get()
    assert [event.type for event in read_stream(session.stream)] == [
        "worker.started",
        "worker.declared_dead",
    ]


def test_a_write_under_way_when_the_worker_is_followed_by_another_is_rolled_back(new_user):
    user = new_user()
    with Heartbeat(user_id=user.pk) as first, Heartbeat(user_id=user.pk) as second:
        assert first.wait(30)
        assert not second.fenced
        with second.guard():
            Effect.objects.create(name="second", attempt=1)
    assert Effect.objects.get().name == "second"


def test_what_ends_the_block_is_the_reason_of_the_sessions_end(new_user):
    user = new_user()
    with pytest.raises(ZeroDivisionError), Heartbeat(user_id=user.pk):
        _ = 1 / 0
    assert WorkerSession.objects.get().reason == "ZeroDivisionError: division by zero"


def test_a_worker_that_nobody_can_hear_stops_by_itself(new_user, settings, monkeypatch):
    """Neither Redis nor the database: it must be taken for dead, and it cannot be told."""
    settings.LIVENESS_ORPHAN_AFTER = 0.5
    from django.db import OperationalError

    def unheard(**_):
        raise OperationalError("away")

    user = new_user()
    with Heartbeat(user_id=user.pk) as heart:
        monkeypatch.setattr(services, "session_beat", unheard)
        assert heart.wait(30)
        assert heart.reason == "nobody has heard of it for 0.5 s"


def test_a_worker_that_was_stopped_for_long_knows_at_once_when_it_goes_on(new_user, settings):
    """Before its thread had a turn."""
    settings.LIVENESS_BEAT_EVERY = 1000.0
    settings.LIVENESS_ORPHAN_AFTER = 0.2
    user = new_user()
    with Heartbeat(user_id=user.pk) as heart:
        time.sleep(0.25)
        with pytest.raises(Fenced):
            heart.check()


def test_a_worker_goes_on_through_an_outage_of_redis(new_user, settings):
    settings.LIVENESS_ORPHAN_AFTER = 5.0
    user = new_user()
    before = settings.REDIS_URL
    with Heartbeat(user_id=user.pk) as heart:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        seen = WorkerSession.objects.get().last_seen_at
        wait_until(lambda: WorkerSession.objects.get().last_seen_at > seen, what="a beat in the database")
        settings.REDIS_URL = before
        at = beat_at(heart)
        wait_until(lambda: beat_at(heart) > at, what="a beat in Redis")
        assert not heart.fenced
