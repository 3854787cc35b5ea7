"""Keeps a Redis that is away from being asked by every request."""

from __future__ import annotations

from threading import Lock

from apps.ratelimits.limiter.values import Reason, Unavailable


class Breaker:
    """Open from the first failure until somebody who looks after it has had an answer.

    No request is ever the one that tries: `Keeper` does, beside them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._failure: Unavailable | None = None

    @property
    def failure(self) -> Unavailable | None:
        """What it is open for; null while it is closed."""
        return self._failure

    def check(self) -> None:
        """Raises `Unavailable` while it is open."""
        if self._failure is not None:
            raise Unavailable(Reason.BREAKER, str(self._failure))

    def open(self, failure: Unavailable) -> bool:
        """Redis gave no answer. Returns whether that is news."""
        with self._lock:
            news = self._failure is None
            self._failure = failure
            return news

    def close(self) -> bool:
        """Redis has answered. Returns whether that is news."""
        with self._lock:
            news = self._failure is not None
            self._failure = None
            return news
