"""What limits cost a request that is served, and one that is denied."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import count
from typing import Any
from wsgiref.util import setup_testing_defaults

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from apps.ratelimits.engine import engine
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.ratelimits.blocks import microseconds
from tests.benchmarks.ratelimits.urls import BATCH, ROWS
from tests.benchmarks.workload.models import Note

OURS = "apps.ratelimits.middleware.RateLimitMiddleware"
_PING = "tests.benchmarks.ratelimits.pinging.PingMiddleware"
_GROUPS = [
    {"name": "denied", "prefixes": ["/denied"], "rules": {"address": {"by": "address", "rate": "1/h"}}},
    {
        "name": "default",
        "rules": {
            "address": {"by": "address", "rate": "1000/m"},
            "anonymous": {"by": "address", "rate": "600/m", "anonymous": True},
            "everyone": {"by": "everyone", "rate": "1000000/m"},
        },
    },
]
_CLIENTS, _FIRST = 400, int(IPv4Address("192.168.0.0"))
_number = count()


@contextmanager
def limited() -> Iterator[None]:
    """Requests are limited by `_GROUPS`, by an engine that waits for Redis however slow the machine is."""
    with override_settings(
        ROOT_URLCONF="tests.benchmarks.ratelimits.urls", RATELIMITS_GROUPS=_GROUPS, RATELIMITS_TIMEOUT=5.0
    ):
        yield


def make_rows() -> None:
    """What the view reads."""
    if not Note.objects.filter(batch=BATCH).exists():
        Note.objects.bulk_create(Note(batch=BATCH, number=one, waited=one / 3) for one in range(ROWS))


class Stack:
    """Django without a server, with a list of middleware. Clients are at *address*, or at one of 400."""

    def __init__(
        self, middleware: Sequence[str], path: str, *, status: int, told: bool, address: str = ""
    ) -> None:
        with override_settings(MIDDLEWARE=list(middleware)):
            self._handler = WSGIHandler()
        self._environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(self._environ)
        self._status, self._told, self._address = str(status), told, address

    def ask(self) -> None:
        """One request, from its variables to the end of its answer. Raises `Failed`."""
        address = self._address or str(IPv4Address(_FIRST + next(_number) % _CLIENTS))
        answer = self._handler(
            {**self._environ, "REMOTE_ADDR": address, "wsgi.input": io.BytesIO()}, self._start
        )
        body = b"".join(answer)
        answer.close()
        if not self._as_meant:
            raise Failed(f"a request was answered otherwise than was meant: {body[:200].decode()}")

    def _start(self, status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        told = any(name == "RateLimit" for name, _ in headers)
        self._as_meant = status.startswith(self._status) and told is self._told


class _Serving(Experiment):
    """Ours and the peer's in one process on one database, in short blocks by turns."""

    def prepare(self) -> None:
        make_rows()
        with limited():
            self._ours, self._peer = self._stacks()

    @abstractmethod
    def _stacks(self) -> tuple[Stack, Stack]:
        """Ours and the peer's."""

    def _in_blocks(self, turn: int, ours: Callable[[], None], peer: Callable[[], None]) -> Samples:
        blocks = self.bench.size(60, 2)
        return {self.figures[0].name: microseconds(turn, ours, peer, blocks=blocks, times=20)}

    def measure(self, turn: int) -> Samples:
        with limited():
            return self._in_blocks(turn, self._ours.ask, self._peer.ask)


class Serving(_Serving):
    """With nothing around the view that would make the difference look smaller."""

    figures = (
        Figure(
            name="middleware-view",
            what=f"a view of {ROWS} rows behind the middleware alone, with three limits",
            unit="µs",
            peer="the same view behind a middleware that sends a PING by redis-py",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1.3),
        ),
    )

    def _stacks(self) -> tuple[Stack, Stack]:
        return (
            Stack([OURS], "/notes", status=200, told=True),
            Stack([_PING], "/notes", status=200, told=False),
        )


class ServingThroughAll(_Serving):
    """With everything else that a request of the product passes."""

    figures = (
        Figure(
            name="middleware-view-all",
            what="the same behind all middleware of the product",
            unit="µs",
            peer="the same with the PING in the place of the limits",
        ),
    )

    def _stacks(self) -> tuple[Stack, Stack]:
        others = [one for one in settings.MIDDLEWARE if one != OURS]
        return (
            Stack([OURS, *others], "/notes", status=200, told=True),
            Stack([_PING, *others], "/notes", status=200, told=False),
        )


class Denying(_Serving):
    """Whoever is over the limit is told so without asking Redis."""

    figures = (
        Figure(
            name="denial-cached",
            what="a request that is denied by what the process remembers",
            unit="µs",
            peer=f"the view of {ROWS} rows without limits",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=0.15),
        ),
    )

    def _stacks(self) -> tuple[Stack, Stack]:
        address = "203.0.113.7"
        Stack([OURS], "/denied", status=200, told=True, address=address).ask()
        return (
            Stack([OURS], "/denied", status=429, told=True, address=address),
            Stack([], "/notes", status=200, told=False),
        )

    def measure(self, turn: int) -> Samples:
        found = super().measure(turn)
        with limited():
            if not engine().denials:
                raise Failed("the denial is not remembered")
        return found
