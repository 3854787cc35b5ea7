"""What is done to some runs reads these and no others, also before the statistics know how many wait."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.tasks import claims, relay
from apps.tasks.models import TaskRun
from apps.tasks.operations import operate
from apps.tasks.states import Operation
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]

_WAITING, _PIECE = 2000, 10
_ACTS = {
    "publish": lambda ids: relay._record(dict.fromkeys(ids, "message"), reason="due"),
    "claim": lambda ids: claims.claim(run_id=ids[0], worker="w"),
    "cancel": lambda ids: operate(operation=Operation.CANCEL, run_ids=ids),
    "reschedule": lambda ids: operate(operation=Operation.RESCHEDULE, run_ids=ids, run_at=timezone.now()),
    "redrive": lambda ids: operate(operation=Operation.REDRIVE, run_ids=ids),
}


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'tasks_taskrun'"
        )
        return int(cursor.fetchone()[0])


def test_what_is_done_to_some_runs_does_not_read_all_that_wait():
    work.note.delay("first")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_taskrun")
    with transaction.atomic():
        for number in range(_WAITING):
            work.note.delay(str(number))
    ids = list(TaskRun.objects.order_by("-id").values_list("id", flat=True)[:_PIECE])
    read = {}
    for name, act in _ACTS.items():
        with transaction.atomic():
            before = _rows_read()
            act(ids)
            read[name] = _rows_read() - before
            transaction.set_rollback(True)
    assert max(read.values()) <= 3 * _PIECE, read
