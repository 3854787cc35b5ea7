"""Sliding windows in Redis. Knows Redis and nothing else: no Django, and no other app."""

from __future__ import annotations

from apps.ratelimits.limiter.limiter import Limiter
from apps.ratelimits.limiter.subjects import subject
from apps.ratelimits.limiter.transports import connect
from apps.ratelimits.limiter.values import (
    Algorithm,
    Charge,
    Decision,
    Policy,
    Reason,
    Result,
    Unavailable,
)

__all__ = [
    "Algorithm",
    "Charge",
    "Decision",
    "Limiter",
    "Policy",
    "Reason",
    "Result",
    "Unavailable",
    "connect",
    "subject",
]
