"""What is asked of the worker's event loop."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from celery.concurrency.prefork import TaskPool

from apps.tasks.worker.mainloop import MainLoop


@pytest.fixture
def pool():
    """As Celery's pool between two rounds: of its processes 3, 4 and 5, 3 works and 4 is being written to."""
    found = SimpleNamespace(
        outbound=deque(),
        written=[],
        _all_inqueues={3, 4, 5},
        _busy_workers={3},
        _active_writes={4},
    )

    def write(fds):
        found.written.append((found.outbound.popleft(), fds))

    def create_write_handlers(hub):
        hub.consolidate_callback = write
        found._quick_put = found.outbound.append

    found._create_write_handlers = create_write_handlers
    return found


@pytest.fixture
def loop(pool):
    controller = SimpleNamespace(pool=TaskPool.__new__(TaskPool), hub=SimpleNamespace())
    controller.pool._pool = pool
    made = MainLoop(controller)
    made.write_at_once()
    # With every new connection.
    pool._create_write_handlers(controller.hub)
    return made


def test_a_request_is_written_to_an_idle_process_at_once(loop, pool):
    pool._quick_put("a")
    assert pool.written == [("a", [5])]
    assert not pool.outbound


def test_a_request_waits_while_no_process_is_idle(loop, pool):
    pool._busy_workers = {3, 5}
    pool._quick_put("a")
    assert pool.written == []
    assert list(pool.outbound) == ["a"]
