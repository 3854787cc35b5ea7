"""Processes that all ask about one subject at once, each on its own connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.ratelimits.limiter import Charge, Limiter, connect


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of one process's requests."""

    #: The server's time of each that was allowed, in milliseconds.
    admitted: list[int]
    denied: int
    #: The least that was left of each policy: never less than nothing.
    overdrawn: int


def ask(
    url: str, prefix: str, charges: Sequence[Charge], milliseconds: int, barrier: Any, answers: Any
) -> None:
    """Ask as fast as it goes from when all are there, for so long by the clock of the server."""
    limiter = Limiter(connect(url, timeout=60), prefix=prefix)
    began = None
    admitted, denied, overdrawn = [], 0, 0
    limiter.stats(charges)
    barrier.wait(60)
    while True:
        decision = limiter.hit(charges)
        began = decision.moment if began is None else began
        if decision.moment - began > milliseconds:
            break
        if decision.allowed:
            admitted.append(decision.moment)
        else:
            denied += 1
        overdrawn += sum(one.used > one.policy.limit for one in decision.results)
    # The last one counts like any other.
    if decision.allowed:
        admitted.append(decision.moment)
    answers.put(Asked(admitted=admitted, denied=denied, overdrawn=overdrawn))
