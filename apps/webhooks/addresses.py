"""Where signals may come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType

from apps.core.addresses import usual_form

#: Name -> the networks that it stands for. TradingView's are as its help page lists them (all of them IPv4).
PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tradingview": (
            "52.89.214.238/32",
            "34.212.75.30/32",
            "54.218.53.128/32",
            "52.32.178.7/32",
        ),
    }
)


def normal(entry: str) -> str:
    """A network in its one spelling, or the name of a preset. Raises `ValueError`."""
    entry = entry.strip()
    if entry.lower() in PRESETS:
        return entry.lower()
    try:
        return str(ip_network(entry))
    except ValueError as exc:
        known = ", ".join(PRESETS)
        raise ValueError(f"{entry!r} is neither an address, nor a network, nor {known}: {exc}") from None


def allows(allowed: tuple[str, ...], address: str) -> bool:
    """Whether *address* is in one of these networks; where there are none, every one is.

    An IPv4 address that is written as an IPv6 one is the IPv4 address.
    """
    if not allowed:
        return True
    try:
        found = ip_address(usual_form(address))
    except ValueError:
        return False
    return any(found in network for network in _networks(allowed))


@lru_cache(maxsize=1024)
def _networks(allowed: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    entries = [network for entry in allowed for network in PRESETS.get(entry, (entry,))]
    return tuple(ip_network(entry) for entry in entries)
