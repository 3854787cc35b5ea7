"""Leases in a sorted set of Redis. Knows Redis and nothing else of the product.

One `LeaseSet` is one population: whoever belongs to it holds a mark in a sorted set, whose score is the
server's time of the last beat, and a token. Who is late is found in O(log N), however many others there are
and whatever else the server holds.
"""

from __future__ import annotations

from apps.liveness.leases.leaseset import LeaseSet
from apps.liveness.leases.values import (
    Beat,
    Claim,
    Counts,
    Mark,
    Reaped,
    Timing,
    Unavailable,
    Verdict,
)

__all__ = ["Beat", "Claim", "Counts", "LeaseSet", "Mark", "Reaped", "Timing", "Unavailable", "Verdict"]
