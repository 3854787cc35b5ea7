"""Time that passes for a population: in Redis and in the database."""

from __future__ import annotations

from django.db import connection

from apps.liveness.leases import LeaseSet
from apps.liveness.marks import worker_leases
from apps.liveness.redis import client
from tests.liveness import leasing


def elapse(seconds: float, leases: LeaseSet | None = None) -> None:
    """Let *seconds* pass for a set and for all sessions: everything written of them is older then."""
    leasing.elapse(worker_leases() if leases is None else leases, client(), seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE liveness_workersession SET last_seen_at = last_seen_at - %(s)s * interval '1 s'",
            {"s": seconds},
        )
        cursor.execute("UPDATE tasks_process SET seen_at = seen_at - %(s)s * interval '1 s'", {"s": seconds})
        cursor.execute(
            "UPDATE tasks_taskrun SET lease_until = lease_until - %(s)s * interval '1 s'", {"s": seconds}
        )


def rebuilt() -> None:
    """Have the workers' set rebuilt from the sessions, so long ago that it may be acted on."""
    from apps.liveness.workers import TradingWorkers

    worker_leases().rebuild(holder for part in TradingWorkers().holders() for holder in part)
    elapse(1000)
    for part in TradingWorkers().holders():
        worker_leases().beat_many(part)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE liveness_workersession SET last_seen_at = clock_timestamp()")
