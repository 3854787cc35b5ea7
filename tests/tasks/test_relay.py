"""A backlog is published whole and once; polls wait until they are worth their while."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.events.models import Event
from apps.stack import environment
from apps.tasks import claims, conf, publishing
from apps.tasks.models import TaskRun
from apps.tasks.relay import GatedRuns, Relay, publish_due
from apps.tasks.states import State
from apps.tasks.transport import Channel
from tests.support import blocked, wait_until
from tests.workload import tasks as work


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("queue", ["default", "ordered.fifo"])
def test_one_round_publishes_a_backlog_whole_and_once(committed, own_queues, queue):
    with transaction.atomic():
        for index in range(350):
            work.note.apply_async(args=[f"n{index}"], queue=queue)
    relay = Relay()
    try:
        relay._round()
    finally:
        relay._second.submit(lambda: connection.close()).result()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.QUEUED}
    published = Counter(Event.objects.filter(type="task.published").values_list("stream", flat=True))
    assert len(published) == 350
    assert set(published.values()) == {1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("exc", "away"),
    [
        (OperationalError("away"), "the database is away"),
        (EndpointConnectionError(endpoint_url="http://sqs"), "SQS is away"),
    ],
)
def test_a_relay_that_waits_for_a_server_lives_and_is_not_ready(own_queues, monkeypatch, exc, away):
    relay, told = Relay(), []
    rounds = iter((exc, None))

    def look() -> bool:
        told.append((relay.trouble(), relay.hindrance()))
        if (fault := next(rounds)) is not None:
            raise fault
        return False

    def rest() -> None:
        told.append((relay.trouble(), relay.hindrance()))
        relay.stop()

    monkeypatch.setattr(relay, "_round", look)
    monkeypatch.setattr(relay, "_sleep", rest)
    # Its pause between two attempts is of no use here.
    monkeypatch.setattr(relay._stop, "wait", lambda seconds: None)
    relay._run()
    assert told == [("", "it has not looked yet"), ("", away), ("", "")]
    relay._pauses.longer("default")
    assert (relay.trouble(), relay.hindrance()) == ("", "SQS does not take everything")


@pytest.fixture
def clock(monkeypatch):
    """The clock of pulses, to be set forward."""
    now = [time.monotonic()]
    monkeypatch.setattr("apps.core.pulse.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.django_db(transaction=True)
def test_a_relay_that_sqs_keeps_waiting_lives_however_many_queues_there_are(
    committed, own_queues, monkeypatch, clock
):
    for queue in ("default", "email", "ingest"):
        work.note.apply_async(args=[queue], queue=queue)
        work.note.apply_async(args=[queue], queue=queue, concurrency_key="k", concurrency_limit=1)
    relay, told = Relay(), []

    def hang(wakeups):
        clock[0] += conf.poll_watchdog() * 0.9
        told.append(relay.trouble())
        return {}

    monkeypatch.setattr(publishing, "send", hang)
    relay._round()
    assert told == [""] * 6


@pytest.mark.django_db(transaction=True)
def test_a_relay_that_has_much_to_send_again_lives(committed, own_queues, monkeypatch, clock):
    work.note.delay("lost")
    publish_due(queue="default")
    relay, told = Relay(), []
    TaskRun.objects.update(published_at=Now() - timedelta(hours=1))
    relay._lost._empty_since["default"] = (0.0, timezone.now())
    monkeypatch.setattr("apps.tasks.relay._is_empty", lambda queue: True)

    def again(**_):
        clock[0] += conf.poll_watchdog() * 0.9
        told.append(relay.trouble())
        return 100 if len(told) < 3 else 0

    monkeypatch.setattr("apps.tasks.relay.publish_lost", again)
    assert relay._lost.look() == 200
    assert told == [""] * 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("publish", "options"),
    [
        (lambda: publish_due(queue="default"), {}),
        (lambda: GatedRuns("default").publish(), {"concurrency_key": "k", "concurrency_limit": 1}),
    ],
    ids=["plain", "with a key"],
)
def test_a_run_claimed_before_the_relay_recorded_it_starts_after_its_publication(
    committed, own_queues, monkeypatch, publish, options
):
    """The message may be faster than the relay's commit: the claim waits for the row, and is later."""
    run_id = uuid.UUID(work.note.apply_async(args=["a"], **options).id)
    claimed = []

    def claim():
        try:
            claimed.append(claims.claim(run_id=run_id, worker="w"))
        finally:
            connection.close()

    worker = threading.Thread(target=claim)
    send = publishing.send

    def send_and_let_it_be_claimed(wakeups):
        sent = send(wakeups)
        worker.start()
        wait_until(blocked, what="the claim to wait", every=0.01)
        return sent

    monkeypatch.setattr(publishing, "send", send_and_let_it_be_claimed)
    assert publish() == (1, 1)
    worker.join()
    run = TaskRun.objects.get(pk=run_id)
    assert [claim.run_id for claim in claimed] == [run_id]
    assert run.published_at < run.started_at < run.lease_until
    events = Event.objects.filter(stream=run.stream).order_by("version")
    assert [event.type for event in events] == ["task.requested", "task.published", "task.started"]
    assert [event.recorded_at for event in events] == sorted(event.recorded_at for event in events)


@pytest.mark.parametrize(
    ("window", "received", "handlers", "room"),
    [
        (8, 0, 2, True),
        (8, 6, 2, True),
        # Seven of eight: a poll would bring one.
        (8, 7, 2, False),
        (8, 8, 2, False),
        # A window as large as the pool: no process may wait.
        (8, 7, 8, True),
        (4, 3, 1, True),
        # Of a large window ten are enough.
        (100, 90, 4, True),
        (100, 91, 4, False),
        # No window at all.
        (0, 50, 4, True),
    ],
)
def test_a_poll_waits_for_enough_room_but_never_while_a_process_would_be_idle(
    window, received, handlers, room
):
    qos = SimpleNamespace(
        prefetch_count=window,
        can_consume=lambda: not window or received < window,
        can_consume_max_estimate=lambda: max(window - received, 0) if window else None,
    )
    assert Channel._room(SimpleNamespace(qos=qos, handlers=handlers)) is room


def test_processes_of_the_stack_may_keep_their_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment.inherited()
