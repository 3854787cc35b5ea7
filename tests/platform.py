"""The platform's processes around a test: queues of its own, a relay, workers, beat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from apps.stack.processes import Beat, Relay, Worker
from apps.stack.servers import SqsServer
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED
from tests.support import database_url, wait_until


class Platform:
    """Starts processes on this test's database and queues, and stops them at its end."""

    def __init__(self, stack: ExitStack, environ: dict[str, str]) -> None:
        self._stack = stack
        self.environ = environ

    def relay(self) -> Relay:
        return self._stack.enter_context(Relay(self.environ))

    def worker(self, *, concurrency: int = 2) -> Worker:
        return self._stack.enter_context(Worker(self.environ, concurrency=concurrency))

    def launch_worker(self) -> Worker:
        """A worker that is not waited for."""
        worker = Worker(self.environ)
        self._stack.callback(worker.close)
        worker.launch()
        return worker

    def beat(self) -> Beat:
        return self._stack.enter_context(Beat(self.environ))


def all_ended() -> bool:
    return not TaskRun.objects.filter(task__startswith="workload.").exclude(state__in=ENDED).exists()


def wait_for_all(seconds: float = 60.0) -> None:
    """Until every run of the workload has ended."""
    wait_until(all_ended, seconds=seconds, what="all runs to end")


@pytest.fixture
def platform(committed: None, own_queues: str, settings: Any) -> Iterator[Platform]:
    """Processes on queues of their own: of the shared SQS server, or of `private_sqs` if asked for first."""
    environ = {
        "DATABASE_URL": database_url(),
        "SQS_ENDPOINT_URL": settings.SQS_ENDPOINT_URL,
        "SQS_QUEUE_PREFIX": own_queues,
        "DJANGO_SETTINGS_MODULE": "project.settings.test",
    }
    with ExitStack() as stack:
        yield Platform(stack, environ)


@pytest.fixture
def private_sqs(settings: Any) -> Iterator[SqsServer]:
    """An SQS server of the test's own, which it may kill."""
    with SqsServer() as server:
        settings.SQS_ENDPOINT_URL = server.environ["SQS_ENDPOINT_URL"]
        queues.client.cache_clear()
        queues.forget_urls()
        yield server
    queues.client.cache_clear()
    queues.forget_urls()
