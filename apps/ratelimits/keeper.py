"""What is done beside requests: counts are brought to Redis, and a Redis that was away is tried again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from weakref import WeakMethod

logger = logging.getLogger("apps.ratelimits")

#: Seconds between two looks.
EVERY = 1.0


class Keeper:
    """A thread of this process that calls *look* every second, from the first `wake` on.

    It ends with whose method *look* is, and with the process. A forked process has one of its own.
    """

    def __init__(self, look: Callable[[], None], *, every: float = EVERY) -> None:
        self._look = WeakMethod(look)
        self._every = every
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._process = 0

    def wake(self) -> None:
        """See to that the thread runs. To be called often: it costs nothing when it does."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._stop = threading.Event()
            threading.Thread(
                target=_run, args=(self._look, self._stop, self._every), name="ratelimits-keeper", daemon=True
            ).start()

    def stop(self) -> None:
        """Let it end; it is not waited for."""
        self._stop.set()


def _run(look: WeakMethod[Callable[[], None]], stop: threading.Event, every: float) -> None:
    while not stop.wait(every):
        called = look()
        if called is None:
            return
        try:
            called()
        except Exception:
            # It has to go on, whatever happens: nobody else would find Redis again.
            logger.exception("the keeper of rate limits failed")
            time.sleep(every)
        del called
