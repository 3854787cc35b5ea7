"""Kombu's SQS transport, guarded.

As it stands in kombu 5.7 a worker stops, or stays alive and never polls again, after one failed
ReceiveMessage; waits a whole polling interval whenever its prefetch window is full; and deletes
messages one at a time in its main loop. This subclass

- treats every failed poll as an empty one, and polls again after a growing pause;
- leaves a message that cannot be parsed to the queue's redrive policy, instead of failing on it;
- polls again as soon as an acknowledged message makes room in the prefetch window;
- deletes in batches, in a thread;
- finds queues by name, without the permission to list them, and never creates any.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from botocore.exceptions import ClientError
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.transport import SQS, virtual
from vine import promise

from apps.tasks.deletion import BatchDeleter

logger = logging.getLogger(__name__)

#: Seconds before the next poll after one, two, ... failed ones.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
#: Seconds after which a queue that waits for room looks again although nothing woke it.
_STARVED_CHECK = 1.0
_LOG_EVERY = 5.0


class QoS(SQS.QoS):  # type: ignore[misc]
    """Tells the channel when there is room for more messages."""

    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        self.channel.room_made()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        super().reject(delivery_tag, requeue=requeue)
        self.channel.room_made()


class GuardedConnection(AsyncSQSConnection):  # type: ignore[misc]
    """Receives messages; a request that fails in any way yields none."""

    def __init__(self, *args: Any, channel: Channel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channel = channel

    def _on_list_ready(self, parent: Any, markers: Any, operation: str, response: Any) -> dict[str, Any]:
        try:
            parsed = super()._on_list_ready(parent, markers, operation, response)
            if response.status != self.STATUS_CODE_OK:
                raise ConnectionError(f"HTTP {response.status} {response.reason}".strip())
        except Exception as exc:  # kombu raises bare Exception for what SQS refuses
            self._channel.poll_failed(parent, exc)
            return {}
        self._channel.poll_succeeded(parent)
        return parsed if isinstance(parsed, dict) else {}


class Channel(SQS.Channel):  # type: ignore[misc]
    """A channel that keeps polling."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._starved: set[str] = set()
        # By the queue's name on SQS: how many polls failed in a row, and when that was last said.
        self._failures: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self._deleter: BatchDeleter | None = None
        self._asynsqs: GuardedConnection | None = None
        super().__init__(*args, **kwargs)

    # Queues ---------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str | None:
        """The address of the SQS server; None for AWS's own."""
        address: str | None = self.transport_options.get("endpoint_url")
        return address

    def _update_queue_cache(self, queue_name_prefix: str) -> None:
        """Nothing is listed in advance."""

    def _new_queue(self, queue: str, **_: Any) -> str:
        name = self.canonical_queue_name(queue)
        if name not in self._queue_cache:
            try:
                self._queue_cache[name] = self.sqs().get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as exc:
                # A connection error to Celery, which tries again until the queue is there.
                raise ConnectionError(f"no queue {name}: {exc}") from exc
        return str(self._queue_cache[name])

    def asynsqs(self, queue: str | None = None) -> GuardedConnection:
        if self._asynsqs is None:
            self._asynsqs = GuardedConnection(sqs_connection=self.sqs(), region=self.region, channel=self)
        return self._asynsqs

    # Polling --------------------------------------------------------------------------------------

    def poll_failed(self, name: str, reason: Exception) -> None:
        """A poll of the queue *name* brought an error instead of an answer."""
        self._failures[name] += 1
        now = time.monotonic()
        if now - self._said.get(name, 0.0) >= _LOG_EVERY:
            self._said[name] = now
            logger.warning("polling %s failed (%d in a row): %s", name, self._failures[name], reason)

    def poll_succeeded(self, name: str) -> None:
        """A poll of the queue *name* brought an answer, be it an empty one."""
        failures = self._failures.pop(name, 0)
        if failures:
            logger.warning("polling %s works again after %d failures", name, failures)

    def _schedule_queue(self, queue: str) -> None:
        if queue not in self._active_queues:
            return
        if not self.qos.can_consume():
            self._starved.add(queue)
            self.hub.call_later(_STARVED_CHECK, self._check_starved, queue)
            return
        try:
            self._get_bulk_async(queue, callback=promise(self._loop1, (queue,)))
        except Exception as exc:
            self.poll_failed(self.canonical_queue_name(queue), exc)
            self._loop1(queue)

    def _loop1(self, queue: str, messages_fetched: int | None = None) -> None:
        failures = self._failures[self.canonical_queue_name(queue)]
        if messages_fetched:
            pause = 0.0
        elif failures:
            pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
        else:
            pause = self.connection.polling_interval
        # Not call_soon: called from within a callback, that waits for the hub's next event.
        self.hub.call_later(pause, self._schedule_queue, queue)

    def _check_starved(self, queue: str) -> None:
        if queue in self._starved:
            self._starved.discard(queue)
            self._schedule_queue(queue)

    def room_made(self) -> None:
        """Poll the queues that waited for room in the prefetch window."""
        starved, self._starved = self._starved, set()
        for queue in starved:
            self.hub.call_later(0, self._schedule_queue, queue)

    def _on_messages_ready(self, queue: str, qname: str, messages: dict[str, Any]) -> int:
        received = messages.get("Messages") or []
        callback = self.connection._callbacks.get(qname)
        if received and callback is None:
            self._release_messages(queue, qname, received)
            return 0
        for message in received:
            try:
                parsed = self._message_to_python(message, qname, queue)
            except Exception as exc:  # whatever a stranger's body makes the parser raise
                logger.error("message %s in %s cannot be parsed: %s", message.get("MessageId"), qname, exc)
                continue
            callback(parsed)
        return len(received)

    # Acknowledging --------------------------------------------------------------------------------

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        try:
            info = self.qos.get(delivery_tag).delivery_info
            handle, url = info["sqs_message"]["ReceiptHandle"], info["sqs_queue"]
        except KeyError:
            pass
        else:
            if self._deleter is None:
                self._deleter = BatchDeleter(self.sqs())
            self._deleter.delete(url, handle)
        virtual.Channel.basic_ack(self, delivery_tag)

    def close(self) -> None:
        super().close()
        if self._deleter is not None:
            self._deleter.close()
            self._deleter = None


class Transport(SQS.Transport):  # type: ignore[misc]
    """The transport of ``guardedsqs://``."""

    Channel = Channel
