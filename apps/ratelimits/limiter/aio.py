"""The limiter for coroutines: all of a loop share one connection, and none waits for another's answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast

import hiredis
from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from apps.ratelimits.limiter.asking import CHARGE, LOOK, Keys, decision, question, refunding
from apps.ratelimits.limiter.scripts import FAILURES, Script, script, unavailable
from apps.ratelimits.limiter.transports import Bytes
from apps.ratelimits.limiter.values import Charge, Decision

T = TypeVar("T")


def _drop_ended(found: dict[asyncio.AbstractEventLoop, T]) -> None:
    """Forget what loops had that are closed. Others may come and go at the same time, in their threads."""
    for loop in list(found):
        if loop.is_closed():
            found.pop(loop, None)


class AsyncTransport(Protocol):
    """Runs scripts on Redis from coroutines."""

    async def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        """The script's answer. Raises `Unavailable`."""


class _Line:
    """A connection on which questions go out as they come, and answers come in the same order.

    Who gives up waiting leaves its answer to be read and dropped, so that nobody takes it for another's.
    """

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._waiting: deque[asyncio.Future[Any]] = deque()
        #: Nothing more may be asked on it.
        self.broken = False

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise
        # Sending by the connection itself would close it for all when one is cancelled meanwhile.
        self._writer = cast(asyncio.StreamWriter, self._connection._writer)
        self._reader = asyncio.create_task(self._read(), name="ratelimits-reader")

    async def ask(self, *parts: Any) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._writer.write(hiredis.pack_command(parts))
        self._waiting.append(answer)
        # Once more around the loop, which may have been kept from reading what is there.
        late = loop.call_later(self._timeout, loop.call_soon, self._give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()

    def _give_up(self, answer: asyncio.Future[Any]) -> None:
        """Who comes next is to have another connection; who waits on this has its own time."""
        if not answer.done():
            answer.set_exception(exceptions.TimeoutError("no answer in time"))
            self.broken = True
            if self._unheard():
                self._reader.cancel()

    def _unheard(self) -> bool:
        return all(waiting.done() for waiting in self._waiting)

    async def _read(self) -> None:
        answer: Any
        try:
            while not (self.broken and self._unheard()):
                try:
                    answer = await self._connection.read_response(disconnect_on_error=False)
                except exceptions.ResponseError as exc:
                    answer = exc
                waiting = self._waiting.popleft()
                if waiting.done():
                    continue
                if isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except FAILURES as exc:
            self.close(exc)
        finally:
            # Also where the loop comes to its end.
            self.broken = True
            await self._connection.disconnect(nowait=True)

    def close(self, failure: Exception) -> None:
        """Fail everybody who waits."""
        self.broken = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(failure)
        self._waiting.clear()
        if self._reader is not asyncio.current_task():
            self._reader.cancel()


class MultiplexedTransport:
    """One server, asked over one connection for each event loop."""

    def __init__(self, url: str, *, timeout: float) -> None:
        # Only what redis-py makes of an address is taken from the pool.
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._timeout = timeout
        self._lines: dict[asyncio.AbstractEventLoop, asyncio.Task[_Line]] = {}

    async def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        count = b"%d" % len(keys)
        try:
            try:
                return await self._ask(b"EVALSHA", script.digest, count, *keys, *arguments)
            except exceptions.NoScriptError:
                return await self._ask(b"EVAL", script.text, count, *keys, *arguments)
        except FAILURES as exc:
            raise unavailable(exc) from exc

    async def _ask(self, *parts: Any) -> Any:
        line, held = await self._line()
        try:
            return await line.ask(*parts)
        except exceptions.BusyLoadingError:
            raise
        except exceptions.ReadOnlyError as exc:
            # It is a replica now: the next connection may find the new primary.
            line.close(exc)
            raise
        except exceptions.ConnectionError:
            if not held:
                raise
        # It was closed while nobody asked, as after a restart.
        line, _ = await self._line()
        return await line.ask(*parts)

    async def _line(self) -> tuple[_Line, bool]:
        """The loop's connection, and whether it was there already. Who comes together waits for one."""
        loop = asyncio.get_running_loop()
        opening = self._lines.get(loop)
        if opening is not None and opening.done():
            if not opening.cancelled() and opening.exception() is None and not opening.result().broken:
                return opening.result(), True
            opening = None
        if opening is None:
            _drop_ended(self._lines)
            opening = self._lines[loop] = loop.create_task(self._open(), name="ratelimits-connect")
            # Perhaps nobody is left who waits for it.
            opening.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(opening), False

    async def _open(self) -> _Line:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        line = _Line(connection, self._timeout)
        await line.connect()
        return line


class AsyncClusterTransport:
    """A Redis Cluster, found from the node at *url*, by a client for each event loop."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._clients: dict[asyncio.AbstractEventLoop, tuple[RedisCluster, asyncio.Task[None]]] = {}

    async def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        try:
            client = self._client()
            try:
                return await client.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)
        except FAILURES as exc:
            raise unavailable(exc) from exc

    def _client(self) -> RedisCluster:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is not None:
            return found[0]
        _drop_ended(self._clients)
        client = RedisCluster.from_url(
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 1),
        )
        self._clients[loop] = client, loop.create_task(_close_at_end(client), name="ratelimits-cluster")
        return client


async def _close_at_end(client: RedisCluster) -> None:
    """Whoever ends a loop cancels its tasks first."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await client.aclose()


class AsyncLimiter:
    """`Limiter.hit` and what goes with it, for coroutines. Raises `Unavailable` likewise."""

    def __init__(self, transport: AsyncTransport, *, prefix: str = "") -> None:
        self.transport = transport
        self.keys = Keys(prefix)
        self._decide = script("decide")

    async def hit(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """Charge *cost* units to all, if all that deny have room for it; else to none."""
        return await self._ask(charges, cost, CHARGE)

    async def peek(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """What `hit` would say now."""
        return await self._ask(charges, cost, LOOK)

    async def refund(self, charged: Decision) -> None:
        """Take back what `hit` charged."""
        logs, arguments = refunding(self.keys, charged)
        if logs:
            await self.transport.run(script("refund"), logs, arguments)

    async def _ask(self, charges: Sequence[Charge], cost: int, verb: bytes) -> Decision:
        logs, arguments = question(self.keys, charges, cost, verb)
        reply: Sequence[Any] = await self.transport.run(self._decide, logs, arguments)
        return decision(charges, cost, reply)


def connect_async(url: str, *, timeout: float, cluster: bool = False) -> AsyncTransport:
    """The transport to what is at *url*. Nothing is connected to yet."""
    if cluster:
        return AsyncClusterTransport(url, timeout=timeout)
    return MultiplexedTransport(url, timeout=timeout)
