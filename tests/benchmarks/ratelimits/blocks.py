"""Two actions on one machine, each timed in short blocks by turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def microseconds(
    turn: int, ours: Callable[[], object], peer: Callable[[], object], *, blocks: int, times: int
) -> tuple[float, float]:
    """Median microseconds of each action, of *times* in each of so many blocks.

    What disturbs one disturbs both; who comes first changes from block to block, and with *turn*. The first
    of each block, which may have to wake somebody, is not counted.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for block in range(blocks):
        for side in (0, 1) if (block + turn) % 2 else (1, 0):
            taken[side].extend(_block((ours, peer)[side], times))
    return median(taken[0]), median(taken[1])


def _block(action: Callable[[], object], times: int) -> list[float]:
    action()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(1e6 * (time.perf_counter() - began))
    return taken
