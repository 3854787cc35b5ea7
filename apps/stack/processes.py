"""The product's processes for tests: each with a given environment, to be killed and started again.

They are forked from one that has the libraries (`forkserver`): a test run starts them by the hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from apps.stack import environment, forkserver, product
from apps.stack.child import Service
from apps.stack.servers import Listening, Running
from apps.stack.sockets import HOST


class Worker(Running):
    """A Celery worker. *environ* is added to our own; *queues* are logical names, none for all."""

    name = "worker"

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        queues: Sequence[str] = (),
        concurrency: int = 2,
        folder: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self._environ, self._queues, self._concurrency = environ, queues, concurrency

    def _service(self) -> Service:
        environ = environment.inherited(**self._environ)
        service = product.worker(environ, queues=self._queues, concurrency=self._concurrency)
        return replace(service, spawn=forkserver.spawn_set_up)


class Beat(Running):
    """Celery beat. *environ* is added to our own."""

    name = "beat"

    def __init__(self, environ: Mapping[str, str], *, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._environ = environ

    def _service(self) -> Service:
        return replace(product.beat(environment.inherited(**self._environ)), spawn=forkserver.spawn_set_up)


class Relay(Running):
    """``manage.py relay``. *environ* is added to our own."""

    name = "relay"

    def __init__(self, environ: Mapping[str, str], *, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._environ = environ

    def _service(self) -> Service:
        return replace(product.relay(environment.inherited(**self._environ)), spawn=forkserver.spawn_set_up)


class Web(Listening):
    """The web server. *environ* is added to our own; `url` is where it answers."""

    name = "web"

    def __init__(self, environ: Mapping[str, str], *, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._environ = environ

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{HOST}:{self.port}"

    def _service(self) -> Service:
        return product.web(environment.inherited(**self._environ), self.listener)
