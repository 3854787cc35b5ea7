"""The queues of the benchmark SQS server: what is visible, in flight, delayed, and to whom it goes next.

No clock and no network in here: every method is told the time (seconds of any monotonic clock).
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.benchmarks.sqs_errors import SqsError, invalid, missing
from tests.benchmarks.sqs_messages import FifoOrder, Message, Place, StandardOrder

_DEDUPLICATION = 300.0
_LONGEST_VISIBILITY = 43_200
_LONGEST_DELAY = 900
_MAX_SIZE = 1_048_576
_ARN = "arn:aws:sqs:us-east-1:123456789012:"
_DEFAULTS = {
    "VisibilityTimeout": "30",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "MessageRetentionPeriod": "345600",
    "MaximumMessageSize": str(_MAX_SIZE),
}


class Queue:
    """One queue. *find* looks other queues up by their ARN, for dead letters."""

    def __init__(self, name: str, attributes: Mapping[str, str], find: Callable[[str], Queue | None]) -> None:
        self.name = name
        self.arn = _ARN + name
        self.fifo = name.endswith(".fifo")
        self.held = False
        """Nothing is delivered while this is true."""
        self._find = find
        self._kind: StandardOrder | FifoOrder = FifoOrder() if self.fifo else StandardOrder()
        self._messages: dict[int, Message] = {}
        self._counts = dict.fromkeys(Place, 0)
        self._agenda: list[tuple[float, int, int, Message]] = []
        self._known: OrderedDict[str, tuple[float, Message]] = OrderedDict()
        self.attributes: dict[str, str] = {}
        self.visibility, self.delay, self.wait = 30.0, 0.0, 0.0
        self.max_receives = 0
        self.set_attributes({**_DEFAULTS, **attributes})

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Change what the queue is configured for. Raises SqsError."""
        for key, value in attributes.items():
            if value == "":
                self.attributes.pop(key, None)
            else:
                self.attributes[key] = str(value)
        self.visibility = float(self.attributes["VisibilityTimeout"])
        self.delay = float(self.attributes["DelaySeconds"])
        self.wait = float(self.attributes["ReceiveMessageWaitTimeSeconds"])
        policy = json.loads(self.attributes.get("RedrivePolicy", "{}"))
        self.max_receives = int(policy.get("maxReceiveCount", 0))
        if policy and self._find(policy["deadLetterTargetArn"]) is None:
            raise invalid("Dead letter target does not exist.")

    def all_attributes(self, now: float) -> dict[str, str]:
        """Configuration and counts."""
        self.settle(now)
        counts = {place.value: str(self._counts[place]) for place in Place if place is not Place.GONE}
        return {**self.attributes, **counts, "QueueArn": self.arn}

    def depth(self, now: float) -> dict[str, int]:
        """Messages by place."""
        self.settle(now)
        return {place.name.lower(): self._counts[place] for place in Place if place is not Place.GONE}

    def _move(self, message: Message, place: Place) -> None:
        if message.place is Place.IN_FLIGHT:
            self._kind.left_flight(message)
        self._counts[message.place] -= 1
        self._counts[place] += 1
        message.place = place
        message.epoch += 1
        if place is Place.VISIBLE:
            self._kind.add(message)
        elif place is Place.GONE:
            del self._messages[message.serial]

    def _later(self, message: Message, due: float) -> None:
        heapq.heappush(self._agenda, (due, message.serial, message.epoch, message))

    def settle(self, now: float) -> None:
        """Make visible what was delayed, or in flight, until now."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= now:
            _, _, epoch, message = heapq.heappop(agenda)
            if message.epoch == epoch:
                self._move(message, Place.VISIBLE)

    def next_due(self) -> float | None:
        """When something may become visible by itself."""
        while self._agenda and self._agenda[0][3].epoch != self._agenda[0][2]:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    @property
    def has_visible(self) -> bool:
        """Whether a receipt may bring something (a FIFO queue's groups may all be closed)."""
        return self._counts[Place.VISIBLE] > 0 and not self.held

    # Sending -------------------------------------------------------------------------------------

    def send(self, entry: Mapping[str, Any], *, now: float, sent: int) -> Message:
        """Take one message; of a duplicate, the first. Raises SqsError."""
        body = entry.get("MessageBody")
        if not body:
            raise missing("MessageBody")
        if len(body) > _MAX_SIZE:
            raise invalid("One or more parameters are invalid. Reason: Message must be shorter.")
        group = entry.get("MessageGroupId", "")
        deduplication = ""
        delay = float(entry.get("DelaySeconds", self.delay))
        if self.fifo:
            deduplication = self._deduplication(entry, body, group)
            if "DelaySeconds" in entry:
                raise invalid(
                    "The request include parameter DelaySeconds, which is not valid for this queue."
                )
            first = self._first(deduplication, now)
            if first is not None:
                return first
        if not 0 <= delay <= _LONGEST_DELAY:
            raise invalid(f"Value {delay:g} for parameter DelaySeconds is invalid.")
        message = Message(
            body,
            sent=sent,
            attributes=entry.get("MessageAttributes"),
            group=group,
            deduplication=deduplication,
        )
        message.trace = (
            entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue", "")
        )
        if self.fifo:
            self._known[deduplication] = (now + _DEDUPLICATION, message)
        self._put(message, now=now, delay=delay)
        return message

    def _deduplication(self, entry: Mapping[str, Any], body: str, group: str) -> str:
        if not group:
            raise missing("MessageGroupId")
        given: str = entry.get("MessageDeduplicationId", "")
        if given:
            return given
        if self.attributes.get("ContentBasedDeduplication") != "true":
            raise invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
                "provided explicitly"
            )
        return hashlib.sha256(body.encode()).hexdigest()

    def _first(self, deduplication: str, now: float) -> Message | None:
        while self._known:
            oldest, (until, _) = next(iter(self._known.items()))
            if until > now:
                break
            del self._known[oldest]
        known = self._known.get(deduplication)
        return known[1] if known else None

    def _put(self, message: Message, *, now: float, delay: float = 0.0) -> None:
        self._messages[message.serial] = message
        self._move(message, Place.DELAYED if delay else Place.VISIBLE)
        if delay:
            self._later(message, now + delay)

    # Receiving -----------------------------------------------------------------------------------

    def receive(
        self,
        limit: int,
        *,
        now: float,
        received: int,
        visibility: float | None = None,
        shuffle: Callable[[int], int] | None = None,
        duplicated: Callable[[], bool] | None = None,
    ) -> list[Message]:
        """At most *limit* visible messages, which are then in flight for *visibility* seconds.

        What was delivered as often as the redrive policy allows moves to the dead-letter queue instead.
        *shuffle* draws which of so many is next; *duplicated* says whether a delivery happens twice.
        """
        self.settle(now)
        if self.held:
            return []
        until = now + (self.visibility if visibility is None else visibility)
        batch: list[Message] = []
        twins: list[Message] = []
        while len(batch) < limit and (message := self._kind.take(shuffle)) is not None:
            self._move_to_flight(message)
            if self.max_receives and message.receives >= self.max_receives:
                self._bury(message, now)
                continue
            message.receives += 1
            message.first_received = message.first_received or received
            self._later(message, until)
            batch.append(message)
            if duplicated is not None and not self.fifo and duplicated():
                twins.append(message.copy())
        self._kind.taken()
        for twin in twins:
            self._put(twin, now=now)
        return batch

    def _move_to_flight(self, message: Message) -> None:
        # Not by _move alone: the FIFO kind has counted it already.
        self._counts[Place.VISIBLE] -= 1
        self._counts[Place.IN_FLIGHT] += 1
        message.place = Place.IN_FLIGHT
        message.epoch += 1

    def _bury(self, message: Message, now: float) -> None:
        self._move(message, Place.GONE)
        target = self._find(json.loads(self.attributes["RedrivePolicy"])["deadLetterTargetArn"])
        if target is not None:
            message.dead_letter_source = self.arn
            target._put(message, now=now)

    def _in_flight(self, handle: str) -> Message | None:
        """The message that *handle* was the last receipt of; None when there is none any more."""
        serial, separator, receives = handle.partition("-")
        try:
            number, count = int(serial, 16), int(receives, 16)
        except ValueError:
            separator = ""
        if not separator:
            raise SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not valid.')
        message = self._messages.get(number)
        return message if message is not None and message.receives == count else None

    def delete(self, handle: str, now: float) -> None:
        """Delete a message; one that is not there, or was delivered again since, is left alone.

        Raises SqsError for a handle that none ever was, and in FIFO queues for one that has expired.
        """
        self.settle(now)
        message = self._in_flight(handle)
        if message is None:
            return
        if self.fifo and message.place is not Place.IN_FLIGHT:
            raise invalid(
                f"Value {handle} for parameter ReceiptHandle is invalid. "
                "Reason: The receipt handle has expired."
            )
        self._move(message, Place.GONE)

    def change_visibility(self, handle: str, seconds: float, now: float) -> None:
        """Keep a message that is in flight from others for *seconds* from now. Raises SqsError."""
        self.settle(now)
        if not 0 <= seconds <= _LONGEST_VISIBILITY:
            raise invalid(f"Value {seconds:g} for parameter VisibilityTimeout is invalid.")
        message = self._in_flight(handle)
        if message is None or message.place is not Place.IN_FLIGHT:
            raise SqsError(
                "MessageNotInflight",
                "The specified message isn't in flight.",
                query_code="AWS.SimpleQueueService.MessageNotInflight",
            )
        if seconds == 0:
            self._move(message, Place.VISIBLE)
            return
        message.epoch += 1
        self._later(message, now + seconds)

    def purge(self) -> int:
        """Forget every message; returns how many there were."""
        lost = len(self._messages)
        for message in self._messages.values():
            message.place = Place.GONE
            message.epoch += 1
        self._messages.clear()
        self._agenda.clear()
        self._counts = dict.fromkeys(Place, 0)
        self._kind = FifoOrder() if self.fifo else StandardOrder()
        return lost

    def bodies(self) -> Iterator[str]:
        """The bodies of all messages, for tests."""
        return (message.body for message in self._messages.values())
