"""What this process has done so far: counts that only grow, and how things stand."""

from __future__ import annotations

import os
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.client import BaseClient

#: Begins the names of the counts of SQS requests; the action follows.
REQUESTS = "requests."


class Usage:
    """Counts by name. Usable from several threads.

    ``requests.<action>``: requests to SQS, each attempt being one. Workers: ``receives``, ``empty_receives``
    (polls that were answered, and without a message), ``messages``, ``deletes``, ``returns`` (messages given
    back), ``delays`` (kept, or given back for later), ``finished`` (runs brought to an end). Relays:
    ``published``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._facts: dict[str, Any] = {}
        self._polled: dict[str, datetime] = {}

    def count(self, name: str, number: int = 1) -> None:
        """Something happened *number* times."""
        with self._lock:
            self._counts[name] += number

    def request(self, action: str) -> None:
        """A request was sent to SQS."""
        self.count(REQUESTS + action)

    def received(self, queue: str, messages: int) -> None:
        """A poll of *queue* was answered with so many messages."""
        with self._lock:
            self._counts["receives"] += 1
            self._counts["messages"] += messages
            self._counts["empty_receives"] += not messages
            self._polled[queue] = datetime.now(UTC)

    def note(self, **facts: Any) -> None:
        """Keep how something stands (JSON values); None: nothing to be said of it any more."""
        with self._lock:
            self._facts.update(facts)

    def measure(self, name: str, value: float) -> None:
        """Keep a measurement, and under ``max_<name>`` the largest so far."""
        with self._lock:
            self._facts[name] = round(value, 3)
            self._facts[f"max_{name}"] = max(round(value, 3), self._facts.get(f"max_{name}", 0.0))

    def counts(self) -> dict[str, int]:
        """All counts so far."""
        with self._lock:
            return dict(self._counts)

    def facts(self) -> dict[str, Any]:
        """How things stand; ``polled`` holds the moment of the last answered poll of each queue."""
        with self._lock:
            facts = {name: value for name, value in self._facts.items() if value is not None}
            if self._polled:
                facts["polled"] = {queue: at.isoformat() for queue, at in sorted(self._polled.items())}
            return facts

    def watch(self, client: BaseClient) -> None:
        """Count every request that a boto3 client of SQS sends from now on."""
        client.meta.events.register("before-send.sqs", self._sent)

    def _sent(self, event_name: str, **_: Any) -> None:
        # before-send.sqs.<action>; repeated by botocore for every attempt.
        self.request(event_name.rpartition(".")[2])


#: This process's own.
usage = Usage()
# A forked process must not inherit a lock that a thread of its parent holds, nor what the parent has done.
os.register_at_fork(after_in_child=usage.__init__)  # type: ignore[misc]
