"""What a decision on three limits costs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

from tests.benchmarks.experiment import Experiment, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.ratelimits.blocks import microseconds
from tests.benchmarks.ratelimits.ways import DjangoRatelimit, Drf, Limits, Ours, Ping, Way


def _figure(name: str, peer: str, goal: float | None = None) -> Figure:
    return Figure(
        name=f"decision-{name}",
        what="a decision on three limits: 60/min by address, 1000/h by user, 600/min by group",
        unit="µs",
        peer=peer,
        goal=None if goal is None else Goal(kind=Kind.RATIO_AT_MOST, value=goal),
    )


class _Deciding(Experiment):
    """Ours and one peer on connections of one kind to one server, in short blocks by turns."""

    #: Whom the figures are compared with, in their order.
    _peers: tuple[Callable[[], Way], ...]
    #: What has to be installed.
    _module = ""

    def obstacle(self) -> str | None:
        if self._module and importlib.util.find_spec(self._module) is None:
            return f"{self._module} is not installed"
        return None

    def prepare(self) -> None:
        self._ours = Ours()
        self._ways = {figure.name: make() for figure, make in zip(self.figures, self._peers, strict=True)}

    def measure(self, turn: int) -> Samples:
        return {name: self._in_blocks(turn, peer) for name, peer in self._ways.items()}

    def _in_blocks(self, turn: int, peer: Way) -> tuple[float, float]:
        for way in (self._ours, peer):
            way.renew()
        return microseconds(
            turn,
            self._ours.decide,
            peer.decide,
            blocks=self.bench.size(100, 4),
            times=self.bench.size(50, 10),
        )


class DecidingLikePing(_Deciding):
    """Against one round trip in which nothing is decided."""

    figures = (_figure("3-ping", "PING by redis-py as it comes, with hiredis", 2.5),)
    _peers = (Ping,)


class DecidingLikeLimits(_Deciding):
    """Against a package of many algorithms, by its exact one."""

    figures = (
        _figure("3-limits", "three hits of the moving window of limits", 0.45),
        _figure("3-limits-stats", "the same, and get_window_stats of each, which headers need"),
    )
    _peers = (Limits, partial(Limits, stats=True))
    _module = Limits.module


class DecidingLikeDjangoRatelimit(_Deciding):
    """Against decorators of Django's views."""

    figures = (
        _figure("3-django-ratelimit", "three calls of is_ratelimited on django-redis, in fixed windows", 0.2),
    )
    _peers = (DjangoRatelimit,)
    _module = DjangoRatelimit.module


class DecidingLikeDrf(_Deciding):
    """Against what comes with DRF."""

    figures = (_figure("drf", "AnonRateThrottle and UserRateThrottle on django-redis: two limits only"),)
    _peers = (Drf,)
