"""How many get in where many processes ask at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from django.conf import settings

from apps.ratelimits.limiter import Charge, Limiter, Policy, connect
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.ratelimits.limiter.windows import worst_window

_PROCESSES, _LIMIT, _WINDOW = 8, 100, 1000
#: Seconds for which processes may take to start, and to end.
_PATIENCE = 60.0
_number = count()

#: Given a subject and a number of seconds, asks as often as it can, and returns when it was admitted (ms).
Asking = Callable[[str, float], list[float]]


def _ours(subject: str, seconds: float) -> list[float]:
    """By the clock of the server that decided."""
    limiter = Limiter(connect(settings.REDIS_URL, timeout=5), prefix="bench")
    charges = [Charge(Policy("bench/admitted", _LIMIT, _WINDOW), subject)]
    admitted: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        decision = limiter.hit(charges)
        if decision.allowed:
            admitted.append(decision.moment)
    return admitted


def _drf(subject: str, seconds: float) -> list[float]:
    """By the clock of the machine, which is the throttle's."""
    # With Django set up, which a new process has to do first.
    from tests.benchmarks.ratelimits.throttle import Throttle

    admitted: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        throttle = Throttle(f"{_LIMIT}/s")
        if throttle.allow_request(subject, None):
            admitted.append(1000 * throttle.now)
    return admitted


def _child(ask: Asking, subject: str, seconds: float, start: Barrier, answer: Connection) -> None:
    import django

    django.setup()
    ask(f"{subject}-before", 0.01)
    start.wait(_PATIENCE)
    answer.send(ask(subject, seconds))


def admitted(ask: Asking, processes: int, seconds: float) -> list[float]:
    """When whoever asked was admitted, in milliseconds, of all *processes*. Raises `Failed`."""
    context = get_context("spawn")
    subject = f"admitted:{next(_number)}"
    start = context.Barrier(processes)
    running: list[tuple[Any, Connection]] = []
    try:
        for _ in range(processes):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(ask, subject, seconds, start, sender), daemon=True)
            process.start()
            sender.close()
            running.append((process, receiver))
        moments: list[float] = []
        for _, receiver in running:
            if not receiver.poll(_PATIENCE + seconds):
                raise Failed("a process that asks does not come to an end")
            moments += receiver.recv()
        return moments
    except EOFError:
        raise Failed("a process that asks has failed") from None
    finally:
        for process, receiver in running:
            process.kill()
            process.join()
            receiver.close()


class _Admitting(Experiment):
    """The most that were admitted in any window."""

    _ask: Asking

    def prepare(self) -> None:
        """Each repetition has processes and a subject of its own."""

    def measure(self, turn: int) -> Samples:
        asked = admitted(type(self)._ask, self.bench.size(_PROCESSES, 3), self.bench.size(4, 2))
        worst = worst_window(asked, _WINDOW)
        if worst < _LIMIT:
            raise Failed(f"of {_LIMIT} that may, {worst} were admitted")
        return {self.figures[0].name: (worst, _LIMIT)}


class Admitting(_Admitting):
    """By ours."""

    figures = (
        Figure(
            name=f"admitted-{_PROCESSES}-processes",
            what=f"the most in any window, of {_PROCESSES} processes that ask for one subject at once",
            unit="requests",
            peer=f"the limit, {_LIMIT} in {_WINDOW / 1000:g} s, which must be reached too",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1.0),
        ),
    )
    _ask = staticmethod(_ours)


class AdmittingByDrf(_Admitting):
    """By a throttle of DRF: what it is like elsewhere."""

    figures = (
        Figure(
            name=f"admitted-{_PROCESSES}-drf",
            what=f"the same by a throttle of DRF in {_PROCESSES} processes, instead of ours",
            unit="requests",
            peer="the limit",
        ),
    )
    _ask = staticmethod(_drf)
