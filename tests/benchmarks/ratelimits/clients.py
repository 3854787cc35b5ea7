"""Whom decisions are about, and what is limited of them."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import count, cycle

from apps.ratelimits.limiter import Charge, Policy, subject

MINUTE, HOUR = 60_000, 3_600_000
ADDRESS = Policy("bench/address", 60, MINUTE)
USER = Policy("bench/user", 1000, HOUR)
GROUP = Policy("bench/group", 600, MINUTE)

_CLIENTS = 400
#: Fewer than a group may, so that none is ever at its limit.
_IN_A_GROUP = 500
_FIRST = int(IPv4Address("10.0.0.0"))
_series = count()


class Clients:
    """Four hundred clients that nobody has counted yet, by turns."""

    def __init__(self) -> None:
        self._series = next(_series)
        first = _FIRST + self._series * _CLIENTS
        self._people = cycle(
            [(str(IPv4Address(first + number)), f"{self._series}-{number}") for number in range(_CLIENTS)]
        )
        self._asked = 0

    def next(self) -> tuple[str, str, str]:
        """The address, the user and the group of the next request."""
        address, user = next(self._people)
        group = self._asked // _IN_A_GROUP
        self._asked += 1
        return address, user, f"{self._series}-{group}"


def charges(address: str, user: str, group: str) -> tuple[Charge, ...]:
    """What a limiter of ours is asked of that request."""
    return (
        Charge(ADDRESS, subject("address", address)),
        Charge(USER, subject("user", user)),
        Charge(GROUP, subject("group", group)),
    )
