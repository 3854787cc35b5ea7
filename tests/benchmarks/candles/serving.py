"""Candles over HTTP: the product's web server, and one without the product, each a process of gunicorn."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.candles.timeframes import to_ms
from apps.stack.processes import Web
from tests.benchmarks.candles import data
from tests.benchmarks.candles.places import PortableYear, seconds
from tests.benchmarks.experiment import Bench, Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_ARROW = "application/vnd.apache.arrow.stream"
_BARE = "tests.benchmarks.candles.bare_settings"
_NAMES = ("ts", "open", "high", "low", "close", "volume")


class Client:
    """One connection that stays open, as clients keep it."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def get(self, path: str, parameters: dict[str, Any], accept: str = "*/*") -> tuple[int, bytes]:
        """The status and the body of an answer."""
        try:
            return self._get(path, parameters, accept)
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server ends a connection on which nothing comes for a while; the next request makes another.
            self._connection.close()
            return self._get(path, parameters, accept)

    def _get(self, path: str, parameters: dict[str, Any], accept: str) -> tuple[int, bytes]:
        self._connection.request("GET", f"{path}?{urlencode(parameters)}", headers={"Accept": accept})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Servers:
    """Both servers on the database with a year of candles, and a client of each."""

    def __init__(self, bench: Bench) -> None:
        self.year = bench.shared(PortableYear)
        parts = urlsplit(bench.environ["DATABASE_URL"])
        database = urlunsplit(parts._replace(path=f"/{self.year.place.name}"))
        environ = dict(bench.environ) | {"DATABASE_URL": database}
        self._servers = {
            "ours": Web(environ, folder=bench.folder / "web"),
            "bare": Web(environ | {"DJANGO_SETTINGS_MODULE": _BARE}, folder=bench.folder / "bare"),
        }

    def __enter__(self) -> Self:
        try:
            for server in self._servers.values():
                server.start()
        except BaseException:
            self.__exit__()
            raise
        self.ours, self.bare = (Client(server.url) for server in self._servers.values())
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            if server.launched:
                server.kill()
            server.close()

    def asked(self, timeframe: str, start: datetime, end: datetime) -> dict[str, Any]:
        """The parameters of a question, as both understand them."""
        return {
            "instrument": self.year.market.text,
            "timeframe": timeframe,
            "start": to_ms(start),
            "end": to_ms(end),
        }


def _same(ours: dict[str, NDArray[Any]], rows: dict[str, NDArray[Any]], count: int) -> None:
    for name in _NAMES:
        if len(ours[name]) != count or not np.array_equal(ours[name], rows[name]):
            raise Failed(f"{name} differs between the two servers")


class _Serving(Experiment):
    def prepare(self) -> None:
        self._servers = self.bench.shared(Servers)
        self.remarks = {figure.name: data.origin() for figure in self.figures}

    def _answer(self, client: Client, path: str, asked: dict[str, Any], accept: str = "*/*") -> bytes:
        status, body = client.get(path, asked, accept)
        if status != 200:
            raise Failed(f"{path} was answered with {status}: {body[:300].decode(errors='replace')}")
        return body


class Arrow(_Serving):
    """Ten thousand minutes, until the client has them."""

    figures = (
        Figure(
            name="http-arrow",
            what="how often a client can ask for and decode 10,000 candles as an Arrow stream",
            unit="answers/s",
            peer="DRF's default JSON of the same rows, a list of objects, decoded by json.loads",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=5),
        ),
    )

    def _asked(self) -> dict[str, Any]:
        year = self._servers.year
        return self._servers.asked("1m", year.start, year.start + timedelta(minutes=10_000))

    def obstacle(self) -> str | None:
        self._servers = self.bench.shared(Servers)
        status, body = self._servers.ours.get("/api/v1/candles", self._asked(), _ARROW)
        if status in (400, 406):
            return "the server does not answer with Arrow"
        try:
            pa.ipc.open_stream(body)
        except pa.ArrowInvalid:
            return "the server's answer is not Arrow"
        return None

    def _ours(self) -> pa.Table:
        body = self._answer(self._servers.ours, "/api/v1/candles", self._asked(), _ARROW)
        return pa.ipc.open_stream(body).read_all()

    def _peer(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self._answer(self._servers.bare, "/minutes", self._asked()))
        return rows

    def measure(self, turn: int) -> Samples:
        table, rows = self._ours(), self._peer()
        ours = {name: table.column(name).to_numpy() for name in _NAMES}
        if ours["ts"].dtype.kind == "M":
            ours["ts"] = ours["ts"].astype("datetime64[ms]").astype(np.int64)
        _same(ours, {name: np.array([row[name] for row in rows]) for name in _NAMES}, 10_000)
        return {
            "http-arrow": self.by_turns(
                turn,
                lambda: 1 / seconds(self._ours),
                lambda: 1 / seconds(self._peer),
                self.bench.size(15, 1),
            )
        }


class LastHours(_Serving):
    """The last 500 bars at 1h."""

    figures = (
        Figure(
            name="http-last-500",
            what="requests a second for the last 500 candles at 1h as JSON, on one connection",
            unit="requests/s",
            peer="a Django view without middleware that does the same query and answers the columns",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=0.7),
        ),
    )

    def _rate(self, ask: Callable[[], bytes]) -> float:
        times = self.bench.size(50, 3)

        def several() -> None:
            for _ in range(times):
                ask()

        return times / seconds(several)

    def measure(self, turn: int) -> Samples:
        servers = self._servers
        count = self.bench.size(500, 400)
        asked = servers.asked("1h", servers.year.end - timedelta(hours=count), servers.year.end)

        def ours() -> bytes:
            return self._answer(servers.ours, "/api/v1/candles", asked)

        def peer() -> bytes:
            return self._answer(servers.bare, "/hours", asked)

        _same(
            *({name: np.array(json.loads(body)[name]) for name in _NAMES} for body in (ours(), peer())),
            count=count,
        )
        return {
            "http-last-500": self.by_turns(
                turn, lambda: self._rate(ours), lambda: self._rate(peer), self.bench.size(9, 1)
            )
        }
