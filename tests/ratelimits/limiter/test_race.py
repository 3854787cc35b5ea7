"""Many processes at once on one subject: what is admitted is never more than the limit, and never less."""

from __future__ import annotations

import multiprocessing

import pytest

from apps.ratelimits.limiter import Algorithm, Charge, Limiter, Policy
from apps.stack.testing import Valkey
from tests.ratelimits.limiter import racing
from tests.ratelimits.limiter.limiting import HOUR, new_id, new_limiter
from tests.ratelimits.limiter.racing import Asked
from tests.ratelimits.limiter.windows import worst_window

PROCESSES = 8
WINDOW, LIMIT = 500, 40
LONGER, HIGHER = 1700, 100
LASTS = 2600

# Forked from a process that has what they need, and nothing of this test's.
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload([racing.__name__])


def race(server: Valkey, limiter: Limiter, charges: list[Charge]) -> list[Asked]:
    barrier, answers = forked.Barrier(PROCESSES), forked.Queue()
    prefix = limiter.keys.tag.removeprefix("{").removesuffix("rl}:")
    arguments = (server.url(), prefix, charges, LASTS, barrier, answers)
    processes = [forked.Process(target=racing.ask, args=arguments) for _ in range(PROCESSES)]
    try:
        for process in processes:
            process.start()
        found = [answers.get(timeout=120) for _ in processes]
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
    return found


@pytest.mark.parametrize("algorithm", Algorithm)
def test_of_eight_processes_the_worst_window_holds_exactly_the_limit(
    server: Valkey, algorithm: Algorithm
) -> None:
    limiter = new_limiter(server)
    short = Charge(Policy(new_id(), LIMIT, WINDOW, algorithm=algorithm), "user:7")
    long = Charge(Policy(new_id(), HIGHER, LONGER, algorithm=algorithm), "user:7")
    # Charged before and after those that deny: what is denied must leave no trace in either.
    before, after = (
        Charge(Policy(new_id(), 1_000_000, HOUR, algorithm=algorithm), f"user:{n}") for n in (8, 9)
    )
    found = race(server, limiter, [before, short, long, after])
    admitted = [moment for one in found for moment in one.admitted]
    assert worst_window(admitted, WINDOW) == LIMIT
    assert worst_window(admitted, LONGER) == HIGHER
    assert sum(one.overdrawn for one in found) == 0
    assert [one.used for one in limiter.stats([before, after])] == [len(admitted)] * 2
    # Else they were not all there at once.
    assert min(one.denied for one in found) > 0


def test_a_worst_window_counts_both_of_its_ends() -> None:
    assert worst_window([0, 500, 501, 900, 1000, 1001], 500) == 4
    assert worst_window([5, 5, 5, 506], 500) == 3
    assert worst_window([], 500) == 0
