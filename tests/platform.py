"""The platform's processes around a test: queues of its own, a relay, workers, beat."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from django.conf import settings

from apps.events.selectors import read_stream
from apps.stack.testing import Beat, Relay, Running, SqsServer, Valkey, Worker
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED
from tests.faults.sqs_proxy import SqsProxy
from tests.support import database_url, wait_until

Process = TypeVar("Process", bound=Running)


class Platform:
    """Starts processes on this test's database and queues, and ends them with it."""

    def __init__(self, stack: ExitStack, environ: dict[str, str]) -> None:
        self._stack = stack
        self.environ = environ
        self._processes: list[Running] = []

    @classmethod
    @contextmanager
    def on(cls, database: str, sqs: str, prefix: str) -> Iterator[Platform]:
        """Processes on a database and on queues, which end with the block."""
        environ = {
            "DATABASE_URL": database,
            "SQS_ENDPOINT_URL": sqs,
            "SQS_QUEUE_PREFIX": prefix,
            # Workers keep what they hold invisible for so long, whatever their queues say.
            "SQS_VISIBILITY_TIMEOUT": str(settings.SQS_VISIBILITY_TIMEOUT),
            "REDIS_URL": settings.REDIS_URL,
            "REDIS_KEY_PREFIX": prefix,
            "DJANGO_SETTINGS_MODULE": "project.settings.test",
        }
        with ExitStack() as stack:
            # What they would remove when they end, but tests kill them.
            environ["TMPDIR"] = stack.enter_context(TemporaryDirectory(prefix="platform-"))
            yield cls(stack, environ)

    def relay(self) -> Relay:
        return self._launch(Relay(self.environ))

    def worker(self, *queues: str, concurrency: int = 2) -> Worker:
        """A worker of *queues*; of the one that the workload uses if none is named."""
        return self._launch(Worker(self.environ, queues=queues or ("default",), concurrency=concurrency))

    def beat(self) -> Beat:
        return self._launch(Beat(self.environ))

    def _launch(self, process: Process) -> Process:
        self._stack.callback(_end, process)
        self._processes.append(process)
        process.launch()
        return process

    def ready(self, *processes: Running) -> None:
        """Wait until these are ready: processes are started without waiting, to start together."""
        for process in processes:
            process.wait_ready()

    def story(self) -> Iterator[tuple[str, str]]:
        """What there is to know after a failure: runs that have not ended, and what the processes logged."""
        runs = TaskRun.objects.exclude(state__in=ENDED)
        yield (
            "runs",
            "\n".join(
                f"{run.task} {run.pk} {run.state} {[event.type for event in read_stream(run.stream)]}"
                for run in runs[:20]
            ),
        )
        for process in self._processes:
            yield f"{process.name} {process.pid}", process.log[-20_000:]


def _end(process: Running) -> None:
    """The test is over: nothing that the process still does matters."""
    if process.launched:
        process.kill()
    process.close()


def all_ended() -> bool:
    return not TaskRun.objects.filter(task__startswith="workload.").exclude(state__in=ENDED).exists()


def wait_for_all(seconds: float = 60.0) -> None:
    """Until every run of the workload has ended."""
    wait_until(all_ended, seconds=seconds, what="all runs to end")


@pytest.fixture
def platform(committed: None, own_queues: str, settings: Any) -> Iterator[Platform]:
    """Processes on queues of their own: of the shared SQS server, or of `private_sqs` if asked for first."""
    with Platform.on(database_url(), settings.SQS_ENDPOINT_URL, own_queues) as running:
        yield running


@pytest.fixture
def private_sqs(settings: Any) -> Iterator[SqsServer]:
    """An SQS server of the test's own, which it may kill."""
    with SqsServer() as server:
        settings.SQS_ENDPOINT_URL = server.environ["SQS_ENDPOINT_URL"]
        queues.forget_urls()
        yield server
    queues.forget_urls()


@pytest.fixture
def private_redis(settings: Any) -> Iterator[Valkey]:
    """A Redis of the test's own, which it may kill. To be asked for first."""
    before = settings.REDIS_URL
    with Valkey(durable=False) as server:
        settings.REDIS_URL = server.environ["REDIS_URL"]
        yield server
    settings.REDIS_URL = before


@contextmanager
def in_front(settings: Any, *, tls: ssl.SSLContext | None = None) -> Iterator[SqsProxy]:
    """A proxy that is the SQS server to this process, and to those that it starts, within a block."""
    with SqsProxy(settings.SQS_ENDPOINT_URL, tls=tls) as running:
        settings.SQS_ENDPOINT_URL = running.url
        yield running


@pytest.fixture
def proxy(settings: Any) -> Iterator[SqsProxy]:
    """In front of the shared SQS server, for this process and those that it starts. To be asked for first."""
    with in_front(settings) as running:
        yield running


@pytest.fixture
def long_visibility(settings: Any) -> None:
    """Queues on which a test would not wait for a message to be visible again. To be asked for first."""
    settings.SQS_VISIBILITY_TIMEOUT = 60
