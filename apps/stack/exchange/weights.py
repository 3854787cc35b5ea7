"""What a request weighs, by what it was sent with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

#: From the parameters of a request, each with its values, to its weight.
Weigh = Callable[[Mapping[str, list[str]]], int]

# The weight of an order book of up to so many levels.
_LEVELS = ((100, 5), (500, 25), (1000, 50))
_MOST_LEVELS = 250


def always(weight: int) -> Weigh:
    return lambda sent: weight


def by(name: str, *, sent: int, absent: int) -> Weigh:
    """One weight where the parameter *name* is sent, another where it is not."""
    return lambda parameters: sent if name in parameters else absent


def by_levels(parameters: Mapping[str, list[str]]) -> int:
    limit = parameters.get("limit", [""])[0]
    levels = int(limit) if limit.isdecimal() else 0
    return next((weight for most, weight in _LEVELS if levels <= most), _MOST_LEVELS)


def by_rates(parameters: Mapping[str, list[str]]) -> int:
    """Of an order that is only tried."""
    return 20 if parameters.get("computeCommissionRates") == ["true"] else 1
