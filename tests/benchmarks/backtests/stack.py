"""The service as it runs: a web server, the relay and a worker on a database with a year of minutes."""

from __future__ import annotations

import base64
import http.client
import json
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth import get_user_model

from apps.stack.processes import Web
from apps.stack.servers import Running
from apps.tasks import queues
from tests.benchmarks.candles import data, places
from tests.benchmarks.candles.data import WORST
from tests.benchmarks.candles.places import Place
from tests.benchmarks.experiment import Bench, Failed
from tests.benchmarks.tasks.processes import CeleryWorker, Relay, wait_for

_QUEUE = "backtests"
_NAME = "bench"


class Client:
    """One connection of a user who has signed in."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        basic = base64.b64encode(f"{_NAME}:{_NAME}".encode()).decode()
        self._headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
        token = self.ask("POST", "/api/v1/auth/login")["token"]
        self._headers["Authorization"] = f"Token {token}"

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The decoded answer. Raises `Failed` unless it is a success."""
        content = None if body is None else json.dumps(body)
        try:
            status, said = self._ask(method, path, content)
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server ends a connection on which nothing comes for a while; the next request makes another.
            self._connection.close()
            status, said = self._ask(method, path, content)
        if not 200 <= status < 300:
            raise Failed(f"{path} was answered with {status}: {said[:500].decode(errors='replace')}")
        found: dict[str, Any] = json.loads(said)
        return found

    def _ask(self, method: str, path: str, content: str | None) -> tuple[int, bytes]:
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


class Stack:
    """All of it, for the rest of the run. Mapped copies of candles are kept, as the setting says."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.days = bench.size(data.YEAR, 5)
        self.place = Place("backtests", places.PORTABLE)
        with self.place.entered():
            self.instrument = places.fill([WORST], self.days)[WORST].text
            get_user_model().objects.create_user(_NAME, password=_NAME)
        self.start: datetime = data.START
        self.end: datetime = data.START + timedelta(days=self.days)
        parts = urlsplit(bench.environ["DATABASE_URL"])
        folder = bench.folder / "service"
        folder.mkdir()
        environ = dict(bench.environ) | {
            "DATABASE_URL": urlunsplit(parts._replace(path=f"/{self.place.name}")),
            "CANDLES_CACHE_DIR": str(folder / "mapped"),
        }
        self._web = Web(environ, folder=folder / "web")
        worker = CeleryWorker("project", _QUEUE, environ, ("-c", "1"), folder / "worker")
        self._processes: list[Running] = [self._web, Relay(environ, folder / "relay"), worker]

    def __enter__(self) -> Self:
        queues.ensure()
        try:
            for process in self._processes:
                process.launch()
            for process in self._processes:
                process.wait_ready()
            wait_for(
                lambda: self._bench.sqs.requests(queues.physical_name(_QUEUE))["ReceiveMessage"],
                seconds=60,
                what=f"a worker to poll {_QUEUE}",
            )
            self.client = Client(self._web.url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def check(self) -> None:
        """Raises `Failed` when a process has ended."""
        for process in self._processes:
            if process.returncode is not None:
                raise Failed(f"{process.name} ended by itself:\n{process.log[-2000:]}")

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.launched:
                process.kill()
            process.close()
