"""Lease sets of this installation, and that of trading workers."""

from __future__ import annotations

from functools import cache

from apps.core.database import clock
from apps.liveness import conf
from apps.liveness.leases import LeaseSet, Timing
from apps.liveness.redis import client, key


def lease_set(name: str, timing: Timing) -> LeaseSet:
    """The set of that name on this installation's Redis, whose clock is watched by the database's."""
    return _lease_set(key(name), timing)


@cache
def _lease_set(name: str, timing: Timing) -> LeaseSet:
    return LeaseSet(name, timing, client, clock=clock)


def worker_leases() -> LeaseSet:
    """The marks of trading workers: ``worker:all``, whose members are user ids."""
    return lease_set("worker:all", conf.workers())
