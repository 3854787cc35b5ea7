"""Where signals may come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings

from apps.core.addresses import network_of, usual_form
from apps.core.networks import Networks


def presets() -> Mapping[str, tuple[str, ...]]:
    """Name -> the networks that it stands for."""
    return {"tradingview": tuple(settings.TRADINGVIEW_ADDRESSES)}


def normal(entry: str) -> str:
    """A network in its one spelling, or the name of a preset. Raises `ValueError`."""
    entry = entry.strip()
    known = presets()
    if entry.lower() in known:
        return entry.lower()
    try:
        return str(network_of(entry))
    except ValueError as exc:
        names = ", ".join(known)
        raise ValueError(f"{entry!r} is neither an address, nor a network, nor {names}: {exc}") from None


def allows(allowed: tuple[str, ...], address: str) -> bool:
    """Whether *address* is in one of these networks; where there are none, every one is.

    An IPv4 address that is written as an IPv6 one is the IPv4 address.
    """
    if not allowed:
        return True
    known = presets()
    listed = tuple(network for entry in allowed for network in known.get(entry, (entry,)))
    return usual_form(address) in _networks(listed)


@lru_cache(maxsize=1024)
def _networks(listed: tuple[str, ...]) -> Networks:
    return Networks(listed)
