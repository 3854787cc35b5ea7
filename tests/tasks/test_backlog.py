"""What the relay and workers read does not grow with what waits, also while no statistics know of it.

They seldom do: a table of many ended runs is not analysed again for some thousands that wait.
"""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.tasks import claims, relay
from apps.tasks.models import TaskRun
from apps.tasks.operations import operate
from apps.tasks.states import Operation, State
from tests.workload import tasks as work

pytestmark = pytest.mark.usefixtures("committed", "own_queues")

_ENDED, _WAITING, _KEYED, _PIECE = 300, 3000, 500, 10
_KEYS = {
    "limited": lambda number: {"concurrency_key": f"c{number % 2}", "concurrency_limit": 2},
    "rated": lambda number: {"rate_key": f"r{number % 2}", "rate": "2/h"},
    "ordered": lambda number: {"queue": "ordered.fifo", "group_key": f"g{number % 2}"},
}
#: What is done, and what comes of it.
_ACTS = {
    "publish": (lambda ids: relay.publish_due(queue="default", limit=_PIECE), (_PIECE, _PIECE)),
    "publish with keys": (lambda ids: relay.GatedRuns("default").publish(limit=_PIECE), (8, 8)),
    "publish in order": (lambda ids: relay.GatedRuns("ordered.fifo").publish(limit=_PIECE), (2, 2)),
    "claim": (lambda ids: _claimed(ids["plain"][0]), True),
    "claim limited": (lambda ids: _claimed(ids["limited"][0]), True),
    "claim rated": (lambda ids: _claimed(ids["rated"][0]), True),
    "claim ordered": (lambda ids: _claimed(ids["ordered"][0]), True),
    "claim too early": (lambda ids: _claimed(ids["ordered"][-1]), False),
    "give up": (lambda ids: claims.give_up(run_id=ids["queued"][0], message_id="m", reason="x"), False),
    "cancel": (lambda ids: _done(Operation.CANCEL, ids["plain"]), _PIECE),
    "retry": (lambda ids: _done(Operation.RETRY, ids["later"]), _PIECE),
    "reschedule": (lambda ids: _done(Operation.RESCHEDULE, ids["plain"], run_at=timezone.now()), _PIECE),
    "look whether more is due": (lambda ids: relay._more_due(), {"default", "ordered.fifo"}),
    "look when the next is due": (lambda ids: relay._seconds_until_due() < 0, True),
}


def _claimed(run_id) -> bool:
    return claims.claim(run_id=run_id, worker="w") is not None


def _done(operation, run_ids, **options) -> int:
    return len(operate(operation=operation, run_ids=run_ids, **options).done)


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'tasks_taskrun'"
        )
        return int(cursor.fetchone()[0])


def _request(number, options=lambda _: {}):
    with transaction.atomic():
        return [work.note.apply_async(args=["x"], **options(index)).id for index in range(number)]


def test_what_is_read_does_not_grow_with_what_waits():
    _request(_ENDED)
    TaskRun.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE tasks_taskrun")
    _request(_WAITING // 2)
    TaskRun.objects.filter(state=State.SCHEDULED).update(state=State.QUEUED, published_at=timezone.now())
    ids = {"queued": [TaskRun.objects.filter(state=State.QUEUED).latest("id").id]}
    ids["plain"] = _request(_WAITING // 2)[:_PIECE]
    ids["later"] = _request(_PIECE, lambda _: {"countdown": 60})
    ids |= {kind: _request(_KEYED, options) for kind, options in _KEYS.items()}
    read = {}
    for name, (act, outcome) in _ACTS.items():
        with transaction.atomic():
            before = _rows_read()
            assert act(ids) == outcome, name
            read[name] = _rows_read() - before
            transaction.set_rollback(True)
    assert max(read.values()) < 100, read
