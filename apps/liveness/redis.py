"""The connection to Redis."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from apps.liveness.leases.scripts import Client

#: Seconds after which a server that does not answer counts as away.
_TIMEOUT = 1.0


def client() -> Client:
    """This process's client of ``REDIS_URL``; its connections are not shared with forked processes."""
    return _client(settings.REDIS_URL, settings.REDIS_CLUSTER)


@cache
def _client(url: str, cluster: bool) -> Client:
    options: dict[str, Any] = {
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
        # A connection that the server has closed meanwhile is opened once more; a silent server is not asked
        # twice.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    return RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)


def key(name: str) -> str:
    """The name of a key in Redis: installations that share a server tell theirs apart by a prefix."""
    return f"{settings.REDIS_KEY_PREFIX}{name}"


def ping() -> None:
    """Raises where Redis gives no answer."""
    client().ping()
