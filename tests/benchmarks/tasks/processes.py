"""The processes that are measured: our relay and worker, and plain workers, each on a queue of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from apps.stack import environment, product
from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.servers import Running
from apps.tasks import queues
from tests.benchmarks import cpu, database
from tests.benchmarks.experiment import Bench, Failed

#: Of every worker but the one at Celery's defaults.
CONCURRENCY = 4
#: The queues of the plain workers.
BEST, DEFAULTS = "plain-best", "plain-defaults"
_PREFETCH = ("--prefetch-multiplier", "10")


def wait_for(condition: Callable[[], Any], *, seconds: float, what: str, every: float = 0.05) -> None:
    """Return when *condition* is true. Raises `Failed` when it is not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(every)


class Relay(Running):
    """``manage.py relay``, started as in production and not, as for tests, forked."""

    name = "relay"

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        super().__init__(folder)
        # With temporary files that it cannot remove when it is killed.
        self._environ = environment.inherited(**{**environ, "TMPDIR": str(folder)})

    def _service(self) -> Service:
        return product.relay(self._environ)


class CeleryWorker(Running):
    """A real ``celery worker``. Neither side logs its tasks."""

    name = "worker"

    def __init__(
        self, app: str, queue: str, environ: Mapping[str, str], arguments: Sequence[str], folder: Path
    ) -> None:
        super().__init__(folder)
        self._argv = (
            *(sys.executable, "-W", "ignore:You're running the worker with superuser"),
            *("-m", "celery", "-A", app, "worker", "-Q", queue, "-n", f"{queue}@benchmark"),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            *arguments,
        )
        # With temporary files that it cannot remove when it is killed.
        self._environ = environment.inherited(**{**environ, "TMPDIR": str(folder)})

    def _service(self) -> Service:
        return Service(
            name=self.name,
            argv=self._argv,
            environ=self._environ,
            folder=CHECKOUT,
            stop_timeout=20.0,
        )


class Workers:
    """Our relay and worker, and two plain workers: at their best, and at Celery's defaults.

    They stay for the whole run; who is not measured waits in a long poll of an empty queue.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._processes: dict[str, Running] = {}

    def _start(self, name: str, process: Running) -> None:
        self._processes[name] = process
        process.launch()

    def __enter__(self) -> Self:
        bench, folder = self._bench, self._bench.folder
        self._postmaster = cpu.parent_of(database.value("SELECT pg_backend_pid()"))
        queues.ensure()
        environ = dict(bench.environ)
        plain = environ | {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.tasks.plain_settings"}
        app = "tests.benchmarks.tasks.plain"
        best = ("-c", str(CONCURRENCY), *_PREFETCH)
        try:
            self._start("relay", Relay(environ, folder / "relay"))
            own = queues.physical_name("default")
            self._start(own, CeleryWorker("project", "default", environ, best, folder / own))
            self._start(BEST, CeleryWorker(app, BEST, plain, best, folder / BEST))
            defaults = plain | {"PLAIN_SETTINGS": "defaults"}
            self._start(DEFAULTS, CeleryWorker(app, DEFAULTS, defaults, (), folder / DEFAULTS))
            for process in self._processes.values():
                process.wait_ready()
            for queue in (own, BEST, DEFAULTS):
                wait_for(
                    lambda queue=queue: bench.sqs.requests(queue)["ReceiveMessage"],
                    seconds=60,
                    what=f"a worker to poll {queue}",
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def processor_time(self, queue: str) -> dict[str, float]:
        """Seconds used so far by the worker of *queue*, its pool, the database and the SQS server."""
        worker = self._processes[queue].pid
        return {
            "main": cpu.alone(worker),
            "pool": cpu.below(worker),
            "database": cpu.below(self._postmaster),
            "sqs": cpu.alone(self._bench.sqs_pid),
        }

    def check(self) -> None:
        """Raises `Failed` when a process has ended."""
        for process in self._processes.values():
            if process.returncode is not None:
                raise Failed(f"{process.name} ended by itself:\n{process.log[-2000:]}")

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            process.kill()
            process.close()
