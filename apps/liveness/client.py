"""How a trading worker written in Python says that it is alive.

with Heartbeat(user_id=7, worker="host-3/4711") as heart:
    while not heart.fenced:
        signal = next_signal()
        with heart.guard():
            Order.objects.create(...)
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from apps.liveness import conf, services
from apps.liveness.errors import Fenced
from apps.liveness.guarding import guarded
from apps.liveness.leases import Beat

logger = logging.getLogger(__name__)


class Heartbeat:
    """A worker's session, from entering the block to leaving it, with a thread that beats.

    The worker is *fenced* once somebody declared it dead or another worker of its user began, and also when
    it could not make itself heard for so long that it must be taken for dead: it has to stop then. It is told
    by `fenced`, by `check` and `guard`, which raise, and by *on_fenced*, which is called once with the
    reason, in the thread that notices: that of the beats, or the caller's own.

    Leaving the block ends the session, with the exception's name as the reason if there was one.
    """

    def __init__(
        self, *, user_id: int, worker: str = "", on_fenced: Callable[[str], None] | None = None
    ) -> None:
        self.user_id = user_id
        self.worker = worker or f"{socket.gethostname()}/{os.getpid()}"
        self.token = 0
        self._on_fenced = on_fenced
        self._reason = ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stop = threading.Event()
        self._acknowledged = 0.0
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{user_id}", daemon=True)

    def __enter__(self) -> Self:
        began = time.monotonic()
        self.token = services.session_start(user_id=self.user_id, worker=self.worker).token
        self._acknowledged = began
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        reason = "stopped" if kind is None else f"{kind.__name__}: {exc}"[:500]
        try:
            services.session_stop(user_id=self.user_id, token=self.token, reason=reason)
        except (DatabaseError, InterfaceError) as error:
            if kind is None:
                raise
            # What went wrong in the block is what the caller must see; the session will be found as an
            # orphan.
            logger.warning("the session of user %s's worker was not ended: %s", self.user_id, error)

    @property
    def fenced(self) -> bool:
        """Whether the worker has to stop."""
        if not self._reason and time.monotonic() - self._acknowledged > conf.workers().orphan_after:
            # Also at once after having been stopped for long, before the thread has beaten.
            self._fence(f"nobody has heard of it for {conf.workers().orphan_after:g} s")
        return bool(self._reason)

    @property
    def reason(self) -> str:
        """Why it has to stop; empty while it has not."""
        return self._reason if self.fenced else ""

    def check(self) -> None:
        """Raise `Fenced` if the worker has to stop."""
        if self.fenced:
            raise Fenced(self._reason)

    def guard(self) -> AbstractContextManager[None]:
        """A transaction whose writes count only if the worker is not fenced at its end; see `guarded`."""
        self.check()
        return guarded(user_id=self.user_id, token=self.token)

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake when the worker is fenced. Returns whether it is."""
        self._over.wait(seconds)
        return self.fenced

    def _fence(self, reason: str) -> None:
        with self._lock:
            if self._reason:
                return
            self._reason = reason
        self._over.set()
        logger.warning("user %s's worker %s is fenced: %s", self.user_id, self.worker, reason)
        if self._on_fenced is not None:
            self._on_fenced(reason)

    def _run(self) -> None:
        try:
            while not self._stop.wait(conf.beat_every()) and not self.fenced:
                close_old_connections()
                began = time.monotonic()
                try:
                    answer = services.session_beat(user_id=self.user_id, token=self.token)
                except (DatabaseError, InterfaceError) as exc:
                    logger.warning("user %s's worker could not be heard: %s", self.user_id, exc)
                    connection.close()
                    continue
                if answer is Beat.FENCED:
                    self._fence("it was declared dead, or another worker of its user began")
                else:
                    self._acknowledged = began
        finally:
            connection.close()
