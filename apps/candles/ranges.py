"""Half-open ranges of time: put together, cut down, taken away."""

from __future__ import annotations

from collections.abc import Iterable

#: From the first moment to the one after the last, in milliseconds.
Range = tuple[int, int]


def merged(ranges: Iterable[Range], *, near: int = 0) -> list[Range]:
    """Ranges in order of time, those no further apart than *near* made one, empty ones left out."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1] + near:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def clipped(ranges: Iterable[Range], lo: int, hi: int) -> list[Range]:
    """What of *ranges* lies in [lo, hi), in order of time, those that touch made one."""
    return merged((max(lo, start), min(hi, end)) for start, end in ranges)


def without(ranges: Iterable[Range], known: Iterable[Range]) -> list[Range]:
    """What of *ranges*, which are in order, lies in none of *known*. Neither overlaps in itself."""
    rest: list[Range] = []
    taken = sorted(known)
    passed = 0
    for start, end in ranges:
        while passed < len(taken) and taken[passed][1] <= start:
            passed += 1
        at = passed
        while at < len(taken) and taken[at][0] < end:
            lo, hi = taken[at]
            if lo > start:
                rest.append((start, lo))
            start = max(start, hi)
            at += 1
        if start < end:
            rest.append((start, end))
    return rest
