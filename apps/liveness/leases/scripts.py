"""Running the Lua files of this package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from apps.liveness.leases.values import Unavailable

Client = Redis | RedisCluster
_FAILURES = (RedisError, RedisClusterException, OSError)


@cache
def _script(name: str) -> tuple[str, str]:
    """A script's text and its digest, read once per process."""
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _unavailable(exc: Exception) -> Unavailable:
    return Unavailable(f"{type(exc).__name__}: {exc}")


@contextmanager
def answered() -> Iterator[None]:
    """Turns what the client raises into `Unavailable`."""
    try:
        yield
    except _FAILURES as exc:
        raise _unavailable(exc) from exc


def run(client: Callable[[], Client], name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Run ``lua/<name>.lua``; a server that does not know it is sent the text. Raises `Unavailable`."""
    text, digest = _script(name)
    # As `answered`, which costs a beat noticeably more.
    try:
        # That of a cluster asks it as soon as it is made.
        connected = client()
        try:
            return connected.execute_command("EVALSHA", digest, len(keys), *keys, *arguments)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return connected.eval(text, len(keys), *keys, *arguments)
    except _FAILURES as exc:
        raise _unavailable(exc) from exc
