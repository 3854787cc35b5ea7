"""The benchmark SQS server as a child process, and what a test tells it to do.

with BenchmarkSqs() as sqs:
    environ = sqs.environ                        # SQS_ENDPOINT_URL, AWS_…
    sqs.control.set_latency(10)                  # milliseconds, for every request from now on
    with sqs.control.faulty("throttled", rate=0.2, action="SendMessage"):
        ...
    sqs.control.lose()                           # all messages are gone
    print(sqs.control.requests("chandlery-"))    # {"SendMessageBatch": 12, …}
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.probes import answers_http
from apps.stack.servers import Listening
from apps.stack.sockets import HOST


class SqsControl:
    """Tells the server at *url* what to do. ValueError: it did not understand."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _ask(self, verb: str, **parameters: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/control/{verb}", json.dumps(parameters).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            raise ValueError(json.load(exc)["message"]) from None

    def requests(self, queues: str = "") -> Counter[str]:
        """How many requests there were, by action, to the queues whose names begin with *queues*.

        Requests that name no queue (ListQueues) count where *queues* is empty.
        """
        return self._sum("requests", queues)

    def messages(self, queues: str = "") -> Counter[str]:
        """How many messages were ``sent``, ``received`` and ``deleted``, and ``empty receipts``."""
        return self._sum("messages", queues)

    def broken(self) -> Counter[str]:
        """How many requests met a fault, by kind."""
        return Counter(self._ask("counters")["broken"])

    def _sum(self, kind: str, queues: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for name, counts in self._ask("counters")[kind].items():
            if name.startswith(queues):
                total.update(counts)
        return total

    def reset_counters(self) -> None:
        """Count from zero again."""
        self._ask("reset")

    def set_latency(self, milliseconds: float) -> None:
        """Answer every request so much later from now on."""
        self._ask("latency", milliseconds=milliseconds)

    def fault(
        self, kind: str, *, rate: float = 1.0, action: str = "", queue: str = "", times: int | None = None
    ) -> None:
        """Break requests, or deliveries, from now on: see `tests.benchmarks.sqs_faults`.

        *action* and *queue* are beginnings of names; *times* is how often at most.
        """
        self._ask("fault", kind=kind, rate=rate, action=action, queue=queue, times=times)

    def heal(self) -> None:
        """End all faults."""
        self._ask("heal")

    @contextmanager
    def faulty(self, kind: str, **parameters: Any) -> Iterator[None]:
        """Break something for the duration of a block, and end all faults after it."""
        self.fault(kind, **parameters)
        try:
            yield
        finally:
            self.heal()

    def seed(self, seed: int) -> None:
        """Lift all faults, and let those that follow be drawn from *seed*."""
        self._ask("seed", seed=seed)

    def lose(self, *, queues: bool = False) -> int:
        """Lose all messages, and the queues themselves if asked to; returns how many messages there were."""
        return int(self._ask("lose", queues=queues)["lost"])

    def purge(self, queue: str) -> int:
        """Lose the messages of one queue (its name on SQS); returns how many there were."""
        return int(self._ask("purge", queue=queue)["lost"])

    def hold(self, queue: str) -> None:
        """Deliver nothing of *queue* (its name on SQS): its messages pile up."""
        self._ask("hold", queue=queue)

    def release(self, queue: str) -> None:
        """Deliver again, to those who are waiting first."""
        self._ask("release", queue=queue)

    def depths(self) -> dict[str, dict[str, int]]:
        """Queue -> how many messages are ``visible``, ``in_flight`` and ``delayed``."""
        found: dict[str, dict[str, int]] = self._ask("depths")
        return found


class BenchmarkSqs(Listening):
    """The server as a child process, on the same port for its whole life. After `kill` it has no queues."""

    name = "benchmark-sqs"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.url = f"http://{HOST}:{self.port}"
        self.control = SqsControl(self.url)
        self.environ = {"SQS_ENDPOINT_URL": self.url, **environment.aws()}

    def _service(self) -> Service:
        fd = self.listener.fileno()
        return Service(
            name=self.name,
            argv=(sys.executable, "-m", "tests.benchmarks.sqs_server", "--fd", str(fd)),
            environ=environment.inherited(),
            folder=CHECKOUT,
            ready=answers_http(self.url),
            stop_timeout=5.0,
            inherit=(fd,),
        )
