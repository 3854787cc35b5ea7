"""The marks of trading workers."""

from __future__ import annotations

from functools import cache

from apps.core.database import clock
from apps.liveness import conf
from apps.liveness.leases import LeaseSet, Timing
from apps.liveness.redis import client, key


@cache
def _leases(name: str, timing: Timing) -> LeaseSet:
    return LeaseSet(name, timing, client, clock=clock)


def worker_leases() -> LeaseSet:
    """The marks of trading workers: ``worker:all``, whose members are user ids."""
    return _leases(key("worker:all"), conf.workers())
