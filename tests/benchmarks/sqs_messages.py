"""Messages of the benchmark SQS server, and the order in which visible ones are delivered."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

_serials = itertools.count(1)


class Place(Enum):
    """Where a message is."""

    VISIBLE = "ApproximateNumberOfMessages"
    IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
    DELAYED = "ApproximateNumberOfMessagesDelayed"
    GONE = "gone"


class Message:
    """One message; a duplicate that the server makes is another with the same id."""

    __slots__ = (
        "attributes", "body", "dead_letter_source", "deduplication", "epoch", "first_received", "group", "id",
        "md5", "place", "receives", "sent", "serial", "trace",
    )  # fmt: skip

    def __init__(
        self, body: str, *, sent: int, attributes: Any = None, group: str = "", deduplication: str = ""
    ) -> None:
        self.serial = next(_serials)
        self.id = str(uuid.uuid4())
        self.body = body
        self.md5 = hashlib.md5(body.encode()).hexdigest()
        self.attributes = attributes
        self.group = group
        self.deduplication = deduplication
        self.trace = ""
        self.sent = sent
        self.first_received = 0
        self.receives = 0
        self.place = Place.GONE
        self.dead_letter_source = ""
        # Counts changes of place: an entry in the queue's agenda that has another number is void.
        self.epoch = 0

    @property
    def handle(self) -> str:
        """The receipt handle of the last delivery."""
        return f"{self.serial:x}-{self.receives:x}"

    def copy(self) -> Message:
        """A second message that looks like this one."""
        twin = Message(
            self.body,
            sent=self.sent,
            attributes=self.attributes,
            group=self.group,
            deduplication=self.deduplication,
        )
        twin.id, twin.receives, twin.first_received = self.id, self.receives, self.first_received
        return twin


class StandardOrder:
    """The visible messages of a standard queue, about in order of arrival."""

    def __init__(self) -> None:
        self._ready: deque[Message] = deque()

    def add(self, message: Message) -> None:
        self._ready.append(message)

    def take(self, shuffle: Callable[[int], int] | None) -> Message | None:
        ready = self._ready
        while ready:
            if shuffle is not None:
                other = shuffle(min(len(ready), 100))
                ready[0], ready[other] = ready[other], ready[0]
            message = ready.popleft()
            if message.place is Place.VISIBLE:
                return message
        return None

    def taken(self) -> None:
        """A receipt is over."""

    def left_flight(self, message: Message) -> None:
        """Others do not wait for it."""


class FifoOrder:
    """The visible messages of a FIFO queue: a group of which something is in flight is closed."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[int, Message]]] = {}
        self._in_flight: dict[str, int] = {}
        self._open: OrderedDict[str, None] = OrderedDict()
        self._touched: set[str] = set()

    def add(self, message: Message) -> None:
        heapq.heappush(self._waiting.setdefault(message.group, []), (message.serial, message))
        if not self._in_flight.get(message.group):
            self._open[message.group] = None

    def take(self, shuffle: Callable[[int], int] | None) -> Message | None:
        """The first message of the first open group; a group closes when the receipt is over."""
        while self._open:
            group = next(iter(self._open))
            waiting = self._waiting.get(group, [])
            while waiting and waiting[0][1].place is not Place.VISIBLE:
                heapq.heappop(waiting)
            if waiting:
                self._touched.add(group)
                self._in_flight[group] = self._in_flight.get(group, 0) + 1
                return heapq.heappop(waiting)[1]
            self._waiting.pop(group, None)
            del self._open[group]
        return None

    def taken(self) -> None:
        for group in self._touched:
            if self._in_flight.get(group):
                self._open.pop(group, None)
        self._touched.clear()

    def left_flight(self, message: Message) -> None:
        left = self._in_flight[message.group] - 1
        if left:
            self._in_flight[message.group] = left
            return
        del self._in_flight[message.group]
        if self._waiting.get(message.group):
            self._open[message.group] = None
