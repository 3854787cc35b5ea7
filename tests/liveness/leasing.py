"""What tests of leases share."""

from __future__ import annotations

import redis

from apps.liveness.leases import LeaseSet
from apps.liveness.leases.scripts import Client


def elapse(leases: LeaseSet, client: Client, seconds: float, *, only: str | None = None) -> None:
    """Let time pass for the set: its times, of *only* one member or all, become so much older."""
    marks, _, starts, claims, meta = leases.keys
    for key in (marks, claims):
        for member, _ in client.zrange(key, 0, -1, withscores=True):
            if only is None or member.decode().rpartition("|")[2] == only:
                client.zincrby(key, -seconds, member)
    for member in client.hkeys(starts):
        if only is None or member.decode() == only:
            client.hincrbyfloat(starts, member, -seconds)
    if only is None and client.hexists(meta, "boot"):
        client.hincrbyfloat(meta, "boot", -seconds)


def server_time(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return seconds + micros / 1e6
