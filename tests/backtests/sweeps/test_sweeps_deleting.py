"""Deleting a sweep while a worker stores what it found."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction

from apps.backtests.models import Sweep, SweepChunk
from apps.backtests.sweeps.ending import sweep_delete
from apps.backtests.sweeps.requesting import sweep_request
from apps.tasks.models import TaskRun
from tests.backtests.sweeps.conftest import END, START, store
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("shared_candles")


def test_deleting_waits_for_a_worker_that_stores_a_chunk_without_holding_its_run() -> None:
    sweep = sweep_request(
        owner_id=get_user_model().objects.create_user("alice").pk,
        instruments=[store()],
        timeframe="1h",
        start=START,
        end=END,
        spec={"strategy": "sma_cross"},
        space={"fast": [2, 3], "slow": [10, 20]},
    )
    chunk = sweep.chunks.get()
    began = threading.Event()
    backend: list[int] = []

    def delete() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend.append(cursor.fetchone()[0])
            began.set()
            sweep_delete(sweep=Sweep.objects.get(pk=sweep.pk), actor="system")
        finally:
            connections.close_all()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [backend[0]]
            )
            return bool(cursor.fetchone()[0])

    deleting = threading.Thread(target=delete)
    with transaction.atomic():
        # A worker's order: the chunk, then its run.
        SweepChunk.objects.filter(pk=chunk.pk).update(table=b"")
        deleting.start()
        assert began.wait(30)
        wait_until(waits, seconds=30, what="the deletion to wait for the chunk")
        assert TaskRun.objects.select_for_update(nowait=True).get(pk=chunk.task_run)
    deleting.join(30)
    assert not deleting.is_alive()
    assert not Sweep.objects.exists()
    assert TaskRun.objects.get(pk=chunk.task_run).state == "cancelled"
