"""Kombu's SQS transport, guarded.

As it stands in kombu 5.7 a worker stops, or stays alive and never polls again, after one failed
ReceiveMessage, and waits for ever for one that is never answered; waits a whole polling interval whenever
its prefetch window is full; and deletes and gives back messages one at a time in its main loop. This
subclass

- treats every failed poll as an empty one, and polls again after a growing pause;
- gives up a poll that is not answered;
- starts although a queue does not answer, or is gone the moment after it was found;
- leaves a message that cannot be parsed to the queue's redrive policy, instead of failing on it;
- polls again as soon as acknowledged messages have made room in the prefetch window;
- deletes and gives back in batches, in a thread;
- keeps messages that wait for their turn from being delivered again, whatever visibility timeout the queue
  has: its own is asked for with every poll;
- can be held while nothing could be done with messages, so that they are not received in vain;
- finds queues by name, without the permission to list them, and never creates any.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from kombu.transport import SQS, virtual
from vine import promise

from apps.core import aws
from apps.tasks import sqs
from apps.tasks.polling import GuardedConnection, GuardedCurl, polls
from apps.tasks.receipts import Receipts

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

#: Seconds before the next poll after one, two, ... failed ones.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
#: Seconds after which a queue that waits for room looks again although nothing woke it.
_STARVED_CHECK = 1.0
#: What one poll brings at most.
_FULL_POLL = 10
#: A poll takes one while it is open, and a worker may listen to more queues than kombu has.
_CURL_HANDLES = 64


class QoS(SQS.QoS):  # type: ignore[misc]
    """Tells the channel when there is room for more messages."""

    def can_consume(self) -> bool:
        return not self.channel.held and bool(super().can_consume())

    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        self.channel.room_made()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if delivery_tag in self._delivered:  # otherwise it was given back before
            super().reject(delivery_tag, requeue=requeue)
        self.channel.room_made()

    def restore_unacked(self) -> list[Any]:
        """Give everything back that was received and not acknowledged."""
        self._flush()
        while self._delivered:
            self.channel.give_back(self._delivered.popitem()[1])
        return []

    def keep(self, tags: Collection[str]) -> None:
        """Keep what has these delivery tags invisible to others for a whole visibility timeout from now."""
        for tag in tags:
            if tag in self._delivered and tag not in self._dirty:
                self.channel.give_back(self._delivered[tag], after=self.channel.visibility_timeout)

    def release(self, *, but: Collection[str]) -> int:
        """Give everything back but what has these delivery tags; returns how many messages that is."""
        self._flush()
        released = [tag for tag in self._delivered if tag not in but]
        for tag in released:
            self.channel.give_back(self._delivered.pop(tag))
        return len(released)


class Channel(SQS.Channel):  # type: ignore[misc]
    """A channel that keeps polling."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: True: no message is received for now.
        self.held = False
        self._starved: set[str] = set()
        self._receipts: Receipts | None = None
        self._asynsqs: GuardedConnection | None = None
        super().__init__(*args, **kwargs)

    # Queues ---------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str | None:
        """The address of the SQS server; None for AWS's own."""
        address: str | None = self.transport_options.get("endpoint_url")
        return address

    def new_sqs_client(
        self, region: str, access_key_id: str, secret_access_key: str, session_token: str | None = None
    ) -> SQSClient:
        return sqs.make_client(
            aws.session(
                region_name=region,
                aws_access_key_id=access_key_id,
                aws_secret_access_key=secret_access_key,
                aws_session_token=session_token,
            ),
            endpoint_url=self.endpoint_url,
            use_ssl=self.is_secure is not False,
            config=Config(**(self.transport_options.get("client-config") or {})),
        )

    def _update_queue_cache(self, queue_name_prefix: str) -> None:
        """Nothing is listed in advance."""

    def _new_queue(self, queue: str, **_: Any) -> str:
        name = self.canonical_queue_name(queue)
        if name not in self._queue_cache:
            try:
                self._queue_cache[name] = self.sqs().get_queue_url(QueueName=name)["QueueUrl"]
            except sqs.ERRORS as exc:
                polls.failed(name, exc)
                # A connection error to Celery, which tries again until the queue is there.
                raise ConnectionError(f"no queue {name}: {exc}") from exc
        return str(self._queue_cache[name])

    def _size(self, queue: str) -> int:
        """How many messages wait in a queue; 0 where SQS does not say.

        Kombu asks when a worker declares its queues, for nothing: an error there would end the worker.
        """
        try:
            return int(super()._size(queue))
        except sqs.ERRORS as exc:
            polls.failed(self.canonical_queue_name(queue), exc)
            return 0

    def asynsqs(self, queue: str | None = None) -> GuardedConnection:
        if self._asynsqs is None:
            polls.open = 0
            self._asynsqs = GuardedConnection(
                sqs_connection=self.sqs(),
                region=self.region,
                http_client=GuardedCurl(self.hub, max_clients=_CURL_HANDLES),
                wait=self.wait_time_seconds,
            )
        return self._asynsqs

    @property
    def handlers(self) -> int:
        """How many messages the worker handles at a time; 1 where nobody said."""
        return int(self.transport_options.get("handlers", 1))

    # Polling --------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Receive nothing until `resume`. For the event loop's thread."""
        self.held = True

    def resume(self) -> None:
        """Receive again. For the event loop's thread."""
        self.held = False
        self.room_made()

    def basic_cancel(self, consumer_tag: str) -> Any:
        queue = self._tag_to_queue.get(consumer_tag)
        if queue is not None:
            polls.forget(self.canonical_queue_name(queue))
        return super().basic_cancel(consumer_tag)

    def _schedule_queue(self, queue: str) -> None:
        if queue not in self._active_queues:
            return
        if not self._room():
            polls.waiting(self.canonical_queue_name(queue))
            self._starved.add(queue)
            self.hub.call_later(_STARVED_CHECK, self._check_starved, queue)
            return
        try:
            self._get_bulk_async(queue, callback=promise(self._loop1, (queue,)))
        except Exception as exc:
            polls.failed(self.canonical_queue_name(queue), exc)
            self._loop1(queue)

    def _get_from_sqs(
        self,
        queue_name: str,
        queue_url: str,
        connection: GuardedConnection,
        count: int = 1,
        callback: promise | None = None,
    ) -> Any:
        # Invisible for as long as `keep` goes by, which is not left to what the queue has for a default.
        return connection.receive_message(
            queue_name,
            queue_url,
            number_messages=count,
            visibility_timeout=self.visibility_timeout,
            wait_time_seconds=self.wait_time_seconds,
            callback=callback,
        )

    def _loop1(self, queue: str, messages_fetched: int | None = None) -> None:
        failures = polls.failures[self.canonical_queue_name(queue)]
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

    def _room(self) -> bool:
        """Whether a poll is worth its while: with room for a quarter of the prefetch window, or for ten.

        Where less has been received than the worker handles at a time, it always is.
        """
        if not self.qos.can_consume():
            return False
        window, free = self.qos.prefetch_count, self.qos.can_consume_max_estimate()
        return not window or free >= min(_FULL_POLL, window // 4) or window - free < self.handlers

    def room_made(self) -> None:
        """Poll the queues that waited for room in the prefetch window, when there is enough."""
        if not self._starved or not self._room():
            return
        starved, self._starved = self._starved, set()
        for queue in starved:
            self.hub.call_later(0, self._schedule_queue, queue)

    def _on_messages_ready(self, queue: str, qname: str, messages: dict[str, Any]) -> int:
        received = messages.get("Messages") or []
        callback: Any = self.connection._callbacks.get(qname) if self.connection else None
        if callback is None:
            if received:
                logger.info("%s is not consumed any more: giving %d messages back", qname, len(received))
            for message in received:
                self._settling().give_back(queue, message["ReceiptHandle"])
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

    def _settling(self) -> Receipts:
        if self._receipts is None:
            self._receipts = Receipts(self.sqs())
        return self._receipts

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        try:
            info = self.qos.get(delivery_tag).delivery_info
            handle, url = info["sqs_message"]["ReceiptHandle"], info["sqs_queue"]
        except KeyError:
            pass
        else:
            self._settling().delete(url, handle)
        virtual.Channel.basic_ack(self, delivery_tag)

    def give_back(self, message: Any, *, after: int = 0) -> None:
        """Have a received message visible again in *after* seconds."""
        info = message.delivery_info
        self._settling().give_back(info["sqs_queue"], info["sqs_message"]["ReceiptHandle"], after=after)

    def _restore_at_beginning(self, message: Any) -> None:
        # Not at once: what made a worker reject it will seldom be over by then.
        self.give_back(message, after=self.wait_time_seconds)

    def settle(self, timeout: float = 5.0) -> None:
        """Delete and give back what is waiting for that."""
        receipts, self._receipts = self._receipts, None
        if receipts is not None:
            receipts.close(timeout)

    def close(self) -> None:
        super().close()
        self.settle()


class Transport(SQS.Transport):  # type: ignore[misc]
    """The transport of ``guardedsqs://``."""

    Channel = Channel
