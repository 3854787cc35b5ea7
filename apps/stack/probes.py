"""Ways to find out whether a process is ready: each asks the process itself, or reads what it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

_PATIENCE = 2.0
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a probe may look at: the process's number and what it has logged since it was started."""

    pid: int
    log: str


Probe = Callable[[Sight], Awaitable[bool]]


async def _exchange(reader_writer: Awaitable[Any], request: bytes, expected: bytes) -> bool:
    """Connect, send *request* and see whether the answer begins with *expected*."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await reader_writer
            try:
                writer.write(request)
                await writer.drain()
                answer: bytes = await reader.readexactly(len(expected))
                return answer == expected
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


def answers_redis(path: Path) -> Probe:
    """Ready when PING on the unix socket *path* is answered with PONG (it is not while data is loading)."""

    async def probe(_: Sight) -> bool:
        return await _exchange(asyncio.open_unix_connection(path), b"PING\r\n", b"+PONG\r\n")

    return probe


def answers_http(url: str, *, status: int = 200) -> Probe:
    """Ready when a GET of *url* is answered with *status*."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"

    async def probe(_: Sight) -> bool:
        expected = f"HTTP/1.1 {status}".encode()
        return await _exchange(asyncio.open_connection(host, port), request.encode(), expected)

    return probe


def answers_smtp(host: str, port: int) -> Probe:
    """Ready when the greeting is 220."""

    async def probe(_: Sight) -> bool:
        return await _exchange(asyncio.open_connection(host, port), b"", b"220")

    return probe


def says(*texts: str) -> Probe:
    """Ready when the log holds one of *texts*."""

    async def probe(sight: Sight) -> bool:
        return any(text in sight.log for text in texts)

    return probe


def at_once() -> Probe:
    """Ready as soon as it runs: for programs that offer nothing to ask."""

    async def probe(_: Sight) -> bool:
        return True

    return probe


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* to its end from ordinary code, also where the calling thread already has an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return answers[0]
