"""Connections of a limiter: of each thread its own, which it keeps."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import hiredis
from redis import ConnectionPool, exceptions
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.connection import ConnectionInterface
from redis.retry import Retry

from apps.ratelimits.limiter.scripts import FAILURES, Script, unavailable

Bytes = Sequence[bytes]


class Transport(Protocol):
    """Runs scripts and commands on Redis."""

    def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        """The script's answer. Raises `Unavailable`."""

    def command(self, name: str, *arguments: Any) -> Any:
        """A command's answer, of one whose keys are all in one slot. Raises `Unavailable`."""


class HeldTransport:
    """One server. Each thread holds a connection, so that nothing is waited for but the answer.

    A server that does not answer within *timeout* seconds is not asked twice. Where a connection turns out to
    be closed, as after a restart, one new one is tried at once; what was asked may count twice then, which
    denies rather than admits.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        # Nothing but what redis-py makes of an address is taken from the pool.
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._held = threading.local()

    def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        count = b"%d" % len(keys)
        try:
            return self._ask(b"EVALSHA", script.digest, count, *keys, *arguments)
        except exceptions.NoScriptError:
            pass
        except FAILURES as exc:
            raise unavailable(exc) from exc
        return self.command("EVAL", script.text, count, *keys, *arguments)

    def command(self, name: str, *arguments: Any) -> Any:
        try:
            return self._ask(name, *arguments)
        except FAILURES as exc:
            raise unavailable(exc) from exc

    def _ask(self, *parts: Any) -> Any:
        connection: ConnectionInterface | None = getattr(self._held, "connection", None)
        # Nobody finds it before its answer is read: neither a signal's handler that asks in the meantime, nor
        # who comes after it has interrupted this, would get what they asked for.
        self._held.connection = None
        if connection is not None and self._held.process == os.getpid():
            try:
                return self._answer(connection, parts)
            except exceptions.BusyLoadingError:
                raise
            except exceptions.ConnectionError:
                pass
        # Its own, also after a fork.
        self._held.process = os.getpid()
        # Not by the pool, which makes a hundred and no more, of however many are closed.
        return self._answer(self._pool.connection_class(**self._pool.connection_kwargs), parts)

    def _answer(self, connection: ConnectionInterface, parts: tuple[Any, ...]) -> Any:
        try:
            # By hand: redis-py looks at each argument before.
            packed = hiredis.pack_command(parts)
            connection.send_packed_command([packed], check_health=False)  # type: ignore[no-untyped-call]
            answer = connection.read_response()
        except exceptions.ReadOnlyError:
            # It is a replica now: the next connection may find the new primary.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        except exceptions.ResponseError:
            self._held.connection = connection
            raise
        except BaseException:
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        self._held.connection = connection
        return answer


class ClusterTransport:
    """A Redis Cluster, found from the node at *url*. Keys of one call have to be in one slot."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._client: RedisCluster | None = None
        self._lock = threading.Lock()

    def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        try:
            cluster = self._cluster()
            try:
                return cluster.execute_command(  # type: ignore[no-untyped-call]
                    "EVALSHA", script.digest, len(keys), *keys, *arguments
                )
            except exceptions.NoScriptError:
                return cluster.eval(script.text, len(keys), *keys, *arguments)  # type: ignore[arg-type]
        except FAILURES as exc:
            raise unavailable(exc) from exc

    def command(self, name: str, *arguments: Any) -> Any:
        try:
            return self._cluster().execute_command(name, *arguments)  # type: ignore[no-untyped-call]
        except FAILURES as exc:
            raise unavailable(exc) from exc

    def _cluster(self) -> RedisCluster:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    # That of a cluster asks it as soon as it is made.
                    self._client = RedisCluster.from_url(
                        self._url,
                        socket_timeout=self._timeout,
                        socket_connect_timeout=self._timeout,
                        retry=Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
                    )
        return self._client


def connect(url: str, *, timeout: float, cluster: bool = False) -> Transport:
    """The transport to what is at *url*. Nothing is connected to yet."""
    return ClusterTransport(url, timeout=timeout) if cluster else HeldTransport(url, timeout=timeout)
