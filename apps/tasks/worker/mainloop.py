"""What other threads have the worker's main thread do."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.concurrency.prefork import TaskPool
from celery.worker import state as worker_state

from apps.tasks.polling import polls
from apps.tasks.worker.requests import DurableRequest, in_hand

logger = logging.getLogger(__name__)

#: Seconds after which a process that has closed its pipe is waited for again.
_LOOK_AGAIN = (0.02, 0.2, 1.0)


class MainLoop:
    """The event loop of a Celery worker, and what is done in it. Every method may be called in any thread.

    A pool other than prefork cannot have a handler ended: `can_kill` says so.
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self.can_kill = isinstance(controller.pool, TaskPool)
        #: Set once nothing is received any more.
        self.stopped = threading.Event()

    @property
    def _consumer(self) -> Any:
        return getattr(self._controller, "consumer", None)

    @property
    def _channel(self) -> Any:
        """The channel that messages come by; None while there is no connection."""
        consumer = self._consumer
        if getattr(consumer, "connection", None) is None:
            return None
        return getattr(consumer.task_consumer, "channel", None)

    @property
    def has_event_loop(self) -> bool:
        """Whether messages are received by an event loop, which is not so with gevent and eventlet."""
        return self._controller.hub is not None

    @property
    def busy(self) -> bool:
        """Whether a request is in hand."""
        return len(worker_state.reserved_requests) > 0

    @property
    def polling(self) -> bool:
        """Whether a poll is open."""
        return polls.open > 0

    @property
    def wait(self) -> float:
        """For how many seconds SQS is asked to wait for messages."""
        return float(self._channel.wait_time_seconds) if self._channel else 0.0

    def call(self, function: Callable[[], Any]) -> threading.Event:
        """Have *function* called in the main thread; the event is set when that is done."""
        done = threading.Event()

        def guarded() -> None:
            # What is raised from here would end the event loop.
            try:
                function()
            except Exception:
                logger.exception("a call into the worker's main loop failed")
            finally:
                done.set()

        if self.has_event_loop:
            self._controller.hub.call_soon(guarded)
        elif self._consumer is not None:
            self._consumer.call_soon(guarded)
        return done

    def notice_deaths(self) -> None:
        """Have a dead process of the pool noticed at once; to be called before the event loop starts.

        Celery looks when the process has closed its pipe, which is a moment before the kernel lets it be
        waited for, and after that only every five seconds.
        """
        pool: Any = getattr(self._controller.pool, "_pool", None)
        if not self.can_kill or not hasattr(pool, "_event_process_exit"):
            return
        look = pool._event_process_exit

        def look_again(hub: Any, process: Any) -> None:
            look(hub, process)
            for delay in _LOOK_AGAIN:
                hub.call_later(delay, pool.maintain_pool)

        pool._event_process_exit = look_again

    def write_at_once(self) -> None:
        """Have requests written to idle processes of the pool at once; call it before the event loop starts.

        Celery writes in the next round of the event loop. So all processes that end in one round go on
        together in the next, where they are in each other's way, and a request that comes alone waits for
        one more look at all pipes.
        """
        pool: Any = getattr(self._controller.pool, "_pool", None)
        if not self.can_kill or not hasattr(pool, "_create_write_handlers"):
            return
        create_handlers = pool._create_write_handlers

        def create(hub: Any) -> None:
            create_handlers(hub)
            put, write = pool._quick_put, hub.consolidate_callback

            def put_and_write(request: Any) -> None:
                put(request)
                idle = pool._all_inqueues - pool._busy_workers - pool._active_writes
                if idle:
                    write(list(idle))

            pool._quick_put = put_and_write

        pool._create_write_handlers = create

    def hold(self) -> None:
        """Receive nothing until `resume`."""
        self.call(lambda: self._channel and self._channel.hold())

    def resume(self) -> None:
        """Receive again."""
        self.call(lambda: self._channel and self._channel.resume())

    @property
    def visibility(self) -> float:
        """For how many seconds a received message is nobody else's."""
        return float(self._channel.visibility_timeout) if self._channel else 0.0

    def keep_waiting(self) -> None:
        """Keep the messages that wait for a process of the pool from being delivered to others.

        Behind long handlers they would be received again and again, and end in the dead-letter queue.
        """

        def keep() -> None:
            waiting = set(worker_state.reserved_requests) - set(worker_state.active_requests)
            if waiting and self._channel is not None:
                self._channel.qos.keep([one.message.delivery_tag for one in waiting])

        self.call(keep)

    def stop_receiving(self, code: int) -> None:
        """Receive nothing more, and give back at once what no process of the pool has begun."""
        if not self.has_event_loop:
            # Celery stops receiving by ending, for which it waits for the handlers.
            self.exit(code)
        elif self._channel is not None:
            self.call(self._stop_consuming)
            return
        self.stopped.set()

    def _stop_consuming(self) -> None:
        try:
            channel = self._channel
            self._consumer.task_consumer.cancel()
            if self._controller.semaphore:
                self._controller.semaphore.clear()
            begun = set()
            for request in list(worker_state.reserved_requests):
                if request._apply_result is None:
                    worker_state.task_ready(request)
                else:
                    begun.add(request.message.delivery_tag)
            count = channel.qos.release(but=begun)
            logger.info("stopped receiving; gave back %d messages, %d runs in hand", count, len(begun))
        finally:
            self.stopped.set()

    def end(self, run_id: uuid.UUID, then: Callable[[], Any]) -> None:
        """Kill the process that executes a run, if one does, acknowledge its message, and call *then*."""

        def kill() -> None:
            for request in list(in_hand):
                if request.run_id == run_id:
                    # Its process cannot be at the next request yet: only this thread sends it one.
                    request.terminate(self._controller.pool, "KILL")
                    then()
                    return

        self.call(kill)

    def stop(self, request: DurableRequest) -> None:
        """Kill the process that executes a request, whose run goes on elsewhere."""

        def kill() -> None:
            if request in in_hand:
                request.goes_on = True
                request.terminate(self._controller.pool, "KILL")

        self.call(kill)

    def end_all(self, timeout: float) -> bool:
        """Kill the processes of all requests in hand; False when the main loop does not answer."""

        def kill() -> None:
            for request in list(worker_state.active_requests):
                if isinstance(request, DurableRequest):
                    request.goes_on = True
                    request.terminate(self._controller.pool, "KILL")
                else:
                    # Not acknowledged, so that its message comes back.
                    request.cancel(self._controller.pool, "KILL", emit_retry=False)

        if self.call(kill).wait(timeout):
            return True
        for process in list(getattr(self._controller.pool._pool, "_pool", ())):
            with suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
        return False

    def acknowledge(self, request: DurableRequest) -> None:
        """Delete a request's message."""
        self.call(request.acknowledge)

    def reject(self, request: DurableRequest) -> None:
        """Give a request's message back."""
        self.call(lambda: request.reject(requeue=True))

    def exit(self, code: int) -> None:
        """Have the worker end in order."""
        worker_state.should_stop = code  # type: ignore[assignment]
        # Wakes it.
        self.call(lambda: None)

    def flush(self) -> None:
        """Settle all messages before the process is ended out of order."""
        channel = self._channel
        if channel is not None:
            with suppress(Exception):
                channel.qos.restore_unacked()
                channel.settle(2.0)
