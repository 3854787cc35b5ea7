"""Pieces of a snapshot, each of which may be unknown by itself, and keeping what was found for a moment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError

from apps.liveness.leases import Unavailable as MarksUnavailable
from apps.ratelimits.limiter import Unavailable as LimitsUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")


class NotKnown(Exception):
    """Something cannot be told now; the text says why, fit to be shown."""


@dataclass(frozen=True, kw_only=True)
class Part(Generic[T]):
    """What was found, or why it is not known: exactly one of the two."""

    value: T | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.value is not None


def part(look: Callable[[], T]) -> Part[T]:
    """What *look* finds. Raises nothing: what goes wrong is the reason why the part is not known."""
    try:
        return Part(value=look())
    except NotKnown as exc:
        return Part(reason=str(exc))
    except (MarksUnavailable, LimitsUnavailable):
        return Part(reason="Redis does not answer")
    except (DatabaseError, InterfaceError) as exc:
        logger.warning("a part of the snapshot is not known: %s", exc)
        return Part(reason="the database does not answer")
    except Exception as exc:
        # The rest of the page is about other things, and is needed most when something is broken.
        logger.exception("a part of the snapshot is not known")
        return Part(reason=f"it could not be told: {type(exc).__name__}")


class Kept(Generic[T]):
    """What *take* returned last, taken anew when that is *seconds* old: once for all threads that ask."""

    def __init__(self, take: Callable[[], T], *, seconds: float) -> None:
        self._take = take
        self._seconds = seconds
        self._lock = threading.Lock()
        self._found: tuple[float, T] | None = None

    def get(self) -> T:
        """What there is. Whoever asks while another looks waits for what that one finds."""
        with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > self._seconds:
                found = self._take()
                self._found = (time.monotonic(), found)
            return self._found[1]

    def forget(self) -> None:
        """Look again when asked next."""
        with self._lock:
            self._found = None
