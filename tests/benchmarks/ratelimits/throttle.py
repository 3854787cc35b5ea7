"""A throttle of DRF for whoever is named. Importing it takes a Django that is set up."""

from __future__ import annotations

from typing import Any

from rest_framework.throttling import SimpleRateThrottle


class Throttle(SimpleRateThrottle):
    """Given a name in the place of a request."""

    def __init__(self, rate: str) -> None:
        self.rate = rate
        super().__init__()

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"throttle_bench_{request}"
