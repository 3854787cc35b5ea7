"""Sets of IP networks that are quick to look into, however many they are."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from apps.core.addresses import network_of


class Networks:
    """Networks in CIDR notation. Raises `ValueError` for what is none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.texts = tuple(networks)
        #: IP version -> prefix length -> the networks' numbers without what is behind the prefix.
        self._known: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for text in self.texts:
            network = network_of(text)
            shift = network.max_prefixlen - network.prefixlen
            numbers = self._known[network.version].setdefault(shift, set())
            numbers.add(int(network.network_address) >> shift)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __contains__(self, address: str) -> bool:
        """Whether an address in its usual form is in one of them. An empty one is in none."""
        if not self.texts or not address:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        number = int(found)
        return any(number >> shift in numbers for shift, numbers in self._known[found.version].items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"Networks({self.texts!r})"
