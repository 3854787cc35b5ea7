"""The simulated exchange as a process of its own, and a plain HTTP client for it."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]
REAL_MINUTES = ROOT.parent / "shared" / "data" / "binanceus_btcusdt_1m_2023-03-01_2023-03-21.csv.gz"
HEADER = "open_time,open,high,low,close,volume"


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class ExchangeAt:
    """A simulated exchange, asked over HTTP."""

    url: str

    def request(self, method: str, path: str, *, body: Any = None, **parameters: Any) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            query = f"?{urlencode(parameters)}" if parameters else ""
            connection.request(method, path + query, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return Reply(status=answer.status, headers=dict(answer.headers.items()), body=answer.read())
        finally:
            connection.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer that must be a success."""
        reply = self.request("GET", path, **parameters)
        assert reply.status == 200, reply.body
        return reply.json

    def klines(self, interval: str = "1m", symbol: str = "BTCUSDT", **parameters: Any) -> list[list[Any]]:
        rows: list[list[Any]] = self.get("/api/v3/klines", symbol=symbol, interval=interval, **parameters)
        return rows

    def order(self, *rules: Mapping[str, Any]) -> None:
        """Order faults."""
        reply = self.request("POST", "/_sim/faults", body=list(rules))
        assert reply.status == 200, reply.body

    def interrupt(self, *outages: Mapping[str, Any]) -> None:
        """Order outages."""
        reply = self.request("POST", "/_sim/outages", body=list(outages))
        assert reply.status == 200, reply.body

    def calm(self) -> None:
        """No faults, no outages, and nothing used of any limit."""
        for what in ("faults", "outages", "limits"):
            assert self.request("DELETE", f"/_sim/{what}").status == 200

    def count(self, path: str) -> int:
        """The requests that *path* has had."""
        return int(self.get("/_sim/stats")["paths"].get(path, {}).get("requests", 0))


@dataclass(frozen=True, kw_only=True)
class RunningExchange(ExchangeAt):
    process: subprocess.Popen[str]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "apps.stack.exchange", *arguments]


def spawn(*arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )


@contextmanager
def running_exchange(*arguments: str) -> Iterator[RunningExchange]:
    """The exchange on a free port, until the block ends."""
    process = spawn("--port", "0", *arguments)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        summary = process.stdout.readline()
        match = re.search(r"http://[\d.]+:\d+", summary)
        assert match, summary + process.stderr.read()
        yield RunningExchange(url=match.group(), process=process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def write_minutes(path: Path, lines: Sequence[str], header: str = HEADER) -> Path:
    """A file for ``--candles``."""
    path.write_bytes(gzip.compress("\n".join([header, *lines, ""]).encode()))
    return path
