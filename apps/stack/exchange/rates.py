"""Counting requests per address, in the ways of exchanges without weights. Safe for many threads."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class _Counter:
    """What is counted against one address, as of a moment."""

    level: float = 0.0
    at_ms: int = 0


class FallingCounter:
    """Every request counts one, and every second takes one off. Over the *limit* requests are refused."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counters: dict[str, _Counter] = {}
        self._lock = threading.Lock()

    def admits(self, address: str, *, now_ms: int) -> bool:
        """Count a request; False when it is refused, which does not count."""
        with self._lock:
            counter = self._counters.setdefault(address, _Counter(at_ms=now_ms))
            counter.level = max(0.0, counter.level - (now_ms - counter.at_ms) / 1000)
            counter.at_ms = now_ms
            if counter.level + 1 > self.limit:
                return False
            counter.level += 1
            return True

    def forgive(self) -> None:
        with self._lock:
            self._counters.clear()


@dataclass(kw_only=True)
class _Window:
    """The requests of one address in the present window, and until when it is banned."""

    times: deque[int] = field(default_factory=deque)
    banned_until_ms: int = 0


class WindowLimiter:
    """At most *limit* requests in any *window_ms*; who sends more is banned for *ban_ms*."""

    def __init__(self, limit: int, *, window_ms: int, ban_ms: int) -> None:
        self.limit = limit
        self.window_ms = window_ms
        self.ban_ms = ban_ms
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def admits(self, address: str, *, now_ms: int) -> bool:
        """Count a request; False when it is refused."""
        with self._lock:
            window = self._windows.setdefault(address, _Window())
            if now_ms < window.banned_until_ms:
                return False
            while window.times and window.times[0] <= now_ms - self.window_ms:
                window.times.popleft()
            window.times.append(now_ms)
            if len(window.times) > self.limit:
                window.times.clear()
                window.banned_until_ms = now_ms + self.ban_ms
                return False
            return True

    def forgive(self) -> None:
        with self._lock:
            self._windows.clear()
