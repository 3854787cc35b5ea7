"""A backlog is published whole and once; polls wait until they are worth their while."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from apps.events.models import Event
from apps.stack import environment
from apps.tasks.models import TaskRun
from apps.tasks.relay import Relay
from apps.tasks.states import State
from apps.tasks.transport import Channel
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
