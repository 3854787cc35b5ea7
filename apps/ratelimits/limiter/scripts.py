"""The Lua files of this package, and what their servers say when they cannot."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from redis import exceptions

from apps.ratelimits.limiter.values import Reason, Unavailable

#: Everything that a client of Redis raises.
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)


class Script(NamedTuple):
    """A script's text, and the digest that a server knows it by."""

    text: bytes
    digest: bytes


@cache
def script(name: str) -> Script:
    """``lua/<name>.lua``, read once per process."""
    text = files(__package__).joinpath("lua", f"{name}.lua").read_bytes()
    return Script(text=text, digest=hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def unavailable(exc: Exception) -> Unavailable:
    """What the client raised, as what it means."""
    return Unavailable(_reason(exc), f"{type(exc).__name__}: {exc}")


_BY_TYPE = (
    ((exceptions.TimeoutError, TimeoutError), Reason.TIMEOUT),
    (exceptions.MasterDownError, Reason.CONNECTION),
    (exceptions.BusyLoadingError, Reason.LOADING),
    (exceptions.ReadOnlyError, Reason.READONLY),
    (exceptions.OutOfMemoryError, Reason.OOM),
    ((exceptions.ClusterError, exceptions.RedisClusterException, exceptions.MovedError), Reason.CLUSTER),
    ((exceptions.ConnectionError, OSError), Reason.CONNECTION),
)
#: Errors within scripts are text: some servers put their code behind other words.
_BY_TEXT = (
    ("OOM ", Reason.OOM),
    ("READONLY", Reason.READONLY),
    ("BUSY", Reason.BUSY),
    ("LOADING", Reason.LOADING),
    ("CLUSTERDOWN", Reason.CLUSTER),
)


def _reason(exc: Exception) -> Reason:
    for kinds, reason in _BY_TYPE:
        if isinstance(exc, kinds):
            return reason
    text = str(exc)
    return next((reason for word, reason in _BY_TEXT if word in text), Reason.ERROR)
